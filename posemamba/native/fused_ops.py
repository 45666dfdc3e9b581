"""The fused inference path as PyTorch custom ops: launches of ours alone, three or four a block.

``embed``, then per block ``conv_proj`` (convolution, SiLU and x_proj) and ``block_tail`` (the scan
and everything row-wise up to the next block's in_proj). Activations are float16, the stream and all
parameters but the matrices float32; ``posemamba/block_cuda.h`` specifies the kernels. On the CPU
the same ops are plain PyTorch compositions, which also say exactly what is computed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_float, c_int32, c_int64, c_void_p
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from posemamba.errors import InputError
from posemamba.native import library as native
from posemamba.native import scan_ops as ops
from posemamba.native.block_ops import conv_silu

#: Widths the kernels are compiled for: S; B and L; X.
WIDTHS = (64, 128, 256)
_LIMITS = "the fused path takes float16 activations and d_model " + ", ".join(map(str, WIDTHS))


class _ConvProjParams(ctypes.Structure):
    _fields_ = (
        ("x", c_void_p),
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("projection", c_void_p),
        ("u", c_void_p),
        ("x_dbl", c_void_p),
        ("batch", c_int64),
        ("frames", c_int64),
        ("x_stride", c_int64),
        ("joints", c_int32),
        ("channels", c_int32),
        ("columns", c_int32),
    )


class _NextParams(ctypes.Structure):
    _fields_ = (
        ("in_proj", c_void_p),
        ("xz", c_void_p),
        ("head_weight", c_void_p),
        ("head_bias", c_void_p),
        ("poses_3d", c_void_p),
        ("epsilon", c_float),
    )


class _BlockTailParams(ctypes.Structure):
    _fields_ = (
        ("scan", native.CrossScanParams),
        ("z", c_void_p),
        ("z_stride", c_int64),
        ("vectors", c_void_p),
        ("out_proj", c_void_p),
        ("fc1", c_void_p),
        ("fc2", c_void_p),
        ("residual", c_void_p),
        ("position", c_void_p),
        ("stream", c_void_p),
        ("next", _NextParams),
        ("d_model", c_int32),
        ("out_epsilon", c_float),
        ("norm2_epsilon", c_float),
        ("shared_epsilon", c_float),
    )


class _EmbedParams(ctypes.Structure):
    _fields_ = (
        ("keypoints_2d", c_void_p),
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("joint_position", c_void_p),
        ("next_norm", c_void_p),
        ("stream", c_void_p),
        ("next", _NextParams),
        ("batch", c_int64),
        ("frames", c_int64),
        ("joints", c_int32),
        ("d_model", c_int32),
    )


class TailVectors(NamedTuple):
    """The vectors of ``block_tail``, float32, in the order the kernel finds them; d is d_model."""

    out_gamma: Tensor  # (2d,)
    out_beta: Tensor
    skip: Tensor  # sum of D over the directions
    limb_skip: Tensor  # sum of D over the directions with a limb sum
    norm2_gamma: Tensor  # (d,)
    norm2_beta: Tensor
    shared_gamma: Tensor
    shared_beta: Tensor
    next_gamma: Tensor
    next_beta: Tensor
    fc1_bias: Tensor  # (2d,)
    fc2_bias: Tensor  # (d,)

    def pack(self) -> Tensor:
        """(17d,)"""
        return torch.cat(self)

    @classmethod
    def unpack(cls, packed: Tensor) -> TailVectors:
        """Views of what :meth:`pack` returned."""
        d = packed.shape[0] // 17
        return cls(*torch.split(packed, [2 * d] * 4 + [d] * 6 + [2 * d, d]))


def pack_weight(weight: Tensor) -> Tensor:
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
    if outputs % 16 or inputs % 16:
        raise InputError(f"a {outputs} x {inputs} matrix cannot be packed: multiples of 16 only")
    # (tile, half, column of 8 | tile, half, quarter of 4, pair)
    split = weight.half().reshape(outputs // 16, 2, 8, inputs // 16, 2, 4, 2)
    return split.permute(0, 3, 2, 5, 1, 4, 6).reshape(outputs // 16, inputs // 16, 32, 8)


def unpack_weight(packed: Tensor) -> Tensor:
    """The float16 (outputs, inputs) matrix that :func:`pack_weight` was given."""
    row_tiles, column_tiles = packed.shape[:2]
    split = packed.reshape(row_tiles, column_tiles, 8, 4, 2, 2, 2)
    return split.permute(0, 4, 2, 1, 5, 3, 6).reshape(row_tiles * 16, column_tiles * 16)


def _next(weights: Sequence[Tensor], epsilon: float, output: Tensor) -> _NextParams:
    params = _NextParams(epsilon=epsilon)
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
    batch, frames, joints, channels = x.shape
    columns = projection.shape[0] * 16
    u = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    x_dbl = x.new_empty(batch, frames, joints, columns)
    params = _ConvProjParams(
        x=x.data_ptr(),
        weight=taps.data_ptr(),
        bias=bias.data_ptr(),
        projection=projection.data_ptr(),
        u=u.data_ptr(),
        x_dbl=x_dbl.data_ptr(),
        batch=batch,
        frames=frames,
        x_stride=ops.row_stride(x),
        joints=joints,
        channels=channels,
        columns=columns,
    )
    ops.launch_cuda("conv_proj", params, x.device, _LIMITS)
    return u, x_dbl


@conv_proj.register_kernel("cpu")
def _(x: Tensor, taps: Tensor, bias: Tensor, projection: Tensor) -> tuple[Tensor, Tensor]:
    u: Tensor = conv_silu(x, taps, bias)
    return u, F.linear(u, unpack_weight(projection))


@conv_proj.register_fake
def _(x: Tensor, taps: Tensor, bias: Tensor, projection: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty((*x.shape[:-1], projection.shape[0] * 16))


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
) -> tuple[Tensor, Tensor]:
    """A block from the inputs of its scan to the next block's in_proj, or to the poses.

    Args:
        u: (batch, frames, joints, 2d) float16, contiguous.
        x_dbl: (batch, frames, joints, K * (dt_rank + 2 * d_state)) float16, contiguous.
        z: as ``u``; a slice of the last axis needs no copy.
        residual: (batch, frames, joints, d) float32, contiguous.
        scan_weights: ``dt_weight, dt_bias, A, D`` of :func:`posemamba.native.scan_ops.cross_selective_scan`.
        vectors: a packed :class:`TailVectors`.
        matrices: packed out_proj (d, 2d), fc1 (2d, d) and fc2 (d, 2d).
        next_weights: the next block's packed in_proj (4d, d); or, after the last block, the head's
            weight (3, d) and bias (3,), float32.
        position: float32, a row of d for every frame, added to the stream; or None.
        epsilons: of out_norm, norm2, the shared norm and the next norm.

    Returns:
        The float32 stream, shaped as ``residual``, and float16 (..., 4d) or float32 (..., 3).
    """
    d_inner = u.shape[3]
    stream = torch.empty_like(residual)
    output = _empty_next(next_weights, stream)
    out_proj, fc1, fc2 = matrices
    out_epsilon, norm2_epsilon, shared_epsilon, next_epsilon = epsilons
    walk = (order, reverse, limb_mask, limb_index)
    scan = ops.cross_scan_params(
        u, d_inner, x_dbl, x_dbl.shape[3], scan_weights, d_state, dt_rank, *walk
    )
    params = _BlockTailParams(
        scan=scan,
        z=z.data_ptr(),
        z_stride=ops.row_stride(z),
        vectors=vectors.data_ptr(),
        out_proj=out_proj.data_ptr(),
        fc1=fc1.data_ptr(),
        fc2=fc2.data_ptr(),
        residual=residual.data_ptr(),
        position=None if position is None else position.data_ptr(),
        stream=stream.data_ptr(),
        next=_next(next_weights, next_epsilon, output),
        d_model=residual.shape[3],
        out_epsilon=out_epsilon,
        norm2_epsilon=norm2_epsilon,
        shared_epsilon=shared_epsilon,
    )
    workspace = ops.cuda_workspace("cross_scan", scan, u.device)
    ops.launch_cuda("block_tail", params, u.device, _LIMITS, workspace.data_ptr())
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
    d_state: int,
    dt_rank: int,
    order: Sequence[int],
    reverse: Sequence[int],
    limb_mask: Sequence[int],
    limb_index: Sequence[int],
) -> tuple[Tensor, Tensor]:
    w = TailVectors.unpack(vectors)
    out_proj, fc1, fc2 = (unpack_weight(matrix) for matrix in matrices)
    walk = (order, reverse, limb_mask, limb_index)
    y = ops.cross_selective_scan(u, x_dbl, *scan_weights, d_state, dt_rank, *walk)
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
def _(
    u: Tensor,
    x_dbl: Tensor,
    z: Tensor,
    residual: Tensor,
    scan_weights: Sequence[Tensor],
    vectors: Tensor,
    matrices: Sequence[Tensor],
    next_weights: Sequence[Tensor],
    *_rest: object,
) -> tuple[Tensor, Tensor]:
    stream = torch.empty_like(residual)
    return stream, _empty_next(next_weights, stream)


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
    batch, frames, joints, _ = keypoints_2d.shape
    stream = keypoints_2d.new_empty(batch, frames, joints, weight.shape[0])
    output = _empty_next(next_weights, stream)
    params = _EmbedParams(
        keypoints_2d=keypoints_2d.data_ptr(),
        weight=weight.data_ptr(),
        bias=bias.data_ptr(),
        joint_position=joint_position.data_ptr(),
        next_norm=next_norm.data_ptr(),
        stream=stream.data_ptr(),
        next=_next(next_weights, epsilon, output),
        batch=batch,
        frames=frames,
        joints=joints,
        d_model=weight.shape[0],
    )
    ops.launch_cuda("embed", params, keypoints_2d.device, _LIMITS)
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
    bias: Tensor,
    joint_position: Tensor,
    next_norm: Tensor,
    next_weights: Sequence[Tensor],
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    stream = keypoints_2d.new_empty((*keypoints_2d.shape[:-1], weight.shape[0]))
    return stream, _empty_next(next_weights, stream)
