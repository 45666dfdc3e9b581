"""Blocks of other authors with their weights and outputs, in ``tests/data/golden/mamba``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from places import GOLDEN
from safetensors.torch import load_file
from torch import Tensor, nn

from posemamba.mamba import SS2D, Mamba

MAMBA = GOLDEN / "mamba"
#: Both sides are float32 sums of at most some hundred terms, in another order.
TOLERANCE = 1e-5


class Positions(nn.Module):
    """HGMamba's block: Vim's over all positions of (batch, frames, joints, channels)."""

    def __init__(self, joint_by_joint: bool) -> None:
        super().__init__()
        self.joint_by_joint = joint_by_joint
        self.forward_backward_mamba = Mamba(16, bimamba_type="v2")

    def forward(self, x: Tensor) -> Tensor:
        grid = x.transpose(1, 2) if self.joint_by_joint else x
        y = torch.unflatten(self.forward_backward_mamba(grid.flatten(1, 2)), 1, grid.shape[1:3])
        return y.transpose(1, 2) if self.joint_by_joint else y


class Block(NamedTuple):
    """How to build a block, and the axes of its input that may be dynamic."""

    make: Callable[[], nn.Module]
    dynamic: tuple[int, ...]


BLOCKS: dict[str, Block] = {
    "mamba_d32_n16": Block(lambda: Mamba(32), (0, 1)),
    "mamba_d32_n8": Block(lambda: Mamba(32, d_state=8), (0, 1)),
    "vim_v2_d32_n16": Block(lambda: Mamba(32, bimamba_type="v2"), (0, 1)),
    "vim_v2_d16_n16_halved": Block(
        lambda: Mamba(16, bimamba_type="v2", if_divide_out=True, init_layer_scale=0.1), (0, 1)
    ),
    "hgmamba_spatial_d16": Block(lambda: Positions(False), (0, 1)),
    "hgmamba_temporal_d16": Block(lambda: Positions(True), (0, 1)),
    "vmamba_v0_d32_n16": Block(lambda: SS2D(32, forward_type="v0"), (0, 1)),
    "vmamba_v05_noz_d32_n1": Block(
        lambda: SS2D(32, 1, forward_type="v05_noz", channel_first=True, conv_bias=False), (0, 2)
    ),
}


def build(name: str) -> nn.Module:
    """A block with the authors' weights; every key must be one of ours, and none may be left."""
    block = BLOCKS[name].make().eval()
    block.load_state_dict(load_file(MAMBA / f"{name}.safetensors"))
    return block


def outputs(name: str) -> tuple[Any, Any]:
    """Input and the authors' output."""
    with np.load(MAMBA / f"{name}_io.npz") as archive:
        return archive["x"], archive["y"]
