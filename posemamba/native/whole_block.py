"""A whole block of the fused path (:mod:`posemamba.native.fused_ops`) as one PyTorch custom op that
works in place."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from posemamba.errors import InputError
from posemamba.native.fused_ops import (
    LIMITS,
    TailWeights,
    block_tail,
    conv_params,
    conv_proj,
    empty_scan_inputs,
    tail_params,
)
from posemamba.native.launch import cuda_workspace, launch_cuda
from posemamba.native.scan_params import CrossInputs, cross_scan_params
from posemamba.scan_order import Walk


def launch_block(
    xz: Tensor,
    residual: Tensor,
    stream: Tensor,
    output: Tensor,
    conv_weights: Sequence[Tensor],
    scan_weights: Sequence[Tensor],
    tail_weights: TailWeights,
    d_state: int,
    dt_rank: int,
    walk: Walk,
    half_sums: bool = False,
) -> None:
    """``block`` on a GPU with its results where the caller wants them.

    Args:
        stream: as ``residual``, or that tensor itself.
        output: the next xz as ``xz``, or that tensor itself; or the poses.

    The others are those of :func:`block`.
    """
    inner = xz.shape[3] // 2
    x, z = xz[..., :inner], xz[..., inner:]
    taps, bias, projection = conv_weights
    u, x_dbl = empty_scan_inputs(x, projection)
    conv = conv_params(x, taps, bias, projection, u, x_dbl)
    inputs = CrossInputs(u, inner, x_dbl, x_dbl.shape[3], scan_weights)
    scan = cross_scan_params(inputs, d_state, dt_rank, walk, half_sums=half_sums)
    tail = tail_params(scan, z, residual, tail_weights, stream, output)
    workspace = cuda_workspace("cross_scan", scan, xz.device)
    launch_cuda("block", conv, xz.device, LIMITS, ctypes.addressof(tail), workspace.data_ptr())


def _output_of(next_weights: Sequence[Tensor], xz: Tensor, poses_3d: Tensor | None) -> Tensor:
    if (len(next_weights) == 1) != (poses_3d is None):
        raise InputError("posemamba::block: poses_3d goes with the head, and with nothing else")
    return xz if poses_3d is None else poses_3d


@torch.library.custom_op(
    "posemamba::block", mutates_args=("xz", "stream", "poses_3d"), device_types="cuda"
)
def block(
    xz: Tensor,
    stream: Tensor,
    poses_3d: Tensor | None,
    conv_weights: Sequence[Tensor],
    scan_weights: Sequence[Tensor],
    vectors: Tensor,
    matrices: Sequence[Tensor],
    next_weights: Sequence[Tensor],
    position: Tensor | None,
    epsilons: Sequence[float],
    d_state: int,
    dt_rank: int,
    order: Sequence[int],
    reverse: Sequence[int],
    limb_mask: Sequence[int],
    limb_index: Sequence[int],
    half_sums: bool = False,
) -> None:
    """A whole block in place: ``conv_proj``, then ``block_tail``, whose rounding between them it
    may leave out.

    A position's xz and residual are read by nobody after its tail, which writes their successors
    over them: a network needs one of each, not two.

    Args:
        xz: (batch, frames, joints, 4d) float16, contiguous: what is scanned, then the gate.
            Becomes the next block's; stays as it is before the head.
        stream: the residual of ``block_tail``; becomes its stream.
        poses_3d: (batch, frames, joints, 3) float32, becomes the head's poses; None without a head.
        conv_weights: ``taps, bias, projection`` of ``conv_proj``.

    The other arguments are those of ``block_tail``.
    """
    output = _output_of(next_weights, xz, poses_3d)
    walk = Walk(tuple(order), tuple(reverse), tuple(limb_mask), tuple(limb_index))
    tail = TailWeights(vectors, matrices, next_weights, position, epsilons)
    given = (conv_weights, scan_weights, tail, d_state, dt_rank, walk)
    launch_block(xz, stream, stream, output, *given, half_sums)


@block.register_kernel("cpu")
def _(
    xz: Tensor,
    stream: Tensor,
    poses_3d: Tensor | None,
    conv_weights: Sequence[Tensor],
    scan_weights: Sequence[Tensor],
    vectors: Tensor,
    matrices: Sequence[Tensor],
    next_weights: Sequence[Tensor],
    *rest: Any,
) -> None:
    output = _output_of(next_weights, xz, poses_3d)
    inner = xz.shape[3] // 2
    u, x_dbl = conv_proj(xz[..., :inner], *conv_weights)
    weights = (scan_weights, vectors, matrices, next_weights)
    made = block_tail(u, x_dbl, xz[..., inner:], stream, *weights, *rest)
    for place, result in zip((stream, output), made, strict=True):
        place.copy_(result)


@block.register_fake
def _(*_: object) -> None:
    return None
