"""VMamba, a classifier of images (Liu et al., arXiv 2401.10166, section 4).

pmexport export-module vmamba.py:build --input image=2x3x32x32 --dynamic batch:8=image:0 \
    -o vmamba.onnx
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from pmexport.ops import SS2D


class Block(nn.Module):
    """SS2D and an MLP, each a residual branch behind its norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.op = SS2D(width, d_state=1, forward_type="v05_noz", conv_bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.op(self.norm(x))
        return x + self.mlp(self.norm2(x))


class VMamba(nn.Module):
    """Patches through stages of blocks; between two stages the grid is halved."""

    def __init__(self, widths: tuple[int, ...] = (16, 32), blocks: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 4, stride=4)
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(blocks))) for width in widths
        )
        self.halvings = nn.ModuleList(
            nn.Conv2d(one, two, 3, stride=2, padding=1) for one, two in pairwise(widths)
        )
        self.norm = nn.LayerNorm(widths[-1])
        self.head = nn.Linear(widths[-1], 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        for index, stage in enumerate(self.stages):
            if index:
                x = self.halvings[index - 1](x)
            x = stage(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        scores: Tensor = self.head(self.norm(x.mean((2, 3))))
        return scores


def build() -> nn.Module:
    """The network, seeded."""
    torch.manual_seed(0)
    return VMamba()
