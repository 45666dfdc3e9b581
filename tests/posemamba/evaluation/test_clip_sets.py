"""Errors over clip sets against the formulas written out, and sets that have none."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from float64_tolerance import ROUNDING

from posemamba.data.clip_set import ClipSet
from posemamba.errors import InputError
from posemamba.evaluation.clip_sets import clip_errors, detailed_errors, why_unmeasurable
from posemamba.training.clip_checks import check_training, check_validation, warn_of_units

Floats = npt.NDArray[np.float32]
RNG = np.random.default_rng(0)


def clips(frames: int = 9, root: float = 0.0) -> ClipSet:
    poses = RNG.normal(scale=0.3, size=(3, frames, 17, 3)).astype(np.float32)
    poses += np.float32(root) - poses[:, :, :1]
    points = RNG.normal(scale=0.3, size=(3, frames, 17, 2)).astype(np.float32)
    return ClipSet(points, poses, np.array([800, 1000, 1250], np.float32), ("a/b/0", "c", "d"))


def lift(keypoints_2d: Floats) -> Floats:
    """A pose of each frame, its root away from the origin, in half precision."""
    depth = np.sin(3 * keypoints_2d).sum(axis=-1, keepdims=True)
    poses: Floats = (np.concatenate([keypoints_2d, depth], axis=-1) + 7).astype(np.float16)
    return poses


def written_out(given: ClipSet) -> tuple[list[float], list[float]]:
    """MPJPE, P-MPJPE, N-MPJPE and MPJVE, frame by frame; and MPJPE by joint."""
    sums, by_joint = np.zeros(4), np.zeros(17)
    count = len(given) * given.frames
    for clip in range(len(given)):
        pose = lift(given.keypoints_2d[clip][None])[0].astype(np.float64)
        goal = given.poses_3d[clip].astype(np.float64)
        pose, goal = ((p - p[:, :1]) * float(given.mm_per_unit[clip]) for p in (pose, goal))
        by_joint += np.sqrt(((pose - goal) ** 2).sum(-1)).sum(0)
        for a, b in zip(pose, goal, strict=True):
            sums[0] += np.sqrt(((a - b) ** 2).sum(-1)).mean()
            x, y = a - a.mean(0), b - b.mean(0)
            u, s, vt = np.linalg.svd(y.T @ x)  # Kabsch: y is rotated x
            s[2] *= np.sign(np.linalg.det(u @ vt))
            u[:, 2] *= np.sign(np.linalg.det(u @ vt))
            sums[1] += np.linalg.norm(s.sum() / (x**2).sum() * x @ (u @ vt).T - y, axis=-1).mean()
            scale = (a * b).sum() / (a * a).sum()
            sums[2] += np.linalg.norm(scale * a - b, axis=-1).mean()
        steps = np.linalg.norm((pose[1:] - pose[:-1]) - (goal[1:] - goal[:-1]), axis=-1)
        sums[3] += steps.mean() * given.frames
    return list(sums / count), list(by_joint / count)


@pytest.mark.parametrize("root", [0.0, 5.0])
def test_errors_are_those_of_the_formulas(root: float) -> None:
    given = clips(root=root)
    means, joints = detailed_errors(lift, given)
    expected, by_joint = written_out(given)
    assert list(means.values()) == pytest.approx(expected, rel=ROUNDING)
    assert list(joints.values()) == pytest.approx(by_joint, rel=ROUNDING)
    assert clip_errors(lift, given) == pytest.approx(
        {name: value for name, value in means.items() if name != "n_mpjpe_mm"}, rel=ROUNDING
    )


def still(frame: int) -> ClipSet:
    """One pose is a single point."""
    given = clips()
    poses = given.poses_3d.copy()
    poses[1, frame] = 0.25
    return replace(given, poses_3d=poses)


UNMEASURABLE = {
    "one frame": (clips(1), "clips of one frame"),
    "a pose without extent": (still(4), "clip 'c', frame 4, has all joints at one place"),
}


@pytest.mark.parametrize("name", UNMEASURABLE)
def test_what_has_no_errors_is_refused(name: str) -> None:
    given, says = UNMEASURABLE[name]
    for measure in (clip_errors, detailed_errors):
        with pytest.raises(InputError, match=says):
            measure(lift, given)
    with pytest.raises(InputError, match=f"'v.npz': .*{says}"):
        check_validation(given, "'v.npz'")


def test_what_can_be_measured_is() -> None:
    assert why_unmeasurable(clips(2)) is None
    check_validation(clips(2, root=5.0), "'v.npz'")  # the root is taken off


def test_poses_that_are_not_root_relative_are_not_learned() -> None:
    check_training(clips(), 9, "'t.npz'")
    with pytest.raises(InputError, match=r"'t\.npz': poses_3d are not root-relative, joint 0 is"):
        check_training(clips(root=0.1), 9, "'t.npz'")


UNITS = {
    "a scale to metres": ({"mm_per_unit": 1e-3}, "the bones of clip 'a/b/0' are 0.0"),
    "poses in millimetres": ({"poses_3d": 1e3}, "people measure"),
    "keypoints of another scale": ({"keypoints_2d": 0.01}, "people measure"),
}


@pytest.mark.parametrize("name", UNITS)
def test_units_that_are_doubtful_are_told(name: str) -> None:
    """One of the three numbers is in another unit; errors would be off by the same factor."""
    factors, says = UNITS[name]
    given = clips()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_units(given, "'c.npz'")
    changed = {field: getattr(given, field) * np.float32(by) for field, by in factors.items()}
    with pytest.warns(UserWarning, match=f"'c.npz': {says}"):
        warn_of_units(replace(given, **changed), "'c.npz'")
