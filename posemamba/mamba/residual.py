"""The residual block around a mixer that mamba-ssm's language models are stacked from."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """``mamba_ssm.modules.block.Block``: sum, norm, mixer; with ``mlp_cls`` another sum, norm, MLP.

    The sum is carried beside the output, since the next block begins with it.

    Args:
        dim: channels.
        mixer_cls, norm_cls, mlp_cls: make a layer of so many channels; ``nn.Identity`` for no MLP.
        fused_add_norm: taken and without effect: a kernel of the authors' for the same function.
        residual_in_fp32: carry the sum in float32.
    """

    def __init__(
        self,
        dim: int,
        mixer_cls: Callable[[int], nn.Module],
        mlp_cls: Callable[[int], nn.Module] = nn.Identity,
        norm_cls: Callable[[int], nn.Module] = nn.LayerNorm,
        fused_add_norm: bool = False,
        residual_in_fp32: bool = False,
    ) -> None:
        super().__init__()
        self.residual_in_fp32 = residual_in_fp32
        self.norm, self.mixer = norm_cls(dim), mixer_cls(dim)
        self.norm2 = None if mlp_cls is nn.Identity else norm_cls(dim)
        self.mlp = None if mlp_cls is nn.Identity else mlp_cls(dim)

    def forward(
        self, hidden_states: Tensor, residual: Tensor | None = None, **mixer_options: object
    ) -> tuple[Tensor, Tensor]:
        """(batch, L, dim) and the sum so far to the same two."""
        hidden, residual = self._add_and_norm(self.norm, hidden_states, residual)
        hidden = self.mixer(hidden, **mixer_options)
        if self.norm2 is not None and self.mlp is not None:
            hidden, residual = self._add_and_norm(self.norm2, hidden, residual)
            hidden = self.mlp(hidden)
        return hidden, residual

    def _add_and_norm(
        self, norm: nn.Module, hidden: Tensor, residual: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        total = hidden if residual is None else hidden + residual
        weight = norm.get_parameter("weight")
        normed: Tensor = norm(total.to(weight.dtype))
        return normed, total.to(torch.float32) if self.residual_in_fp32 else total


class SimpleBlock(Block):
    """``mamba_ssm.modules.mamba_simple.Block`` of mamba-ssm 1, which has no MLP."""

    def __init__(
        self,
        dim: int,
        mixer_cls: Callable[[int], nn.Module],
        norm_cls: Callable[[int], nn.Module] = nn.LayerNorm,
        fused_add_norm: bool = False,
        residual_in_fp32: bool = False,
    ) -> None:
        super().__init__(dim, mixer_cls, nn.Identity, norm_cls, fused_add_norm, residual_in_fp32)
