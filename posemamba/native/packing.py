"""How the fused kernels find a network's weights (``posemamba/block_cuda.h``): one arrangement.

The same functions take NumPy arrays, for a graph, and PyTorch tensors, for a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

#: A NumPy array or a tensor; the result is of the same kind and on the same device.
_Array = TypeVar("_Array", "npt.NDArray[Any]", "Tensor")

Vector: TypeAlias = Any
"""A NumPy array or a tensor, float32, in one dimension."""

WIDTHS = (64, 128, 256)
"""d_model the kernels are compiled for: S; B and L; X."""
TILE = 16
"""Rows and columns of a tile of a packed matrix."""

NORM_WIDTH, NORM_MULTIPLE = 1024, 4
"""Most channels of a row that the kernels of the norms take, and what divides them."""


def norm_fits(width: int) -> bool:
    """Whether the kernels of the norms take rows of so many channels."""
    return width <= NORM_WIDTH and width % NORM_MULTIPLE == 0


def fits(d_model: int, d_inner: int, hidden: int, columns: int) -> bool:
    """Whether the kernels are compiled for a network.

    Args:
        hidden: channels of the MLP.
        columns: of x_proj, K * (dt_rank + 2 * d_state).
    """
    return d_model in WIDTHS and d_inner == hidden == 2 * d_model and columns % TILE == 0


class TailVectors(NamedTuple):
    """The vectors of ``block_tail``, float32, in the order the kernel finds them; d is d_model."""

    out_gamma: Vector  # (2d,)
    out_beta: Vector
    skip: Vector  # sum of D over the directions
    limb_skip: Vector  # sum of D over the directions with a limb sum
    norm2_gamma: Vector  # (d,)
    norm2_beta: Vector
    shared_gamma: Vector
    shared_beta: Vector
    next_gamma: Vector
    next_beta: Vector
    fc1_bias: Vector  # (2d,)
    fc2_bias: Vector  # (d,)

    def pack(self) -> Vector:
        """(17d,)"""
        if isinstance(self.out_gamma, np.ndarray):
            return np.concatenate(self)
        import torch

        return torch.cat(self)

    @classmethod
    def unpack(cls, packed: Vector) -> TailVectors:
        """Views of what :meth:`pack` returned."""
        d = packed.shape[0] // 17
        ends = np.cumsum([2 * d] * 4 + [d] * 6 + [2 * d, d]).tolist()
        return cls(*(packed[start:end] for start, end in zip([0, *ends], ends, strict=False)))


def skips(D: _Array, limb_mask: Sequence[int]) -> tuple[_Array, _Array]:
    """``skip`` and ``limb_skip`` of :class:`TailVectors`, of D (K, 2d)."""
    if isinstance(D, np.ndarray):
        return D.sum(0), (D * np.array(limb_mask, D.dtype)[:, None]).sum(0)
    return D.sum(0), (D * D.new_tensor(limb_mask)[:, None]).sum(0)


def taps(kernel: _Array) -> _Array:
    """Of a depthwise 3x3 convolution (channels, 1, 3, 3): (9, channels), row by row."""
    rows: _Array = kernel.reshape(kernel.shape[0], 9).swapaxes(0, 1)
    return rows


def pack_weight(weight: _Array) -> _Array:
    """Lay a matrix out as the tensor cores read it.

    Tiles of 16 outputs by 16 inputs; in a tile, each of a warp's 32 lanes finds the eight values of
    its two ``mma.m16n8k16`` operands (PTX ISA, "Matrix fragments for mma.m16n8k16") in one 16-byte
    word.

    Args:
        weight: (outputs, inputs), both multiples of 16.

    Returns:
        float16 (outputs / 16, inputs / 16, 32, 8).

    Raises:
        InputError: sizes that are no multiples of 16.
    """
    outputs, inputs = weight.shape
    if outputs % TILE or inputs % TILE:
        raise InputError(f"a {outputs} x {inputs} matrix cannot be packed: multiples of 16 only")
    half = weight.astype(np.float16) if isinstance(weight, np.ndarray) else weight.half()
    rows, columns = outputs // TILE, inputs // TILE
    # (tile, half, column of 8 | tile, half, quarter of 4, pair)
    split = half.reshape(rows, 2, 8, columns, 2, 4, 2)
    # (row tile, column tile | column of 8, quarter of 4 | row half, column half, pair)
    lanes = split.swapaxes(1, 3).swapaxes(3, 5).swapaxes(4, 5)
    packed: _Array = lanes.reshape(rows, columns, 32, 8)
    return packed


def unpack_weight(packed: _Array) -> _Array:
    """The float16 (outputs, inputs) matrix that :func:`pack_weight` was given."""
    rows, columns = packed.shape[:2]
    lanes = packed.reshape(rows, columns, 8, 4, 2, 2, 2)
    split = lanes.swapaxes(4, 5).swapaxes(3, 5).swapaxes(1, 3)
    weight: _Array = split.reshape(rows * TILE, columns * TILE)
    return weight
