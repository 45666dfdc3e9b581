"""Gradients that can be taken once: asking for their own is an error, not a wrong number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, TypeAlias

import torch
from torch import Tensor

from posemamba.errors import InputError

Context: TypeAlias = Any
"""PyTorch's autograd context: what one pass keeps for the next, under names of its own."""


class _Once(torch.autograd.Function):
    """The identity, which has no gradient."""

    @staticmethod
    def forward(ctx: Context, gradient: Tensor, *_sources: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Context, *_grads: Tensor) -> NoReturn:
        raise InputError(
            "the selective scan has first derivatives alone: posemamba.scan.reference, step by "
            "step, has second ones"
        )


def taken_once(
    gradients: Sequence[Tensor | None], sources: Sequence[Tensor | None]
) -> tuple[Tensor | None, ...]:
    """What a backward pass gives; tied to what it was computed from where a graph is kept of it.

    Without the tie a second derivative would be found, without the terms that are missing.

    Args:
        sources: inputs of the forward pass, and the gradients that came in.
    """
    asking = [source for source in sources if source is not None and source.requires_grad]
    if not torch.is_grad_enabled() or torch.compiler.is_compiling() or not asking:
        return tuple(gradients)
    tie: Any = _Once.apply
    return tuple(None if g is None else tie(g, *asking) for g in gradients)
