"""Motions, synthetic cameras and their clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from float64_tolerance import ROUNDING, check
from places import DATA

from posemamba.data.synthetic import motion_clips
from posemamba.data.synthetic.cameras import (
    CAMERAS,
    HELD_OUT_CAMERAS,
    TRAINING_CAMERAS,
    CameraRange,
    look,
)
from posemamba.data.synthetic.humanoid import Motion, joint_positions, read_motion
from posemamba.errors import InputError
from posemamba.skeleton import JOINT_NAMES, PARENTS

LINK_OF = {"belly": "chest", "neck": "neck"} | {
    f"{side}_{part}": f"{side}_{part}"
    for side in ("left", "right")
    for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
}


def test_kinematics_are_pybullets() -> None:
    """Against pybullet 3.2.7's own (tools/make_motions.py --links)."""
    golden = json.loads((DATA / "pybullet_links.json").read_text())
    ours = joint_positions(np.array(golden["rows"]))
    for pose, links in zip(ours, golden["links"], strict=True):
        for joint, link in LINK_OF.items():
            # pybullet computes in float32; positions are of a few metres, rounded to 1e-6.
            np.testing.assert_allclose(pose[JOINT_NAMES.index(joint)], links[link], atol=3e-6)


def test_bundled_motions() -> None:
    motions = motion_clips.bundled_motions()
    assert len(motions) == 15
    kept, held = motion_clips.split_motions(motions)
    assert {m.name for m in held} == set(motion_clips.HELD_OUT_MOTIONS)
    assert len(kept) == 12
    for motion in motions:
        bones = np.linalg.norm(
            motion.positions - motion.positions[:, list(PARENTS)], axis=-1
        )  # (frames, 17)
        # Rigid from joint to joint; positions are integers of 0.1 mm. Two bones are not a link of
        # the humanoid's but span a shoulder or head turning against the neck.
        rigid = [j for j, name in enumerate(JOINT_NAMES) if "shoulder" not in name]
        assert np.ptp(bones[:, rigid], axis=0).max() < 4e-4, motion.name


def test_save_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    motions = motion_clips.bundled_motions()[:3]
    monkeypatch.setattr(motion_clips, "_ASSET", tmp_path / "m.npz")
    motion_clips.save_motions(tmp_path / "m.npz", motions)
    for before, after in zip(motions, motion_clips.bundled_motions(), strict=True):
        assert (before.name, before.loops) == (after.name, after.loops)
        check(before.positions, after.positions)


def test_resampling_keeps_time_and_rotates_evenly(tmp_path: Path) -> None:
    """A body turning by 90 degrees in a second, given at 8 Hz."""
    rows = np.zeros((9, 44))
    rows[:, 0] = 0.125
    for first in (8, 12, 16, 21, 25, 30, 35, 39):
        rows[:, first] = 1.0
    angle = np.linspace(0, np.pi / 2, 9)
    rows[:, 4], rows[:, 6] = np.cos(angle / 2), np.sin(angle / 2)
    rows[1::2, 4:8] *= -1  # the same rotations, the other sign
    path = tmp_path / "humanoid3d_turn.txt"
    path.write_text(json.dumps({"Loop": "wrap", "Frames": rows.tolist()}))
    motion = read_motion(path)
    assert (motion.name, motion.loops, len(motion.positions)) == ("turn", True, 51)
    hip = motion.positions[:, 1]
    turned = np.unwrap(np.arctan2(hip[:, 0], hip[:, 2]))
    check(np.diff(turned), np.pi / 2 / 50)


ALL_CAMERAS = [cameras for pair in CAMERAS.values() for cameras in pair]


@pytest.mark.parametrize("cameras", ALL_CAMERAS)
def test_labels_are_metric(cameras: CameraRange) -> None:
    rng = np.random.default_rng(3)
    positions = rng.normal(0, 0.4, (5, 17, 3)) + np.array([2.0, 1.0, -3.0])
    keypoints, poses, mm = look(positions, cameras, rng)
    # Distances do not depend on the camera: poses * mm are the same body in millimetres.
    across = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1) * 1000
    seen = np.linalg.norm(poses[:, :, None] - poses[:, None], axis=-1) * mm
    check(seen, across)
    np.testing.assert_array_equal(poses[:, 0], 0)
    assert keypoints.shape == (5, 17, 2)


def test_a_step_along_the_lens_does_not_move_the_root() -> None:
    """x right, y down, z away: by a camera on the x axis, level."""
    level = CameraRange(azimuth=(0, 0), elevation=(0, 0), distance=(4, 4), focal=(1, 1))
    pose = np.zeros((1, 17, 3))
    pose[0, 1] = [0, 0.5, 0]  # up
    pose[0, 2] = [0.5, 0, 0]  # towards the camera
    pose[0, 3] = [0, 0, -0.5]  # to its right: y is up and the axes are right-handed
    keypoints, poses, mm = look(pose, level, np.random.default_rng(0))
    assert mm == pytest.approx(2000)  # at 4 m, a focal length of the image's width
    check(poses[0, 1], [0, -0.25, 0])
    check(poses[0, 2], [0, 0, -0.25])
    check(poses[0, 3], [0.25, 0, 0])
    check(keypoints[0, [0, 2]], 0)


def test_clips_are_reproducible_and_continuous() -> None:
    kept, _ = motion_clips.split_motions(motion_clips.bundled_motions())
    done: list[None] = []
    clips = motion_clips.make_clips(kept, TRAINING_CAMERAS, 6, 243, 7, lambda: done.append(None))
    again = motion_clips.make_clips(kept, TRAINING_CAMERAS, 3, 243, 7)
    np.testing.assert_array_equal(clips.keypoints_2d[:3], again.keypoints_2d)
    assert len(done) == 6
    assert clips.keypoints_2d.shape == (6, 243, 17, 2)
    assert not np.array_equal(
        clips.poses_3d[0], motion_clips.make_clips(kept, TRAINING_CAMERAS, 1, 243, 8).poses_3d[0]
    )
    mm = clips.poses_3d.astype(np.float64) * clips.mm_per_unit[:, None, None, None]
    bones = np.linalg.norm(mm - mm[:, :, list(PARENTS)], axis=-1)  # (clips, frames, 17)
    # Speeds other than 1 interpolate between frames in straight lines, which cuts the corner of a
    # fast turn: 15 mm at most over 200 clips.
    assert np.ptp(bones, axis=1).max() < 20
    # The motions' fastest joint moves 254 mm a frame from the root; times the largest speed and
    # size drawn. Transitions may be faster (459 mm over 200 clips), in few frames.
    steps = np.linalg.norm(np.diff(mm, axis=1), axis=-1)
    assert (steps > 254 * 1.25 * 1.15).mean() < 1e-3
    assert steps.max() < 700


@pytest.mark.parametrize(("training", "held_out"), CAMERAS.values(), ids=CAMERAS)
def test_cameras_are_apart_in_the_mirror_too(training: CameraRange, held_out: CameraRange) -> None:
    """Training mirrors clips, so a camera at an azimuth is also one at its negative."""
    (low, high), (held_low, held_high) = training.azimuth, held_out.azimuth
    assert high < held_low
    assert held_high < low + 360
    assert high < 360 - held_high
    assert 360 - held_low < low + 360
    for least, most in (training.roll, held_out.roll):
        assert least == -most


def test_where_a_camera_has_the_person() -> None:
    """A pinhole worked out by hand: 2 m before a person at (0.5, -0.25), level, rolled by 30."""
    fixed = {"elevation": (0.0, 0.0), "distance": (2.0, 2.0), "focal": (1.0, 1.0)}
    pose = np.zeros((1, 17, 3))
    pose[0, 1] = [0, 0.1, 0]  # up
    rolled = CameraRange(azimuth=(0, 0), roll=(30, 30), **fixed)
    keypoints, poses, _ = look(pose, rolled, np.random.default_rng(0))
    up = np.array([np.sin(np.pi / 6), -np.cos(np.pi / 6)])  # clockwise: up leans to the right
    check(keypoints[0, 1] - keypoints[0, 0], 0.1 * up)
    check(poses[0, 1, :2] / np.linalg.norm(poses[0, 1]), up)
    for seed in range(5):
        aside = CameraRange(azimuth=(0, 0), aside=0.5, aspect=(0.5, 0.5), **fixed)
        keypoints, poses, mm = look(pose, aside, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        rng.random(6)  # azimuth, elevation, distance, focal, roll, aspect
        x, y = rng.uniform(-0.5, 0.5, 2) * [1.0, 0.5]
        depth = 2 / np.sqrt(1 + (x / 2) ** 2 + (y / 2) ** 2)  # 2 m along the ray, focal length 2
        mean = keypoints[0, 0]
        check(mean, [x, y])  # the target is the root's mean
        assert mm == pytest.approx(1000 * depth / 2, rel=ROUNDING)


def test_a_person_aside_is_kept_in_any_image() -> None:
    """Nobody is cut off, whatever the image's shape; and they are not all in its middle."""
    for cameras in CAMERAS["varied"]:
        clips = motion_clips.make_clips(motion_clips.bundled_motions(), cameras, 60, 81, 5)
        assert np.abs(clips.keypoints_2d[..., 0]).max() <= 1
        assert 1 < np.abs(clips.keypoints_2d[..., 1]).max() <= 16 / 9
        middles = clips.keypoints_2d[:, :, 0].mean(1)
        assert (middles.std(0) > 0.15).all()


def test_a_mirrored_clip_is_seen_from_the_negative_azimuth() -> None:
    positions = np.random.default_rng(4).normal(0, 0.4, (5, 17, 3))
    fixed = {"elevation": (10.0, 10.0), "distance": (5.0, 5.0), "focal": (1.2, 1.2)}
    seen, _, _ = look(positions, CameraRange(azimuth=(40, 40), **fixed), np.random.default_rng(0))
    mirrored, _, _ = look(
        positions * [1, 1, -1], CameraRange(azimuth=(-40, -40), **fixed), np.random.default_rng(0)
    )
    check(mirrored, seen * [-1, 1])


@pytest.mark.parametrize("cameras", [TRAINING_CAMERAS, HELD_OUT_CAMERAS])
def test_everybody_stays_in_the_image(cameras: CameraRange) -> None:
    """Runners too, who cover 17 m in a clip."""
    clips = motion_clips.make_clips(motion_clips.bundled_motions(), cameras, 30, 243, 5)
    assert {"run", "walk"} <= {name.split("/")[0] for name in clips.names}
    assert np.abs(clips.keypoints_2d).max() <= 1


def test_the_camera_goes_along_with_a_walker_only() -> None:
    """A walker at constant velocity is filmed as one who walks on the spot."""
    rng = np.random.default_rng(6)
    on_the_spot = np.repeat(rng.normal(0, 0.3, (1, 17, 3)), 50, axis=0)
    walking = on_the_spot + np.linspace([0, 0, 0], [9, 0, -4], 50)[:, None]
    first, last = (
        look(clip, TRAINING_CAMERAS, np.random.default_rng(1)) for clip in (on_the_spot, walking)
    )
    for still, moving in zip(first, last, strict=True):
        check(moving, still)
    # Up and down is motion to be seen: the camera does not follow it.
    rising = on_the_spot + np.linspace([0, 0, 0], [0, 1, 0], 50)[:, None]
    keypoints, _, _ = look(rising, TRAINING_CAMERAS, np.random.default_rng(1))
    assert np.ptp(keypoints[:, 0, 1]) > 0.1


@pytest.mark.parametrize(("count", "frames"), [(0, 9), (3, 1)])
def test_too_few(count: int, frames: int) -> None:
    motion = Motion("still", np.zeros((4, 17, 3)), True)
    with pytest.raises(InputError, match="too few"):
        motion_clips.make_clips([motion], TRAINING_CAMERAS, count, frames, 0)
