"""A lifter in the style of HGMamba: scans over all joints and frames beside a joint graph.

After arXiv 2504.06638; its hypergraph is a plain graph of the skeleton here.

pmexport export-module hgmamba.py:build --input keypoints=2x9x17x2 --dynamic batch:8=keypoints:0 \
    --dynamic frames:81=keypoints:1 -o hgmamba.onnx
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pmexport.ops import Mamba

#: Bones of Human3.6M's 17 joints.
BONES = ((0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 9), (9, 10), (8, 11),
         (11, 12), (12, 13), (8, 14), (14, 15), (15, 16))  # fmt: skip


class Positions(nn.Module):
    """A bidirectional block over all positions, frame by frame or joint by joint."""

    def __init__(self, width: int, joint_by_joint: bool) -> None:
        super().__init__()
        self.joint_by_joint = joint_by_joint
        self.forward_backward_mamba = Mamba(width, bimamba_type="v2")

    def forward(self, x: Tensor) -> Tensor:
        grid = x.transpose(1, 2) if self.joint_by_joint else x
        y = torch.unflatten(self.forward_backward_mamba(grid.flatten(1, 2)), 1, grid.shape[1:3])
        return y.transpose(1, 2) if self.joint_by_joint else y


class Neighbours(nn.Module):
    """Each joint's neighbours on the skeleton, averaged and projected."""

    def __init__(self, width: int) -> None:
        super().__init__()
        links = torch.eye(17)
        for one, other in BONES:
            links[one, other] = links[other, one] = 1.0
        self.register_buffer("mean", links / links.sum(1, keepdim=True))
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.gelu(self.project(self.mean @ x))


class Block(nn.Module):
    """Two scans and the graph side by side, weighed for each position; then an MLP."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ways = nn.ModuleList([Positions(width, False), Positions(width, True)])
        self.graph = Neighbours(width)
        self.weigh = nn.Linear(3 * width, 3)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        given = self.norm(x)
        parts = [*(way(given) for way in self.ways), self.graph(given)]
        weights = self.weigh(torch.cat(parts, dim=-1)).softmax(dim=-1)
        x = x + sum(part * weights[..., k, None] for k, part in enumerate(parts))
        return x + self.mlp(self.norm2(x))


class Lifter(nn.Module):
    """Keypoints (batch, frames, 17, 2) to poses (batch, frames, 17, 3)."""

    def __init__(self, width: int = 16, depth: int = 1) -> None:
        super().__init__()
        self.embed = nn.Linear(2, width)
        self.joint = nn.Parameter(torch.randn(17, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3))

    def forward(self, keypoints: Tensor) -> Tensor:
        poses: Tensor = self.head(self.blocks(self.embed(keypoints) + self.joint))
        return poses


def build() -> nn.Module:
    """The network, seeded."""
    torch.manual_seed(0)
    return Lifter()
