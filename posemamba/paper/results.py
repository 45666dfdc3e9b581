"""Errors that the authors publish, each with the place it was read at.

Only figures read in a source named here are listed; the rest of the paper's tables is left out
rather than quoted from memory or from third parties.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """MPJPE in mm on Human3.6M, 243 frames, with flip augmentation.

    Attributes:
        detected: protocol 1 with 2D keypoints of a stacked hourglass.
        ground_truth: protocol 1 with ground-truth 2D; the official code puts the input's xy into
            the prediction there, so it is an error of depth alone.
    """

    detected: float
    ground_truth: float


H36M: dict[str, Published] = {
    "S": Published(detected=41.8, ground_truth=20.0),
    "B": Published(detected=40.8, ground_truth=16.8),
    "L": Published(detected=38.1, ground_truth=15.6),
}
H36M_SOURCE = (
    "README of the authors' repository nankingjing/PoseMamba, commit 11a3659, 'Results on "
    "Human3.6M'; nothing for X, for protocol 2 or for MPI-INF-3DHP stands there"
)
COUNTS_SOURCE = "PoseMamba, AAAI 2025 (arXiv 2408.03540v2), Table 2"
