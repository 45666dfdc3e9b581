"""Anything that lifts clips, as a function of arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from posemamba.pose.preprocess import flip_tta

Floats = npt.NDArray[np.float32]

#: (batch, frames, 17, 2) normalised keypoints to (batch, frames, 17, 3) in the network's unit.
Lift = Callable[[Floats], Floats]


def with_flip(lift: Lift) -> Lift:
    """``lift`` averaged with the mirror of what it makes of the mirrored clip."""

    def lift_both(keypoints_2d: Floats) -> Floats:
        poses: Floats = flip_tta(lift, keypoints_2d)
        return poses

    return lift_both
