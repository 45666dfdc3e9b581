"""What a Mamba-1 scan is given, under its names; what each of our scans takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor


class Operands(NamedTuple):
    """``h = exp(delta A) h + delta B u``; ``y = C h + D u``, in the words of
    :mod:`posemamba.scan.reference`.

    Attributes:
        u, delta, z: (batch, groups * channels, L).
        A: (groups * channels, N).
        B, C: (batch, groups, N, L).
        D, delta_bias: (groups * channels,), float.
        delta_softplus: apply softplus (the identity above 20) after adding the bias.
        reverse: per group, 1 to run from the last step to the first. Empty: all forward.
    """

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None = None
    z: Tensor | None = None
    delta_bias: Tensor | None = None
    delta_softplus: bool = False
    reverse: Sequence[int] = ()

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Those that are there, with their names."""
        for name, value in zip(self._fields, self, strict=True):
            if isinstance(value, Tensor):
                yield name, value

    def to(self, dtype: torch.dtype, names: Sequence[str] | None = None) -> Operands:
        """With tensors of another type: those that are named, or all."""
        cast: dict[str, Any] = {
            name: t.to(dtype) for name, t in self.tensors() if names is None or name in names
        }
        return self._replace(**cast)


Scan: TypeAlias = Callable[[Operands], Tensor]
"""Gives ``y`` (batch, groups * channels, L), in the type of ``u``."""
