"""The fused inference path as PyTorch custom ops: three launches of ours a block, nothing between.

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

from posemamba import native, ops
from posemamba.block_ops import conv_silu
from posemamba.errors import InputError

#: Widths the kernels are compiled for: S; B and L; X.
WIDTHS = (64, 128, 256)


class _Norm(ctypes.Structure):
    _fields_ = (("gamma", c_void_p), ("beta", c_void_p), ("epsilon", c_float))


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
        ("norm", _Norm),
        ("in_proj", c_void_p),
        ("xz", c_void_p),
        ("head_weight", c_void_p),
        ("head_bias", c_void_p),
        ("poses_3d", c_void_p),
    )


class _BlockTailParams(ctypes.Structure):
    _fields_ = (
        ("scan", native.CrossScanParams),
        ("z", c_void_p),
        ("z_stride", c_int64),
        ("out_norm", _Norm),
        ("out_proj", c_void_p),
        ("residual", c_void_p),
        ("norm2", _Norm),
        ("fc1", c_void_p),
        ("fc1_bias", c_void_p),
        ("fc2", c_void_p),
        ("fc2_bias", c_void_p),
        ("shared_norm", _Norm),
        ("position", c_void_p),
        ("stream", c_void_p),
        ("next", _NextParams),
        ("d_model", c_int32),
    )


class _EmbedParams(ctypes.Structure):
    _fields_ = (
        ("keypoints_2d", c_void_p),
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("joint_position", c_void_p),
        ("stream", c_void_p),
        ("next", _NextParams),
        ("batch", c_int64),
        ("frames", c_int64),
        ("joints", c_int32),
        ("d_model", c_int32),
    )


class TailWeights(NamedTuple):
    """What ``block_tail`` takes as ``weights``, in order; matrices packed, the rest float32."""

    out_gamma: Tensor  # (2d,)
    out_beta: Tensor
    out_proj: Tensor  # packed (d, 2d)
    norm2_gamma: Tensor  # (d,)
    norm2_beta: Tensor
    fc1: Tensor  # packed (2d, d)
    fc1_bias: Tensor
    fc2: Tensor  # packed (d, 2d)
    fc2_bias: Tensor
    shared_gamma: Tensor  # (d,)
    shared_beta: Tensor


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


def _launch(name: str, params: ctypes.Structure, device: torch.device, *middle: int) -> None:
    launch = getattr(native.load_cuda_library(), f"pm_cuda_{name}")
    with torch.cuda.device(device):
        stream = torch.cuda.current_stream(device).cuda_stream
        error = launch(ctypes.byref(params), *map(c_void_p, middle), c_void_p(stream))
    if error != 0:
        raise InputError(
            f"posemamba::{name}: CUDA error {error}; the fused path takes float16 activations and "
            f"d_model {', '.join(map(str, WIDTHS))}"
        )


def _next(weights: Sequence[Tensor], epsilon: float, output: Tensor) -> _NextParams:
    gamma, beta, matrix = weights[:3]
    params = _NextParams(norm=_Norm(gamma.data_ptr(), beta.data_ptr(), epsilon))
    if len(weights) == 3:
        params.in_proj, params.xz = matrix.data_ptr(), output.data_ptr()
    else:
        params.head_weight, params.head_bias = matrix.data_ptr(), weights[3].data_ptr()
        params.poses_3d = output.data_ptr()
    return params


def _empty_next(weights: Sequence[Tensor], stream: Tensor) -> Tensor:
    """(..., 4 * d_model) float16 for an in_proj, (..., 3) float32 for a head."""
    if len(weights) == 3:
        return stream.new_empty((*stream.shape[:-1], 4 * stream.shape[-1]), dtype=torch.float16)
    return stream.new_empty((*stream.shape[:-1], 3))


def _run_next(weights: Sequence[Tensor], epsilon: float, stream: Tensor) -> Tensor:
    normed = F.layer_norm(stream, stream.shape[-1:], weights[0], weights[1], epsilon)
    if len(weights) == 3:
        return F.linear(normed.half(), unpack_weight(weights[2]))
    return F.linear(normed, weights[2], weights[3])


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
    _launch("conv_proj", params, x.device)
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
    weights: Sequence[Tensor],
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
        scan_weights: ``dt_weight, dt_bias, A, D`` of :func:`posemamba.ops.cross_selective_scan`.
        weights: a :class:`TailWeights`.
        next_weights: the next norm's ``gamma, beta`` and its packed in_proj (4d, d); or, after the
            last block, the head's ``gamma, beta, weight (3, d), bias (3,)``.
        position: float32, a row of d for every frame, added to the stream; or None.
        epsilons: of out_norm, norm2, the shared norm and the next norm.

    Returns:
        The float32 stream, shaped as ``residual``, and float16 (..., 4d) or float32 (..., 3).
    """
    w = TailWeights(*weights)
    d_inner = u.shape[3]
    stream = torch.empty_like(residual)
    output = _empty_next(next_weights, stream)
    norms = [
        _Norm(gamma.data_ptr(), beta.data_ptr(), epsilon)
        for gamma, beta, epsilon in zip(
            (w.out_gamma, w.norm2_gamma, w.shared_gamma),
            (w.out_beta, w.norm2_beta, w.shared_beta),
            epsilons[:3],
            strict=True,
        )
    ]
    walk = (order, reverse, limb_mask, limb_index)
    scan = ops.cross_scan_params(
        u, d_inner, x_dbl, x_dbl.shape[3], scan_weights, d_state, dt_rank, *walk
    )
    params = _BlockTailParams(
        scan=scan,
        z=z.data_ptr(),
        z_stride=ops.row_stride(z),
        out_norm=norms[0],
        out_proj=w.out_proj.data_ptr(),
        residual=residual.data_ptr(),
        norm2=norms[1],
        fc1=w.fc1.data_ptr(),
        fc1_bias=w.fc1_bias.data_ptr(),
        fc2=w.fc2.data_ptr(),
        fc2_bias=w.fc2_bias.data_ptr(),
        shared_norm=norms[2],
        position=None if position is None else position.data_ptr(),
        stream=stream.data_ptr(),
        next=_next(next_weights, epsilons[3], output),
        d_model=residual.shape[3],
    )
    workspace = ops.cuda_workspace("cross_scan", scan, u.device)
    _launch("block_tail", params, u.device, workspace.data_ptr())
    return stream, output


@block_tail.register_kernel("cpu")
def _(
    u: Tensor,
    x_dbl: Tensor,
    z: Tensor,
    residual: Tensor,
    scan_weights: Sequence[Tensor],
    weights: Sequence[Tensor],
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
    w = TailWeights(*weights)
    walk = (order, reverse, limb_mask, limb_index)
    y = ops.cross_selective_scan(u, x_dbl, *scan_weights, d_state, dt_rank, *walk)
    normed = F.layer_norm(y.float(), y.shape[-1:], w.out_gamma, w.out_beta, epsilons[0])
    gated = (normed * F.silu(z.float())).half()
    stream = residual + F.linear(gated, unpack_weight(w.out_proj)).float()
    normed = F.layer_norm(stream, stream.shape[-1:], w.norm2_gamma, w.norm2_beta, epsilons[1])
    hidden = F.linear(normed.half(), unpack_weight(w.fc1)).float() + w.fc1_bias
    product = F.linear(F.gelu(hidden).half(), unpack_weight(w.fc2)).float() + w.fc2_bias
    stream = F.layer_norm(
        stream + product, stream.shape[-1:], w.shared_gamma, w.shared_beta, epsilons[2]
    )
    if position is not None:
        stream = stream + position[: stream.shape[1], None]  # (frames, 1, d)
    return stream, _run_next(next_weights, epsilons[3], stream)


@block_tail.register_fake
def _(
    u: Tensor,
    x_dbl: Tensor,
    z: Tensor,
    residual: Tensor,
    scan_weights: Sequence[Tensor],
    weights: Sequence[Tensor],
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
    next_weights: Sequence[Tensor],
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    """The stream before the first block, and that block's in_proj.

    Args:
        keypoints_2d: (batch, frames, joints, 2) float32, contiguous.
        weight, bias: (d, 2) and (d,) float32.
        joint_position: (joints, d) float32.
        next_weights, epsilon: the first block's norm and packed in_proj, as in :func:`block_tail`.

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
        stream=stream.data_ptr(),
        next=_next(next_weights, epsilon, output),
        batch=batch,
        frames=frames,
        joints=joints,
        d_model=weight.shape[0],
    )
    _launch("embed", params, keypoints_2d.device)
    return stream, output


@embed.register_kernel("cpu")
def _(
    keypoints_2d: Tensor,
    weight: Tensor,
    bias: Tensor,
    joint_position: Tensor,
    next_weights: Sequence[Tensor],
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    stream = F.linear(keypoints_2d, weight, bias) + joint_position
    return stream, _run_next(next_weights, epsilon, stream)


@embed.register_fake
def _(
    keypoints_2d: Tensor,
    weight: Tensor,
    bias: Tensor,
    joint_position: Tensor,
    next_weights: Sequence[Tensor],
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    stream = keypoints_2d.new_empty((*keypoints_2d.shape[:-1], weight.shape[0]))
    return stream, _empty_next(next_weights, stream)
