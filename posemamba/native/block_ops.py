"""What surrounds the scan in a block, as PyTorch custom ops for CUDA: channels last, no copies.

Three ops join what PyTorch leaves apart: convolution and SiLU, norm and gate, residual sum and
norm. On the CPU they are plain PyTorch compositions, which also say exactly what the CUDA kernels
(``posemamba/block_cuda.h``) compute.
"""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_int32, c_int64, c_void_p

import torch
from torch import Tensor
from torch.nn import functional as F

from posemamba.native.scan_ops import dtype_code, launch_cuda, row_stride

_LIMITS = (
    "channels must be a multiple of 4 (at most 1024 in the norms) and activations float32 or "
    "float16"
)


class _ConvSiluParams(ctypes.Structure):
    _fields_ = (
        ("x", c_void_p),
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("y", c_void_p),
        ("batch", c_int64),
        ("frames", c_int64),
        ("x_stride", c_int64),
        ("joints", c_int32),
        ("channels", c_int32),
        ("dtype", c_int32),
    )


class _GatedNormParams(ctypes.Structure):
    _fields_ = (
        ("y", c_void_p),
        ("z", c_void_p),
        ("gamma", c_void_p),
        ("beta", c_void_p),
        ("out", c_void_p),
        ("rows", c_int64),
        ("z_stride", c_int64),
        ("channels", c_int32),
        ("dtype", c_int32),
        ("epsilon", c_float),
    )


class _AddNormParams(ctypes.Structure):
    _fields_ = (
        ("residual", c_void_p),
        ("branch", c_void_p),
        ("shared_gamma", c_void_p),
        ("shared_beta", c_void_p),
        ("gamma", c_void_p),
        ("beta", c_void_p),
        ("stream", c_void_p),
        ("out", c_void_p),
        ("rows", c_int64),
        ("channels", c_int32),
        ("dtype", c_int32),
        ("shared_epsilon", c_float),
        ("epsilon", c_float),
    )


@torch.library.custom_op("posemamba::conv_silu", mutates_args=(), device_types="cuda")
def conv_silu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Depthwise 3x3 convolution over (frames, joints), padding 1, then SiLU.

    Args:
        x: (batch, frames, joints, channels); a slice of the last axis needs no copy.
        weight: (9, channels) float32, the 3x3 taps row by row.
        bias: (channels,) float32.

    Returns:
        Contiguous, shape and dtype of ``x``.
    """
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    batch, frames, joints, channels = x.shape
    params = _ConvSiluParams(
        x=x.data_ptr(),
        weight=weight.data_ptr(),
        bias=bias.data_ptr(),
        y=y.data_ptr(),
        batch=batch,
        frames=frames,
        x_stride=row_stride(x),
        joints=joints,
        channels=channels,
        dtype=dtype_code(x, "conv_silu"),
    )
    launch_cuda("conv_silu", params, x.device, _LIMITS)
    return y


@conv_silu.register_kernel("cpu")
def _(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    channels = x.shape[3]
    kernel = weight.t().reshape(channels, 1, 3, 3).to(x.dtype)
    grid = x.permute(0, 3, 1, 2)  # (batch, channels, frames, joints)
    y = F.conv2d(grid, kernel, bias.to(x.dtype), padding=1, groups=channels)
    return F.silu(y).permute(0, 2, 3, 1).contiguous()


@conv_silu.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.custom_op("posemamba::gated_norm", mutates_args=(), device_types="cuda")
def gated_norm(y: Tensor, z: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    """``LayerNorm(y) * SiLU(z)`` over the last axis.

    Args:
        y: (..., channels), contiguous.
        z: as ``y``; a slice of the last axis needs no copy.
        gamma, beta: (channels,) float32.
    """
    out = torch.empty_like(y)
    params = _GatedNormParams(
        y=y.data_ptr(),
        z=z.data_ptr(),
        gamma=gamma.data_ptr(),
        beta=beta.data_ptr(),
        out=out.data_ptr(),
        rows=y.numel() // y.shape[-1],
        z_stride=row_stride(z),
        channels=y.shape[-1],
        dtype=dtype_code(y, "gated_norm"),
        epsilon=epsilon,
    )
    launch_cuda("gated_norm", params, y.device, _LIMITS)
    return out


@gated_norm.register_kernel("cpu")
def _(y: Tensor, z: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    normed = F.layer_norm(y.float(), y.shape[-1:], gamma, beta, epsilon)
    return (normed * F.silu(z.float())).to(y.dtype)


@gated_norm.register_fake
def _(y: Tensor, z: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    return torch.empty_like(y)


@torch.library.custom_op("posemamba::add_norm", mutates_args=(), device_types="cuda")
def add_norm(
    residual: Tensor,
    branch: Tensor,
    shared_gamma: Tensor | None,
    shared_beta: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    shared_epsilon: float,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    """Residual sum and the norm that reads it: ``stream = residual + branch``, then its LayerNorm.

    With ``shared_gamma`` the sum is normalised itself first (``Spatial_norm``, ``Temporal_norm``).

    Args:
        residual: (..., channels) float32, contiguous.
        branch: as ``residual``, float32 or float16.
        shared_gamma, shared_beta, gamma, beta: (channels,) float32.

    Returns:
        The float32 stream, and its norm in the dtype of ``branch``.
    """
    stream = torch.empty_like(residual)
    out = torch.empty_like(branch)
    params = _AddNormParams(
        residual=residual.data_ptr(),
        branch=branch.data_ptr(),
        shared_gamma=None if shared_gamma is None else shared_gamma.data_ptr(),
        shared_beta=None if shared_beta is None else shared_beta.data_ptr(),
        gamma=gamma.data_ptr(),
        beta=beta.data_ptr(),
        stream=stream.data_ptr(),
        out=out.data_ptr(),
        rows=residual.numel() // residual.shape[-1],
        channels=residual.shape[-1],
        dtype=dtype_code(branch, "add_norm"),
        shared_epsilon=shared_epsilon,
        epsilon=epsilon,
    )
    launch_cuda("add_norm", params, residual.device, _LIMITS)
    return stream, out


@add_norm.register_kernel("cpu")
def _(
    residual: Tensor,
    branch: Tensor,
    shared_gamma: Tensor | None,
    shared_beta: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    shared_epsilon: float,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    stream = residual + branch.float()
    if shared_gamma is not None:
        stream = F.layer_norm(stream, stream.shape[-1:], shared_gamma, shared_beta, shared_epsilon)
    return stream, F.layer_norm(stream, stream.shape[-1:], gamma, beta, epsilon).to(branch.dtype)


@add_norm.register_fake
def _(
    residual: Tensor,
    branch: Tensor,
    shared_gamma: Tensor | None,
    shared_beta: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    shared_epsilon: float,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(residual), torch.empty_like(branch)
