"""The norms of mamba-ssm's Triton kernels, with the residual sum in front, in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posemamba.errors import InputError


def layer_norm_fn(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    residual: Tensor | None = None,
    *,
    eps: float = 1e-6,
    prenorm: bool = False,
    residual_in_fp32: bool = False,
    is_rms_norm: bool = False,
    **further: object,
) -> Tensor | tuple[Tensor, Tensor]:
    """``norm(x + residual)``; with ``prenorm`` the sum too.

    Raises:
        InputError: an option that is another function, such as a second pair of weights.
    """
    extra = [name for name, value in further.items() if value not in (None, False, 0.0)]
    if extra:
        raise InputError(f"layer_norm_fn: {extra[0]} is given, which this function does not have")
    total = x if residual is None else x.to(residual.dtype) + residual
    total = total.float() if residual_in_fp32 else total
    wide = total.float() if total.dtype in (torch.float16, torch.bfloat16) else total
    width = (x.shape[-1],)
    scale = weight.to(wide.dtype)
    if is_rms_norm:
        y = F.rms_norm(wide, width, scale, eps)
        y = y if bias is None else y + bias.to(wide.dtype)
    else:
        y = F.layer_norm(wide, width, scale, None if bias is None else bias.to(wide.dtype), eps)
    y = y.to(x.dtype)
    return (y, total) if prenorm else y


def rms_norm_fn(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    residual: Tensor | None = None,
    *,
    eps: float = 1e-6,
    prenorm: bool = False,
    residual_in_fp32: bool = False,
    **further: object,
) -> Tensor | tuple[Tensor, Tensor]:
    """:func:`layer_norm_fn` without the mean."""
    return layer_norm_fn(
        x, weight, bias, residual, eps=eps, prenorm=prenorm, residual_in_fp32=residual_in_fp32,
        is_rms_norm=True, **further,
    )  # fmt: skip


class RMSNorm(nn.Module):
    """Root-mean-square norm with a scale."""

    def __init__(
        self,
        hidden_size: int,
        eps: float = 1e-5,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(hidden_size, device=device, dtype=dtype))
        self.register_parameter("bias", None)

    def forward(
        self,
        x: Tensor,
        residual: Tensor | None = None,
        prenorm: bool = False,
        residual_in_fp32: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """As :func:`rms_norm_fn`."""
        return rms_norm_fn(
            x, self.weight, None, residual, eps=self.eps, prenorm=prenorm,
            residual_in_fp32=residual_in_fp32,
        )  # fmt: skip
