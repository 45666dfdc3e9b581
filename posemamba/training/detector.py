"""What a 2D detector does to keypoints, drawn anew for every batch; each part has its own switch.

Sizes and times are those of OpenPose on the one real trial at hand, four cameras against their own
triangulation (``tools/detector_noise.py`` measures them; docs/guide/data.md has the table). A
detector sees a person in a crop of fixed size, so its error is a share of the person's extent in
the image. ``noise`` is the part that is not: pixels, which are more of a person far away.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from posemamba.pose.preprocess import MIRROR
from posemamba.skeleton import JOINT_NAMES, NUM_JOINTS

if TYPE_CHECKING:
    from posemamba.training.config import TrainConfig

HELD_FRAMES = 8
"""How long a keypoint that is lost stays where it was, and sides stay exchanged."""
HIDDEN_FRAMES = 24
"""How long a limb is behind something: half a second at 50 Hz."""

#: Spread of each joint's jitter, both sides alike; only the ratios matter.
SPREAD = {
    "root": 0.6, "hip": 0.8, "knee": 0.9, "ankle": 0.6, "belly": 0.4, "neck": 0.7, "nose": 0.4,
    "head": 0.9, "shoulder": 0.8, "elbow": 0.9, "wrist": 1.8,
}  # fmt: skip
JITTER_TIME = 5.0
"""Frames at 50 Hz after which errors that last have fallen to 1 / e."""
LASTING = 0.8
"""Share of the jitter's variance that lasts; the rest is new in every frame."""
_MEMORY = 25  # frames back that jitter looks: exp(-5), under a hundredth, is left

ARMS_AND_LEGS = ((1, 2, 3, 4, 5, 6), (11, 12, 13, 14, 15, 16))
"""Joints that a detector exchanges with the other side's together."""
LIMBS = ((2, 3), (5, 6), (12, 13), (15, 16))
"""Knee and ankle, or elbow and wrist, which are hidden together."""


def degraded(keypoints: Tensor, config: TrainConfig, generator: torch.Generator) -> Tensor:
    """Keypoints (clips, frames, 17, 2) as a detector would give them.

    Args:
        config: ``swap_sides``, ``offset``, ``jitter``, ``lose_limbs``, ``drop_joints``, ``noise``;
            what is 0 draws nothing.
        generator: on the keypoints' device; the result depends on where it stands alone.
    """
    extent = _extent(keypoints) if config.offset or config.jitter else None
    if config.swap_sides > 0:
        keypoints = _swapped(keypoints, config.swap_sides, generator)
    if extent is not None and config.offset > 0:
        still = _normal(keypoints[:, :1], generator)
        keypoints = keypoints + config.offset * extent * still
    if extent is not None and config.jitter > 0:
        keypoints = keypoints + config.jitter * extent * _jitter(keypoints, generator)
    if config.lose_limbs > 0:
        hidden = _spans(keypoints, HIDDEN_FRAMES, len(LIMBS), config.lose_limbs, generator)
        lost = torch.zeros(keypoints.shape[:3], dtype=torch.bool, device=keypoints.device)
        for place, joints in enumerate(LIMBS):
            lost[:, :, joints] = hidden[:, :, place : place + 1]
        keypoints = _held(keypoints, lost, HIDDEN_FRAMES)
    if config.drop_joints > 0:
        lost = _spans(keypoints, HELD_FRAMES, NUM_JOINTS, config.drop_joints, generator)
        keypoints = _held(keypoints, lost, HELD_FRAMES)
    if config.noise > 0:
        keypoints = keypoints + config.noise * _normal(keypoints, generator)
    return keypoints


def _extent(keypoints: Tensor) -> Tensor:
    """The longer side of a person's box, mean over the clip: (clips, 1, 1, 1)."""
    sides = keypoints.amax(2) - keypoints.amin(2)  # (clips, frames, 2)
    return sides.amax(-1).mean(-1)[:, None, None, None]


def _swapped(keypoints: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Legs, and arms, that are the other side's for a span."""
    swaps = _spans(keypoints, HELD_FRAMES, len(ARMS_AND_LEGS), share, generator)
    for place, joints in enumerate(ARMS_AND_LEGS):
        order = [MIRROR[j] if j in joints else j for j in range(NUM_JOINTS)]
        keypoints = torch.where(swaps[:, :, place, None, None], keypoints[:, :, order], keypoints)
    return keypoints


def _jitter(keypoints: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of variance one over all joints, most of it correlated in time.

    White noise under a window that falls off exponentially has that falling-off as its
    autocorrelation: one convolution, where a recurrence would be a launch a frame.
    """
    clips, frames, joints, axes = keypoints.shape
    falling = torch.exp(-torch.arange(_MEMORY + 1, device=keypoints.device) / JITTER_TIME)
    window = (falling / falling.norm()).flip(0)[None, None]  # (1, 1, memory + 1)
    longer = torch.empty(clips * joints * axes, 1, frames + _MEMORY, device=keypoints.device)
    lasting = F.conv1d(_normal(longer, generator), window).view(clips, joints, axes, frames)
    fresh = _normal(keypoints, generator)
    mixed = math.sqrt(LASTING) * lasting.permute(0, 3, 1, 2) + math.sqrt(1 - LASTING) * fresh
    return mixed * _spread(keypoints.device)[:, None]


def _spread(device: torch.device) -> Tensor:
    """:data:`SPREAD` of each of the 17, root mean square one."""
    spread = torch.tensor([SPREAD[name.split("_")[-1]] for name in JOINT_NAMES], device=device)
    return spread / spread.square().mean().sqrt()


def _spans(
    keypoints: Tensor, length: int, groups: int, share: float, generator: torch.Generator
) -> Tensor:
    """True (clips, frames, groups) in a share of the spans of ``length`` frames."""
    clips, frames = keypoints.shape[:2]
    spans = -(-frames // length)
    drawn = torch.rand(clips, spans, groups, generator=generator, device=keypoints.device)
    span_of = torch.arange(frames, device=keypoints.device) // length
    return (drawn < share)[:, span_of]


def _held(keypoints: Tensor, lost: Tensor, length: int) -> Tensor:
    """Lost joints (clips, frames, 17) where they were in their span's first frame."""
    first = torch.arange(keypoints.shape[1], device=keypoints.device) // length * length
    return torch.where(lost[..., None], keypoints[:, first], keypoints)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device)
