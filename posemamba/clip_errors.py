"""Errors of anything that lifts clips, over a clip set, in millimetres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from posemamba.metrics import mpjpe, p_mpjpe, velocity_error
from posemamba.skeleton import ROOT

if TYPE_CHECKING:
    from posemamba.data.clip_set import ClipSet
    from posemamba.lifting import Lift


def clip_errors(lift: Lift, clips: ClipSet) -> dict[str, float]:
    """Mean errors over all frames of all clips, each clip at its own scale.

    Args:
        lift: (1, frames, 17, 2) to (1, frames, 17, 3) in the network's unit.
        clips: clips of one length, so that a mean over clips is one over frames.

    Returns:
        ``mpjpe_mm`` (root-relative, both roots subtracted), ``p_mpjpe_mm`` (each frame aligned by
        a similarity) and ``mpjve_mm`` (mm a frame).
    """
    totals = np.zeros(3)
    for keypoints_2d, truth, scale in zip(
        clips.keypoints_2d, clips.poses_3d, clips.mm_per_unit, strict=True
    ):
        pair = [lift(keypoints_2d[None])[0], truth]
        pose, goal = (
            (part - part[:, ROOT : ROOT + 1]).astype(np.float64) * float(scale) for part in pair
        )
        totals += mpjpe(pose, goal), p_mpjpe(pose, goal), velocity_error(pose, goal)
    means = totals / len(clips.names)
    return dict(zip(("mpjpe_mm", "p_mpjpe_mm", "mpjve_mm"), map(float, means), strict=True))
