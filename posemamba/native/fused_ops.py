"""The fused inference path as PyTorch custom ops: three or four launches per block.

``embed``, then per block ``conv_proj`` (convolution, SiLU and x_proj) and ``block_tail`` (the scan
and everything row-wise up to the next block's in_proj), or both in place
(:mod:`posemamba.native.whole_block`). Activations are float16, the stream and all parameters but
the matrices float32; ``posemamba/block_cuda.h`` specifies the kernels. On the CPU the same ops are
plain PyTorch compositions, which also say exactly what is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from posemamba.native import structs
from posemamba.native.block_ops import conv_silu
from posemamba.native.launch import addresses, cuda_workspace, grid, launch_cuda, row_stride
from posemamba.native.packing import TILE, WIDTHS, TailVectors, unpack_weight
from posemamba.native.scan_ops import cross_selective_scan
from posemamba.native.scan_params import CrossInputs, cross_scan_params
from posemamba.scan_order import Walk

LIMITS = "the fused path takes float16 activations and d_model " + ", ".join(map(str, WIDTHS))


def _next(weights: Sequence[Tensor], epsilon: float, output: Tensor) -> structs.NextParams:
    params = structs.NextParams(epsilon=epsilon)
    if len(weights) == 1:
        params.in_proj, params.xz = weights[0].data_ptr(), output.data_ptr()
    else:
        params.head_weight, params.head_bias = (weight.data_ptr() for weight in weights)
        params.poses_3d = output.data_ptr()
    return params


def _empty_next(weights: Sequence[Tensor], stream: Tensor) -> Tensor:
    """(..., 4 * d_model) float16 for an in_proj, (..., 3) float32 for a head."""
    if len(weights) == 1:
        return stream.new_empty((*stream.shape[:-1], 4 * stream.shape[-1]), dtype=torch.float16)
    return stream.new_empty((*stream.shape[:-1], 3))


def _run_next(
    weights: Sequence[Tensor], gamma: Tensor, beta: Tensor, epsilon: float, stream: Tensor
) -> Tensor:
    normed = F.layer_norm(stream, stream.shape[-1:], gamma, beta, epsilon)
    if len(weights) == 1:
        return F.linear(normed.half(), unpack_weight(weights[0]))
    return F.linear(normed, *weights)


def empty_scan_inputs(x: Tensor, projection: Tensor) -> tuple[Tensor, Tensor]:
    """Contiguous ``u`` and ``x_dbl``."""
    return x.new_empty(x.shape), x.new_empty((*x.shape[:-1], projection.shape[0] * TILE))


def conv_params(
    x: Tensor, taps: Tensor, bias: Tensor, projection: Tensor, u: Tensor, x_dbl: Tensor
) -> structs.ConvProjParams:
    return structs.ConvProjParams(
        **addresses(x=x, weight=taps, bias=bias, projection=projection, u=u, x_dbl=x_dbl),
        **grid(x),
        x_stride=row_stride(x),
        channels=x.shape[3],
        columns=x_dbl.shape[3],
    )


@torch.library.custom_op("posemamba::conv_proj", mutates_args=(), device_types="cuda")
def conv_proj(x: Tensor, taps: Tensor, bias: Tensor, projection: Tensor) -> tuple[Tensor, Tensor]:
    """Depthwise 3x3 convolution over (frames, joints), SiLU, and x_proj of the result.

    Args:
        x: (batch, frames, joints, channels) float16; a slice of the last axis needs no copy.
        taps: (9, channels) float32, the 3x3 taps row by row.
        bias: (channels,) float32.
        projection: packed (columns, channels).

    Returns:
        ``u`` as ``x``, contiguous, and ``x_dbl`` (batch, frames, joints, columns), float16.
    """
    u, x_dbl = empty_scan_inputs(x, projection)
    params = conv_params(x, taps, bias, projection, u, x_dbl)
    launch_cuda("conv_proj", params, x.device, LIMITS)
    return u, x_dbl


@conv_proj.register_kernel("cpu")
def _(x: Tensor, taps: Tensor, bias: Tensor, projection: Tensor) -> tuple[Tensor, Tensor]:
    u: Tensor = conv_silu(x, taps, bias)
    return u, F.linear(u, unpack_weight(projection))


@conv_proj.register_fake
def _(x: Tensor, _taps: Tensor, _bias: Tensor, projection: Tensor) -> tuple[Tensor, Tensor]:
    return empty_scan_inputs(x, projection)


class TailWeights(NamedTuple):
    """What a block's tail has beside the scan, as :func:`block_tail` takes it."""

    vectors: Tensor
    matrices: Sequence[Tensor]
    next_weights: Sequence[Tensor]
    position: Tensor | None
    epsilons: Sequence[float]


def tail_params(
    scan: structs.CrossScanParams,
    z: Tensor,
    residual: Tensor,
    weights: TailWeights,
    stream: Tensor,
    output: Tensor,
) -> structs.BlockTailParams:
    """The launchers' parameters; ``z`` and ``residual`` as :func:`block_tail` takes them.

    Args:
        stream, output: where both results go.
    """
    out_proj, fc1, fc2 = weights.matrices
    out_epsilon, norm2_epsilon, shared_epsilon, next_epsilon = weights.epsilons
    return structs.BlockTailParams(
        scan=scan,
        **addresses(z=z, residual=residual, position=weights.position, stream=stream),
        **addresses(vectors=weights.vectors, out_proj=out_proj, fc1=fc1, fc2=fc2),
        z_stride=row_stride(z),
        next=_next(weights.next_weights, next_epsilon, output),
        d_model=residual.shape[3],
        out_epsilon=out_epsilon,
        norm2_epsilon=norm2_epsilon,
        shared_epsilon=shared_epsilon,
    )


@torch.library.custom_op("posemamba::block_tail", mutates_args=(), device_types="cuda")
def block_tail(
    u: Tensor,
    x_dbl: Tensor,
    z: Tensor,
    residual: Tensor,
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
) -> tuple[Tensor, Tensor]:
    """A block from the inputs of its scan to the next block's in_proj, or to the poses.

    Args:
        u: (batch, frames, joints, 2d) float16, contiguous.
        x_dbl: (batch, frames, joints, K * (dt_rank + 2 * d_state)) float16, contiguous.
        z: as ``u``; a slice of the last axis needs no copy.
        residual: (batch, frames, joints, d) float32, contiguous.
        scan_weights: ``dt_weight, dt_bias, A, D`` of
            :func:`posemamba.native.scan_ops.cross_selective_scan`.
        vectors: a packed :class:`posemamba.native.packing.TailVectors`.
        matrices: packed out_proj (d, 2d), fc1 (2d, d) and fc2 (d, 2d).
        next_weights: the next block's packed in_proj (4d, d); or, after the last block, the head's
            weight (3, d) and bias (3,), float32.
        position: float32, a row of d for every frame, added to the stream; or None.
        epsilons: of out_norm, norm2, the shared norm and the next norm.
        half_sums: as :func:`posemamba.native.scan_ops.cross_selective_scan`.

    Returns:
        The float32 stream, shaped as ``residual``, and float16 (..., 4d) or float32 (..., 3).
    """
    stream = torch.empty_like(residual)
    output = _empty_next(next_weights, stream)
    walk = Walk(tuple(order), tuple(reverse), tuple(limb_mask), tuple(limb_index))
    inputs = CrossInputs(u, u.shape[3], x_dbl, x_dbl.shape[3], scan_weights)
    scan = cross_scan_params(inputs, d_state, dt_rank, walk, half_sums=half_sums)
    weights = TailWeights(vectors, matrices, next_weights, position, epsilons)
    params = tail_params(scan, z, residual, weights, stream, output)
    workspace = cuda_workspace("cross_scan", scan, u.device)
    launch_cuda("block_tail", params, u.device, LIMITS, workspace.data_ptr())
    return stream, output


@block_tail.register_kernel("cpu")
def _(
    u: Tensor,
    x_dbl: Tensor,
    z: Tensor,
    residual: Tensor,
    scan_weights: Sequence[Tensor],
    vectors: Tensor,
    matrices: Sequence[Tensor],
    next_weights: Sequence[Tensor],
    position: Tensor | None,
    epsilons: Sequence[float],
    *sizes_and_walk: Any,
) -> tuple[Tensor, Tensor]:
    w = TailVectors.unpack(vectors)
    out_proj, fc1, fc2 = (unpack_weight(matrix) for matrix in matrices)
    y = cross_selective_scan(u, x_dbl, *scan_weights, *sizes_and_walk)
    normed = F.layer_norm(y.float(), y.shape[-1:], w.out_gamma, w.out_beta, epsilons[0])
    gated = (normed * F.silu(z.float())).half()
    stream = residual + F.linear(gated, out_proj).float()
    width = stream.shape[-1:]
    normed = F.layer_norm(stream, width, w.norm2_gamma, w.norm2_beta, epsilons[1])
    hidden = F.linear(normed.half(), fc1).float() + w.fc1_bias
    stream = stream + F.linear(F.gelu(hidden).half(), fc2).float() + w.fc2_bias
    stream = F.layer_norm(stream, width, w.shared_gamma, w.shared_beta, epsilons[2])
    if position is not None:
        stream = stream + position[: stream.shape[1], None]  # (frames, 1, d)
    return stream, _run_next(next_weights, w.next_gamma, w.next_beta, epsilons[3], stream)


@block_tail.register_fake
def _(*inputs: Any) -> tuple[Tensor, Tensor]:
    residual, next_weights = inputs[3], inputs[7]
    return torch.empty_like(residual), _empty_next(next_weights, residual)


@torch.library.custom_op("posemamba::embed", mutates_args=(), device_types="cuda")
def embed(
    keypoints_2d: Tensor,
    weight: Tensor,
    bias: Tensor,
    joint_position: Tensor,
    next_norm: Tensor,
    next_weights: Sequence[Tensor],
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    """The stream before the first block, and that block's in_proj.

    Args:
        keypoints_2d: (batch, frames, joints, 2) float32, contiguous.
        weight, bias: (d, 2) and (d,) float32.
        joint_position: (joints, d) float32.
        next_norm: gamma and beta of the first block's norm, (2, d) float32.
        next_weights: that block's packed in_proj alone.
        epsilon: of that norm.

    Returns:
        float32 (batch, frames, joints, d) and float16 (batch, frames, joints, 4d).
    """
    stream = keypoints_2d.new_empty((*keypoints_2d.shape[:-1], weight.shape[0]))
    output = _empty_next(next_weights, stream)
    params = structs.EmbedParams(
        **addresses(keypoints_2d=keypoints_2d, weight=weight, bias=bias, stream=stream),
        **addresses(joint_position=joint_position, next_norm=next_norm),
        next=_next(next_weights, epsilon, output),
        **grid(keypoints_2d),
        d_model=weight.shape[0],
    )
    launch_cuda("embed", params, keypoints_2d.device, LIMITS)
    return stream, output


@embed.register_kernel("cpu")
def _(
    keypoints_2d: Tensor,
    weight: Tensor,
    bias: Tensor,
    joint_position: Tensor,
    next_norm: Tensor,
    next_weights: Sequence[Tensor],
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    stream = F.linear(keypoints_2d, weight, bias) + joint_position
    return stream, _run_next(next_weights, next_norm[0], next_norm[1], epsilon, stream)


@embed.register_fake
def _(
    keypoints_2d: Tensor,
    weight: Tensor,
    _bias: Tensor,
    _joint_position: Tensor,
    _next_norm: Tensor,
    next_weights: Sequence[Tensor],
    _epsilon: float,
) -> tuple[Tensor, Tensor]:
    stream = keypoints_2d.new_empty((*keypoints_2d.shape[:-1], weight.shape[0]))
    return stream, _empty_next(next_weights, stream)
