"""MotionBERT's network (Zhu et al., ICCV 2023, section 3.2; 512 channels, 5 layers, 8 heads).

Written from the paper, with random weights: only its speed is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from benchmarks.networks.forward import FRAMES

CHANNELS, LAYERS, HEADS, MLP_RATIO, JOINTS = 512, 5, 8, 2, 17

Axis = Literal["joints", "frames"]


class Attention(nn.Module):
    """Self-attention among the joints of a frame or the frames of a joint."""

    def __init__(self, axis: Axis) -> None:
        super().__init__()
        self.axis = axis
        self.qkv = nn.Linear(CHANNELS, 3 * CHANNELS)
        self.out = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:  # (batch, frames, joints, channels), as the result
        parts = self.qkv(x).unflatten(-1, (3, HEADS, -1))  # (batch, frames, joints, 3, heads, c)
        order = (3, 0, 1, 4, 2, 5) if self.axis == "joints" else (3, 0, 2, 4, 1, 5)
        q, k, v = parts.permute(order).flatten(1, 2)  # each (batch * other axis, heads, axis, c)
        mixed = scaled_dot_product_attention(q, k, v)
        mixed = torch.unflatten(mixed.transpose(1, 2).flatten(2), 0, (x.shape[0], -1))
        return self.out(mixed if self.axis == "joints" else mixed.transpose(1, 2))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(CHANNELS, MLP_RATIO * CHANNELS)
        self.narrow = nn.Linear(MLP_RATIO * CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return self.narrow(gelu(self.wide(x)))  # type: ignore[no-any-return]


class Stream(nn.Module):
    """Attention and MLP along one axis, then along the other, each behind a norm, all residual."""

    def __init__(self, axes: tuple[Axis, Axis]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(CHANNELS), step)
            for axis in axes
            for step in (Attention(axis), Mlp())
        )

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = x + step(x)
        return x


class MotionBert(nn.Module):
    """Layers of two streams (space first, time first), mixed by weights learnt for each joint."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, CHANNELS)
        self.joint_embedding = nn.Parameter(0.02 * torch.randn(JOINTS, CHANNELS))
        self.frame_embedding = nn.Parameter(0.02 * torch.randn(FRAMES, 1, CHANNELS))
        self.space_first = nn.ModuleList(Stream(("joints", "frames")) for _ in range(LAYERS))
        self.time_first = nn.ModuleList(Stream(("frames", "joints")) for _ in range(LAYERS))
        self.mix = nn.ModuleList(nn.Linear(2 * CHANNELS, 2) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(CHANNELS)
        self.representation = nn.Linear(CHANNELS, CHANNELS)
        self.head = nn.Linear(CHANNELS, 3)

    def forward(self, keypoints: Tensor) -> Tensor:  # (batch, frames, joints, 3), as the result
        x = self.embed(keypoints) + self.joint_embedding + self.frame_embedding
        for space_first, time_first, mix in zip(
            self.space_first, self.time_first, self.mix, strict=True
        ):
            a, b = space_first(x), time_first(x)
            share = mix(torch.cat((a, b), -1)).softmax(-1)  # (batch, frames, joints, 2)
            x = a * share[..., :1] + b * share[..., 1:]
        return self.head(torch.tanh(self.representation(self.norm(x))))  # type: ignore[no-any-return]


def with_confidence(keypoints_2d: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What it is fed: keypoints with a confidence of 1, (..., 3)."""
    return np.concatenate((keypoints_2d, np.ones_like(keypoints_2d[..., :1])), -1)


def compiled() -> Callable[[Tensor], Tensor]:
    """As fast as PyTorch makes it: half-precision weights, attention in one kernel, compiled."""
    model = MotionBert().cuda().half().eval()
    torch.compiler.reset()  # or another batch would be compiled for any batch, and slower
    model.compile()

    @torch.no_grad()
    def network(keypoints: Tensor) -> Tensor:
        poses: Tensor = model(keypoints.half())
        return poses.float()

    return network
