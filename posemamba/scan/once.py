"""Gradients that can be taken once: asking for their own is an error, not a wrong number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from posemamba.errors import InputError


class _Once(torch.autograd.Function):
    """The identity, which has no gradient."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *_sources: Tensor) -> Tensor:  # noqa: ANN401
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_grads: Tensor) -> Any:  # noqa: ANN401
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
