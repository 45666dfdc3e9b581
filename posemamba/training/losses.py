"""What PoseMamba is trained on (paper, section 3.4; the authors' configuration).

Every loss takes predictions and targets of shape (batch, frames, joints, 3), root-relative, in the
network's unit, and returns a scalar.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

#: Weight of each joint in :func:`smoothness`: extremities move most and jitter most.
SMOOTHNESS_WEIGHTS = (
    1.0, 1.0, 2.5, 2.5, 1.0, 2.5, 2.5, 1.0, 1.0, 1.0, 1.5, 1.5, 4.0, 4.0, 1.5, 4.0, 4.0,
)  # fmt: skip


def position(predicted: Tensor, target: Tensor) -> Tensor:
    """MPJPE: mean distance of a joint from its target. ``lambda_3d``."""
    return _mean_norm(predicted - target)


def _mean_norm(vectors: Tensor) -> Tensor:
    """Mean length over (..., 3)."""
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return lengths.mean()


def velocity(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean norm of the velocity error, frame to frame. ``lambda_3d_velocity``; 0 for one frame."""
    if predicted.shape[1] < 2:
        return predicted.sum() * 0.0
    error = predicted.diff(dim=1) - target.diff(dim=1)  # (batch, frames - 1, joints, 3)
    return _mean_norm(error)


def smoothness(predicted: Tensor) -> Tensor:
    """Mean squared frame difference of the prediction, weighted by joint. ``lambda_diff``.

    The weights are those of the 17 Human3.6M joints.
    """
    if predicted.shape[1] < 2:
        return predicted.sum() * 0.0
    weights = _weights(predicted.device, predicted.dtype)  # (joints, 1)
    return (weights * predicted.diff(dim=1).square()).mean()


@cache
def _weights(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Copied to a device once: copies at every step would wait for the GPU and stop CUDA graphs."""
    return torch.tensor(SMOOTHNESS_WEIGHTS, device=device, dtype=dtype)[:, None]


def scale(predicted: Tensor, target: Tensor) -> Tensor:
    """MPJPE after the best scale of each frame in least squares. ``lambda_scale``.

    The authors' N-MPJPE, which the paper calls the 2D re-projection term. The scale is part of the
    gradient.
    """
    square = predicted.square().sum(dim=(-1, -2), keepdim=True)  # (batch, frames, 1, 1)
    best = (predicted * target).sum(dim=(-1, -2), keepdim=True) / square.clamp_min(1e-12)
    return position(best * predicted, target)


@dataclass(frozen=True)
class PoseLoss:
    """Weighted sum of the four terms, by default the authors'. A weight of 0 drops its term."""

    lambda_3d: float = 1.0
    lambda_3d_velocity: float = 20.0
    lambda_diff: float = 0.5
    lambda_scale: float = 0.5

    def parts(self, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Every term that counts, unweighted."""
        terms: dict[str, Tensor] = {}
        if self.lambda_3d:
            terms["lambda_3d"] = position(predicted, target)
        if self.lambda_3d_velocity:
            terms["lambda_3d_velocity"] = velocity(predicted, target)
        if self.lambda_diff:
            terms["lambda_diff"] = smoothness(predicted)
        if self.lambda_scale:
            terms["lambda_scale"] = scale(predicted, target)
        return terms

    def __call__(self, predicted: Tensor, target: Tensor) -> Tensor:
        parts = self.parts(predicted, target)
        weighted: list[Tensor] = [getattr(self, name) * part for name, part in parts.items()]
        return torch.stack(weighted).sum()
