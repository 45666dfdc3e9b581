"""What surrounds the scan in a block, as PyTorch custom ops for CUDA: channels last, no copies.

Three ops join what PyTorch leaves apart: convolution and SiLU, norm and gate, residual sum and
norm. On the CPU they are plain PyTorch compositions, which also say exactly what the CUDA kernels
(``posemamba/block_cuda.h``) compute.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from posemamba.native import structs
from posemamba.native.launch import addresses, dtype_code, grid, launch_cuda, row_stride

_LIMITS = (
    "channels must be a multiple of 4 (at most 1024 in the norms) and activations float32 or "
    "float16"
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
    params = structs.ConvSiluParams(
        **addresses(x=x, weight=weight, bias=bias, y=y),
        **grid(x),
        x_stride=row_stride(x),
        channels=x.shape[3],
        dtype=dtype_code(x, "conv_silu"),
    )
    launch_cuda("conv_silu", params, x.device, _LIMITS)
    return y


@conv_silu.register_kernel("cpu")
def _(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    channels = x.shape[3]
    kernel = weight.t().reshape(channels, 1, 3, 3).to(x.dtype)
    planes = x.permute(0, 3, 1, 2)  # (batch, channels, frames, joints)
    y = F.conv2d(planes, kernel, bias.to(x.dtype), padding=1, groups=channels)
    return F.silu(y).permute(0, 2, 3, 1).contiguous()


@conv_silu.register_fake
def _(x: Tensor, *_: object) -> Tensor:
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
    params = structs.GatedNormParams(
        **addresses(y=y, z=z, gamma=gamma, beta=beta, out=out),
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
def _(y: Tensor, *_: object) -> Tensor:
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
    params = structs.AddNormParams(
        **addresses(residual=residual, branch=branch, stream=stream, out=out),
        **addresses(shared_gamma=shared_gamma, shared_beta=shared_beta, gamma=gamma, beta=beta),
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
def _(residual: Tensor, branch: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return torch.empty_like(residual), torch.empty_like(branch)
