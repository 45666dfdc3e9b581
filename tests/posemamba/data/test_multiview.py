"""Triangulation, and the pose2sim trial rebuilt from a made-up one of the same layout."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from float64_tolerance import check

from posemamba.data import pose2sim
from posemamba.data.multiview import Camera, triangulate
from posemamba.errors import InputError
from posemamba.pose.keypoints import get_format

Array = npt.NDArray[np.float64]
FRAMES = 6
JOINTS = get_format("body25b").joints


def ring(count: int = 4) -> list[Camera]:
    """Cameras on a circle of 4 m about a person at the origin, z up, with lens distortion."""
    cameras = []
    for index in range(count):
        angle = 2 * np.pi * (index + 0.3) / count
        centre = np.array([4 * np.cos(angle), 4 * np.sin(angle), 1.5])
        forward = np.array([0.0, 0.0, 1.0]) - centre
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        cameras.append(
            Camera(
                f"cam_0{index + 1}",
                1088,
                1920,
                np.array([[1680.0, 0, 540], [0, 1681.0, 950], [0, 0, 1]]),
                np.array([-0.046, 0.14, 0.0006, 0.0007]),
                np.stack([right, np.cross(forward, right), forward]),
                centre,
            )
        )
    return cameras


def points(seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform([-0.4, -0.4, 0.1], [0.4, 0.4, 1.8], (30, 3))


def test_undistortion_inverts_projection() -> None:
    camera = ring()[1]
    seen = camera.to_camera(points())
    flat = camera.undistort(camera.project(points()))
    check(flat, seen[:, :2] / seen[:, 2:])


def test_projection_by_hand() -> None:
    camera = Camera(
        "c", 100, 80, np.array([[100.0, 0, 50], [0, 100.0, 40], [0, 0, 1]]),
        np.array([0.1, 0.0, 0.0, 0.0]), np.eye(3), np.array([0.0, 0.0, -2.0]),
    )  # fmt: skip
    # (1, 0) at depth 2 is 0.5 in the plane, bent to 0.5 (1 + 0.1 * 0.25).
    np.testing.assert_allclose(camera.project(np.array([1.0, 0.0, 0.0])), [101.25, 40.0])
    assert camera.focal == 100.0


def test_triangulation_is_exact_without_noise() -> None:
    cameras = ring()
    pixels = np.stack([camera.project(points()) for camera in cameras])
    found, errors = triangulate(
        cameras, pixels, np.ones((4, 30)), min_confidence=0.2, max_error=1.0
    )
    np.testing.assert_allclose(found, points(), atol=1e-8)
    assert errors.max() < 1e-5


def test_a_view_of_someone_else_is_left_out() -> None:
    cameras = ring()
    pixels = np.stack([camera.project(points()) for camera in cameras])
    pixels[2] += 200.0
    confidence = np.ones((4, 30))
    confidence[3, :5] = 0.0  # and one more that saw nothing
    pixels[3, :5] = np.nan
    found, errors = triangulate(cameras, pixels, confidence, min_confidence=0.2, max_error=5.0)
    np.testing.assert_allclose(found, points(), atol=1e-7)
    assert np.isfinite(errors).all()


def test_no_two_views_agree() -> None:
    cameras = ring(2)
    pixels = np.stack([camera.project(points()) for camera in cameras])
    pixels[1, :, 1] += 300.0
    found, errors = triangulate(
        cameras, pixels, np.ones((2, 30)), min_confidence=0.2, max_error=5.0
    )
    assert np.isnan(found).all()
    assert np.isnan(errors).all()
    with pytest.raises(InputError, match="expected 2 cameras"):
        triangulate(cameras[:1], pixels[:1], np.ones((1, 30)), min_confidence=0, max_error=5)


def write_trial(root: Path, *, drop: int | None = None) -> tuple[list[Camera], Array]:
    """A tree as pose2sim 0.4.0's; people[...] of camera 1 includes a small bystander."""
    cameras = ring()
    rng = np.random.default_rng(5)
    body = rng.uniform([-0.3, -0.3, 0.1], [0.3, 0.3, 1.8], (25, 3))
    world = body + np.linspace(0, 0.1, FRAMES)[:, None, None]  # (frames, 25, 3)
    demo = root / "Pose2Sim" / "Demo"
    (demo / "calibration").mkdir(parents=True)
    (demo / "opensim").mkdir()
    entries = []
    for index, camera in enumerate(cameras):
        turn = np.diag([1.0, -1.0, -1.0]) @ camera.rotation
        cells = " ".join(
            f'r{i + 1}{j + 1}="{turn[i, j]!r}"'.replace("np.float64(", "").replace(")", "")
            for i in range(3)
            for j in range(3)
        )
        x, y, z = camera.centre * 1000
        k1, k2, p1, p2 = camera.distortion
        k = camera.matrix * 64
        entries.append(
            f'<camera serial="{camera.name}">'
            f'<fov_video bottom="1919" left="0" right="1087" top="0"/>'
            f'<transform {cells} x="{x}" y="{y}" z="{z}"/>'
            f'<intrinsic centerPointU="{k[0, 2]}" centerPointV="{k[1, 2]}" '
            f'focalLengthU="{k[0, 0]}" '
            f'focalLengthV="{k[1, 1]}" radialDistortion1="{k1}" radialDistortion2="{k2}" '
            f'tangentalDistortion1="{p1}" tangentalDistortion2="{p2}"/></camera>'
        )
        folder = demo / "pose" / f"cam{index + 1}_json"
        folder.mkdir(parents=True)
        for frame in range(FRAMES):
            joints = np.column_stack([camera.project(world[frame]), np.full(25, 0.9)])
            if drop is not None and frame == drop:
                joints[:, 2] = 0.0
            people = [joints]
            if index == 0:
                people.insert(0, np.column_stack([joints[:, :2] * 0.2 + 900, np.full(25, 0.9)]))
            text = [{"pose_keypoints_2d": person.ravel().tolist()} for person in people]
            (folder / f"f{frame:03d}.json").write_text(json.dumps({"people": text}))
    (demo / "calibration" / "Calib.qca.txt").write_text(
        f"<calibration><cameras>{''.join(entries)}</cameras></calibration>"
    )
    names = list(pose2sim._TRC_NAMES)
    table = world[:, [JOINTS.index(pose2sim._TRC_NAMES[name]) for name in names]][..., [1, 2, 0]]
    rows = "\n".join(
        "\t".join([str(i + 1), f"{i / 60}", *map(str, row.ravel())]) for i, row in enumerate(table)
    )
    cells = "\t\t\t".join(names)
    (demo / "opensim" / "Balancing_for_IK.trc").write_text(
        f"PathFileType\t4\nDataRate\tUnits\n60\tm\nFrame#\tTime\t{cells}\n\tX1\n{rows}\n"
    )
    return cameras, world


def test_trial_is_rebuilt_in_each_cameras_frame(tmp_path: Path) -> None:
    cameras, world = write_trial(tmp_path)
    trial = pose2sim.read_trial(tmp_path)
    joints = pose2sim.to_h36m_3d({name: world[:, i] for i, name in enumerate(JOINTS)})
    for clip, camera in enumerate(cameras):
        seen = camera.to_camera(joints)
        expected = (seen - seen[:, :1]) * 1000
        for clips in (trial.triangulated, trial.trc):
            assert clips.names[clip] == f"balancing/{camera.name}/0"
            mm = clips.poses_3d[clip] * clips.mm_per_unit[clip]
            # float32 of a metre in millimetres, three roundings.
            np.testing.assert_allclose(mm, expected, atol=1e-3)
    assert trial.figures["reprojection_px"] < 1e-3
    assert trial.figures["missing_percent"] == 0
    assert trial.figures["p_mpjpe_mm"] < 1e-3


def test_a_frame_nobody_saw_is_interpolated(tmp_path: Path) -> None:
    write_trial(tmp_path, drop=2)
    trial = pose2sim.read_trial(tmp_path)
    assert trial.figures["missing_percent"] == pytest.approx(100 / FRAMES)
    assert trial.figures["mpjpe_mm"] < 1e-3  # the person moves evenly


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("calibration/Calib.qca.txt", "<camera ", "<lens ", "not a Qualisys calibration"),
        ("calibration/Calib.qca.txt", "focalLengthU", "focal", "focalLengthU"),
        ("calibration/Calib.qca.txt", 'r11="', 'r11="x', "not a Qualisys calibration"),
        ("opensim/Balancing_for_IK.trc", "\tm\n", "\tmm\n", "'mm'"),
        ("opensim/Balancing_for_IK.trc", "RKnee", "Knee", "right_knee"),
        ("opensim/Balancing_for_IK.trc", "\n6\t", "\n", "not a .trc file"),
        ("pose/cam1_json/f000.json", "pose_keypoints_2d", "points", "not OpenPose's"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, old: str, new: str, words: str) -> None:
    write_trial(tmp_path)
    path = tmp_path / "Pose2Sim" / "Demo" / name
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))
    with pytest.raises(InputError, match=words):
        pose2sim.read_trial(tmp_path)


def test_not_pose2sim(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not pose2sim 0\.4\.0"):
        pose2sim.read_trial(tmp_path)
    with pytest.raises(InputError, match="pip download"):
        pose2sim.read_trial(tmp_path / "absent.whl")
    (tmp_path / "w.whl").write_bytes(b"PK no wheel")
    with pytest.raises(InputError, match="not a wheel"):
        pose2sim.read_trial(tmp_path / "w.whl")


def test_a_wrong_calibration_is_no_triangulation(tmp_path: Path) -> None:
    cameras, world = write_trial(tmp_path)
    people = np.stack(
        [
            np.concatenate([replace(c, name="x").project(world), np.ones((FRAMES, 25, 1))], -1)
            for c in cameras
        ]
    )
    people[1:, ..., 0] += np.array([300.0, 700.0, 1500.0])[:, None, None]
    people[1:, ..., 1] += np.array([900.0, -800.0, 400.0])[:, None, None]
    with pytest.raises(InputError, match="no two cameras agree"):
        pose2sim._triangulated(cameras, people)
