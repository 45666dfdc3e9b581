"""Errors of anything that lifts clips, over a clip set, in millimetres."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from posemamba.errors import InputError
from posemamba.pose.metrics import Array, mpjpe, mpjpe_per_joint, n_mpjpe, p_mpjpe, velocity_error
from posemamba.skeleton import JOINT_NAMES, PARENTS, ROOT
from posemamba.text import printable

if TYPE_CHECKING:
    from posemamba.data.clip_set import ClipSet
    from posemamba.pose.lift import Lift


def why_unmeasurable(clips: ClipSet) -> str | None:
    """Why errors over these clips mean nothing, with what to do; None where they do."""
    if clips.frames < 2:
        return "clips of one frame have no velocity to measure: make longer ones"
    return why_no_truth(clips)


def why_no_truth(clips: ClipSet) -> str | None:
    """Which pose is a point and none of a person, with what to do; None where there is none.

    Aligned with it, any pose has no error at all, and a network learns from it to answer a point.
    """
    extent = np.ptp(clips.poses_3d, axis=2).max(axis=-1)  # (clips, frames)
    for clip, frame in np.argwhere(extent <= 0.0):
        return (
            f"poses_3d of clip '{printable(clips.names[clip])}', frame {frame}, has all joints at "
            "one place: leave such frames out"
        )
    return None


BONES_M = (0.4, 40.0)
"""All 16 bones of a grown person are 4 to 5 m; a tenth and ten times that is another unit."""


def doubtful_size(clips: ClipSet) -> str | None:
    """What to say where people are no people's size, so that errors are in no millimetres.

    A scale that makes metres gives figures a thousand times better than they are.
    """
    bones = np.linalg.norm(clips.poses_3d - clips.poses_3d[:, :, list(PARENTS)], axis=-1).sum(-1)
    metres = np.median(bones, axis=1) * clips.mm_per_unit / 1000
    least, most = BONES_M
    for clip in np.flatnonzero((metres < least) | (metres > most)):
        return (
            f"the bones of clip '{printable(clips.names[clip])}' are {metres[clip]:.3g} m in all, "
            "a person's 4: look whether poses_3d times mm_per_unit are millimetres"
        )
    return None


def clip_errors(lift: Lift, clips: ClipSet) -> dict[str, float]:
    """Mean errors over all frames of all clips, each clip at its own scale.

    Args:
        lift: (1, frames, 17, 2) to (1, frames, 17, 3) in the network's unit.
        clips: clips of one length, so that a mean over clips is one over frames.

    Returns:
        ``mpjpe_mm`` (root-relative, both roots subtracted), ``p_mpjpe_mm`` (each frame aligned by
        a similarity) and ``mpjve_mm`` (mm per frame).
    """
    totals = np.zeros(3)
    for pose, goal in _pairs(lift, clips):
        totals += mpjpe(pose, goal), p_mpjpe(pose, goal), velocity_error(pose, goal)
    means = totals / len(clips.names)
    return dict(zip(("mpjpe_mm", "p_mpjpe_mm", "mpjve_mm"), map(float, means), strict=True))


def detailed_errors(lift: Lift, clips: ClipSet) -> tuple[dict[str, float], dict[str, float]]:
    """As :func:`clip_errors`, with ``n_mpjpe_mm`` (each frame at its best scale), and by joint.

    Returns:
        the four means, and the MPJPE of each joint by its name; both in millimetres.
    """
    totals, by_joint = np.zeros(4), np.zeros(clips.keypoints_2d.shape[2])
    for pose, goal in _pairs(lift, clips):
        totals += (
            mpjpe(pose, goal),
            p_mpjpe(pose, goal),
            n_mpjpe(pose, goal),
            velocity_error(pose, goal),
        )
        by_joint += mpjpe_per_joint(pose, goal)
    names = ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm")
    means = dict(zip(names, map(float, totals / len(clips)), strict=True))
    return means, dict(zip(JOINT_NAMES, map(float, by_joint / len(clips)), strict=True))


def _pairs(lift: Lift, clips: ClipSet) -> Iterator[tuple[Array, Array]]:
    """Prediction and truth of each clip: (frames, joints, 3) root-relative, in millimetres.

    Raises:
        InputError: :func:`why_unmeasurable`.
    """
    if (reason := why_unmeasurable(clips)) is not None:
        raise InputError(reason)
    for keypoints_2d, truth, scale in zip(
        clips.keypoints_2d, clips.poses_3d, clips.mm_per_unit, strict=True
    ):
        pair = (part.astype(np.float64) for part in (lift(keypoints_2d[None])[0], truth))
        pose, goal = ((part - part[:, ROOT : ROOT + 1]) * float(scale) for part in pair)
        yield pose, goal
