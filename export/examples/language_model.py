"""A language model of Mamba blocks (Gu and Dao, arXiv 2312.00752, section 3.4).

pmexport export-module language_model.py:build --input tokens=2x24:int64 \
    --dynamic batch:8=tokens:0 --dynamic length:512=tokens:1 -o language_model.onnx
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pmexport.ops import Mamba


class Layer(nn.Module):
    """A residual branch: norm, then Mamba."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.mixer = Mamba(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mixer(self.norm(x))


class LanguageModel(nn.Module):
    """Tokens (batch, length) to logits (batch, length, vocabulary); the embedding is the head."""

    def __init__(self, vocabulary: int = 100, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(Layer(width) for _ in range(depth))
        self.norm = nn.RMSNorm(width, eps=1e-5)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x)
        return nn.functional.linear(self.norm(x), self.embedding.weight)


def build() -> nn.Module:
    """The network, seeded."""
    torch.manual_seed(0)
    return LanguageModel()
