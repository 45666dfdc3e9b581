"""What a network must beat before its figures mean anything: NumPy, no training loop.

* :func:`constant_pose`: the mean pose of the training clips, whatever the input.
* :func:`fit_linear`: ridge regression from the 2D keypoints of a frame, or of a window of frames
  around it, to its 3D pose.

Each is a :data:`posemamba.pose.lift.Lift`, as a network is; an untrained one
(:func:`posemamba.checkpoint.untrained.untrained_network`) is the third thing to beat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError
from posemamba.skeleton import NUM_JOINTS

if TYPE_CHECKING:
    from posemamba.data.clip_set import ClipSet

Floats = npt.NDArray[np.float32]

#: Weight of the penalty, relative to the mean square of the features: small enough to leave a
#: well-posed fit alone, large enough for joints that always move together.
RIDGE = 1e-4


@dataclass(frozen=True)
class ConstantPose:
    """One pose for every frame.

    Attributes:
        pose: (17, 3) in the network's unit.
    """

    pose: Floats

    def __call__(self, keypoints_2d: Floats) -> Floats:
        shape = (*keypoints_2d.shape[:2], *self.pose.shape)
        poses: Floats = np.broadcast_to(self.pose, shape).copy()
        return poses


def constant_pose(train: ClipSet) -> ConstantPose:
    """The mean of all poses of a clip set, in the network's unit."""
    mean = train.poses_3d.mean(axis=(0, 1), dtype=np.float64)  # (17, 3)
    return ConstantPose(mean.astype(np.float32))


@dataclass(frozen=True)
class LinearLifter:
    """An affine map from a window of 2D keypoints to the 3D pose of its middle frame.

    Attributes:
        weight: (window * 34 + 1, 51); the last row is the bias.
        window: frames the map sees, odd; at the ends of a clip the end frame is repeated.
    """

    weight: npt.NDArray[np.float64]
    window: int

    def __call__(self, keypoints_2d: Floats) -> Floats:
        batch, frames = keypoints_2d.shape[:2]
        poses = _features(keypoints_2d, self.window) @ self.weight  # (batch * frames, 51)
        return poses.reshape(batch, frames, NUM_JOINTS, 3).astype(np.float32)


def fit_linear(train: ClipSet, *, window: int = 1, ridge: float = RIDGE) -> LinearLifter:
    """Fit a ridge regression on every frame of a clip set.

    The penalty is on all weights but the bias. Sums run clip by clip in float64, so memory does not
    grow with the set.

    Args:
        window: frames the map sees, odd.
        ridge: penalty, relative to the mean square of the features.

    Raises:
        InputError: an even or non-positive window, or a negative ridge.
    """
    if window < 1 or window % 2 == 0:
        raise InputError(f"window is {window}: it must be odd, the frame and as many on each side")
    if not ridge >= 0:
        raise InputError(f"ridge is {ridge}: it must be 0 or more")
    width = window * NUM_JOINTS * 2 + 1
    gram = np.zeros((width, width))
    cross = np.zeros((width, NUM_JOINTS * 3))
    for keypoints_2d, poses_3d in zip(train.keypoints_2d, train.poses_3d, strict=True):
        features = _features(keypoints_2d[None], window)  # (frames, width)
        gram += features.T @ features
        cross += features.T @ poses_3d.reshape(len(features), -1).astype(np.float64)
    penalty = np.full(width, ridge * float(np.trace(gram[:-1, :-1])) / (width - 1))
    penalty[-1] = 0.0
    # Least squares, not solve: with ridge 0 the joints may be linearly dependent.
    weight = np.linalg.lstsq(gram + np.diag(penalty), cross, rcond=None)[0]
    return LinearLifter(weight.astype(np.float64), window)


def _features(keypoints_2d: Floats, window: int) -> npt.NDArray[np.float64]:
    """(batch, frames, 17, 2) to (batch * frames, window * 34 + 1), the last column ones."""
    batch, frames = keypoints_2d.shape[:2]
    half = window // 2
    # (frames, window) frame at each place of the window around each frame, kept inside the clip
    place = np.clip(np.arange(frames)[:, None] + np.arange(-half, half + 1), 0, frames - 1)
    windows = keypoints_2d.astype(np.float64)[:, place]  # (batch, frames, window, 17, 2)
    flat = windows.reshape(batch * frames, -1)
    return np.concatenate([flat, np.ones((len(flat), 1))], axis=1)
