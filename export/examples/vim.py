"""Vision Mamba, a classifier of images (Zhu et al., arXiv 2401.09417, section 3).

pmexport export-module vim.py:build --input image=2x3x32x32 --dynamic batch:8=image:0 -o vim.onnx
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pmexport.ops import Mamba


class VisionMamba(nn.Module):
    """Patches and a class token in their middle through bidirectional blocks; the token is read."""

    def __init__(self, size: int = 32, patch: int = 8, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        count = (size // patch) ** 2
        self.middle = count // 2
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(torch.randn(1, count + 1, width) * 0.02)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.mixers = nn.ModuleList(
            Mamba(width, bimamba_type="v2", if_divide_out=True) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patches(image).flatten(2).transpose(1, 2)  # (batch, patches, width)
        token = self.token.expand(x.shape[0], -1, -1)
        x = torch.cat([x[:, : self.middle], token, x[:, self.middle :]], dim=1) + self.position
        for norm, mixer in zip(self.norms, self.mixers, strict=True):
            x = x + mixer(norm(x))
        scores: Tensor = self.head(self.norm(x[:, self.middle]))
        return scores


def build() -> nn.Module:
    """The network, seeded."""
    torch.manual_seed(0)
    return VisionMamba()
