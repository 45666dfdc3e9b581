"""Inverse kinematics against forward kinematics by matrices, written here a second time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from float64_tolerance import check
from motions import JOINTS, PARENTS, STANDING, bone_slack, motion, poses, upright

from posemamba_runtime import skeleton
from posemamba_runtime.body import quaternions as quat
from posemamba_runtime.body.kinematics import forward, rest_offsets, rotations
from posemamba_runtime.body.scene import scene_of
from posemamba_runtime.body.skeleton import REST_DIRECTIONS

Array = npt.NDArray[Any]

EXACT = 1e-6  # poses are float32, of about a metre


def matrix(quaternion: Array) -> Array:
    """The textbook's rotation matrix of w, x, y, z."""
    w, x, y, z = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def by_matrices(local: Array, offsets: Array) -> Array:
    """(n, 17, 3) y up: each bone turned by its own and all its ancestors' rotations."""
    points = np.zeros((len(local), 17, 3))
    for n, frame in enumerate(local):
        turns = [matrix(frame[0])]
        for joint in range(1, 17):
            turns.append(turns[PARENTS[joint]] @ matrix(frame[joint]))
            points[n, joint] = points[n, PARENTS[joint]] + turns[joint] @ offsets[joint]
    return points


def random_poses(frames: int) -> Array:
    points = np.random.default_rng(3).normal(size=(frames, 17, 3))
    return points - points[:, :1]


def test_skeleton_is_as_it_is_written_here() -> None:
    assert skeleton.JOINT_NAMES == JOINTS
    assert skeleton.PARENTS == PARENTS
    sides = [name.split("_")[0] for name in JOINTS]
    assert tuple({"left": 1, "right": -1}.get(side, 0) for side in sides) == skeleton.SIDES


def test_forward_gives_the_pose_back_to_within_the_change_of_bones() -> None:
    pose = poses(60)
    local, offsets = rotations(pose), rest_offsets(pose)
    back = by_matrices(local, offsets)
    error = np.linalg.norm(back - upright(pose), axis=-1)
    assert (error <= bone_slack(pose) + EXACT).all()
    assert error.max() > 1e-3, "the bones of this test must change, or it shows nothing"
    check(upright(forward(local, offsets)), back)


@pytest.mark.parametrize("frame", range(0, 300, 7))
def test_any_pose_is_exact_with_its_own_bones(frame: int) -> None:
    """Whatever the pose: nothing but the length of bones is given up."""
    pose = random_poses(300)[frame : frame + 1]
    back = by_matrices(rotations(pose), rest_offsets(pose))
    check(back, upright(pose))


def test_unit_quaternions_that_follow_each_other() -> None:
    local = rotations(poses(120))
    check(np.linalg.norm(local, axis=-1), 1.0)
    assert ((local[1:] * local[:-1]).sum(-1) > 0.9).all()


def test_the_rest_pose_is_the_identity() -> None:
    offsets = rest_offsets(STANDING[None])
    rest = forward(np.tile([1.0, 0, 0, 0], (1, 17, 1)), offsets)
    check(rotations(rest), np.tile([1.0, 0, 0, 0], (1, 17, 1)))
    pose = upright(rest)[0]
    assert pose[13, 0] > 0.5, "the left arm points to the image's right"
    assert pose[3, 1] < -0.5, "feet are down"
    assert pose[9, 2] > 0, "the nose is towards the camera"


def test_bones_swing_and_do_not_twist() -> None:
    """The shortest arc from a bone at rest has an axis across it."""
    local = rotations(poses(40))
    along = np.einsum("njk,jk->nj", local[..., 1:], REST_DIRECTIONS)
    check(along[:, 1:], 0.0)


@pytest.mark.parametrize("turn", [0.0, 0.5, 1.57, 3.1, np.pi])
def test_the_body_turns_with_the_person(turn: float) -> None:
    cos, sin = np.cos(turn), np.sin(turn)
    about_y = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    pose = upright(upright(STANDING) @ about_y.T)[None]
    body = matrix(rotations(pose)[0, 0])
    np.testing.assert_allclose(body @ [0, 0, 1], about_y @ [0, 0, 1], atol=0.05)  # belly leans
    np.testing.assert_allclose(body @ [1, 0, 0], about_y @ [1, 0, 0], atol=1e-6)


ODD: dict[str, Array] = {
    "everything at one point": np.zeros((2, 17, 3)),
    "hips at one point": np.where(np.isin(np.arange(17), [1, 4])[None, :, None], 0, STANDING[None]),
    "spine along the hips": np.where(
        (np.arange(17) == 7)[None, :, None], [0.3, 0.05, 0], STANDING[None]
    ),
    "arms straight against rest": STANDING[None] * [-1, 1, 1],
    "upside down": STANDING[None] * [1, -1, 1],
}


@pytest.mark.parametrize("name", ODD)
def test_odd_poses_have_rotations(name: str) -> None:
    pose = ODD[name]
    local = rotations(pose)
    assert np.isfinite(local).all()
    back = by_matrices(local, rest_offsets(pose))
    np.testing.assert_allclose(back, upright(pose), atol=3e-6)  # a half turn's axis: 2e-6 radians


def test_quaternions_turn_as_their_matrices() -> None:
    rng = np.random.default_rng(5)
    q, p = rng.normal(size=(2, 50, 4))
    q, p = (value / np.linalg.norm(value, axis=-1, keepdims=True) for value in (q, p))
    vector = rng.normal(size=(50, 3))
    mats = np.stack([matrix(row) for row in q])
    check(quat.to_matrices(q), mats)
    np.testing.assert_allclose(quat.rotate(q, vector), np.einsum("nij,nj->ni", mats, vector))
    both = np.stack([matrix(a) @ matrix(b) for a, b in zip(q, p, strict=True)])
    check(quat.to_matrices(quat.multiply(q, p)), both)
    again = quat.from_axes(*(mats[:, :, axis] for axis in range(3)))
    check(quat.to_matrices(again), mats)


def test_scene_stands_on_its_floor_and_keeps_people_apart() -> None:
    scene = scene_of(motion(people=3))
    feet = np.concatenate([points[:, [3, 6], 1].min(1) for points in scene.points])
    assert (feet < 0).mean() <= 0.06, "5 % of the frames may have a foot below the floor"
    assert not scene.placed
    first, second = (points[..., 0] for points in scene.points[:2])
    assert first.max() < second.min(), "side by side, in the order of the image"
    assert scene_of(motion(people=2, root=True)).placed
    assert [scene_of(motion(units=u)).step for u in ("m", "mm", "network")] == [1.0, 1000.0, 0.5]


def test_who_comes_later_takes_a_free_place() -> None:
    """Fifty short tracks in a row of people would make all of them tiny."""
    one = motion(10).tracks[0]
    after = [replace(one, person=n, frames=one.frames + 10 * n) for n in range(50)]
    given = motion(10)
    alone = scene_of(given)
    assert scene_of(replace(given, tracks=tuple(after))).reach == pytest.approx(alone.reach)
    at_once = tuple(replace(one, person=n) for n in range(5))
    row = [points[0, 0, 0] for points in scene_of(replace(given, tracks=at_once)).points]
    assert len(set(np.round(row, 3))) == 5
