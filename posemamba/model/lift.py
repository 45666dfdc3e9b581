"""Clips of any length through a network: cut, lifted, joined."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from posemamba.model.network import PoseMamba
from posemamba.pose.lift import Floats, Lift
from posemamba.pose.preprocess import merge_clips, split_clips


def lift_clip(model: PoseMamba, keypoints_2d: npt.NDArray[Any]) -> Floats:
    """Poses of one clip, on the model's device; memory does not grow with its length.

    Args:
        keypoints_2d: (frames, 17, 2) normalised.

    Returns:
        (frames, 17, 3).
    """
    device = model.Spatial_pos_embed.device
    pieces = split_clips(np.asarray(keypoints_2d, dtype=np.float32), model.config.frames)
    with torch.inference_mode():
        lifted = [model(torch.from_numpy(piece[None]).to(device))[0].cpu() for piece in pieces]
    poses: Floats = merge_clips(torch.stack(lifted).numpy(), len(keypoints_2d))
    return poses


def as_lift(model: PoseMamba) -> Lift:
    """A network as a function of arrays, for clips longer than it takes too."""

    def lift(keypoints_2d: Floats) -> Floats:
        return np.stack([lift_clip(model, clip) for clip in keypoints_2d])

    return lift
