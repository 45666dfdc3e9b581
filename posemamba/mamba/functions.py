"""What networks call of mamba-ssm and causal-conv1d beside the scan, in plain PyTorch.

Signatures are those of these packages (Gu and Dao, arXiv 2312.00752; Zhu et al., "Vision Mamba",
arXiv 2401.09417, for the two of its fork). Each is the composition that the authors' fused kernels
compute, with :func:`posemamba.mamba.selective_scan.selective_scan_fn` inside.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from posemamba.errors import InputError
from posemamba.mamba.selective_scan import (
    at_least_float32,
    directional_scan,
    selective_scan_fn,
)
from posemamba.scan.operands import Operands

_SILU = ("silu", "swish")


def causal_conv1d_fn(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    seq_idx: Tensor | None = None,
    initial_states: Tensor | None = None,
    return_final_states: bool = False,
    final_states_out: Tensor | None = None,
    activation: str | None = None,
) -> Tensor:
    """Depthwise convolution over the steps up to the present one.

    Args:
        x: (batch, d, L).
        weight: (d, width).
        activation: None, ``silu`` or ``swish``.

    Raises:
        InputError: a state or a sequence index is given, which this function does not have.
    """
    extra = (seq_idx, initial_states, final_states_out, return_final_states or None)
    if any(value is not None for value in extra):
        raise InputError("causal_conv1d_fn: whole sequences only, without states and seq_idx")
    if activation not in (None, *_SILU):
        raise InputError(f"causal_conv1d_fn: activation '{activation}', use None or 'silu'")
    return causal_conv(x, weight, bias, reverse=False, activate=activation is not None)


def causal_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, reverse: bool, activate: bool = True
) -> Tensor:
    """Depthwise convolution in a direction, then SiLU.

    Args:
        x: (batch, d, L).
        weight: (d, width), the present step last.
        reverse: towards the first step: each reads what comes after it.
    """
    width = weight.shape[1]
    padding = (0, width - 1) if reverse else (width - 1, 0)
    taps = weight.flip(1) if reverse else weight
    y = F.conv1d(F.pad(x, padding), taps.unsqueeze(1), bias, groups=x.shape[1])
    return F.silu(y) if activate else y


def gated_branch(
    x: Tensor,
    z: Tensor,
    conv: tuple[Tensor, Tensor | None],
    x_proj: Tensor,
    dt_proj: tuple[Tensor, Tensor | None],
    A: Tensor,
    D: Tensor | None,
    *,
    reverse: bool,
) -> Tensor:
    """Convolution, projections, scan and gate of a Mamba block, in one direction.

    Args:
        x, z: (batch, d, L), in the order of the sequence whatever the direction.
        conv, dt_proj: weight and bias; (d, width) and (d, R) of the weights.
        x_proj: (R + 2N, d).
        A, D: (d, N) and (d,).

    Returns:
        (batch, d, L).
    """
    u = causal_conv(x, *conv, reverse=reverse)
    rank, state = dt_proj[0].shape[1], A.shape[1]
    steps = F.linear(u.transpose(1, 2), x_proj)  # (batch, L, R + 2N)
    dt, b, c = torch.split(steps, [rank, state, state], dim=-1)
    delta = F.linear(dt, dt_proj[0]).transpose(1, 2)
    B, C = (t.transpose(1, 2).unsqueeze(1) for t in (b, c))
    bias = None if dt_proj[1] is None else at_least_float32(dt_proj[1])
    return directional_scan(Operands(u, delta, A, B, C, D, z, bias, True, [int(reverse)]))


def mamba_inner_fn_no_out_proj(
    xz: Tensor,
    conv1d_weight: Tensor,
    conv1d_bias: Tensor | None,
    x_proj_weight: Tensor,
    delta_proj_weight: Tensor,
    A: Tensor,
    B: Tensor | None = None,
    C: Tensor | None = None,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
    B_proj_bias: Tensor | None = None,
    C_proj_bias: Tensor | None = None,
    delta_softplus: bool = True,
    checkpoint_lvl: int = 1,
    b_rms_weight: Tensor | None = None,
    c_rms_weight: Tensor | None = None,
    dt_rms_weight: Tensor | None = None,
    b_c_dt_rms_eps: float = 1e-6,
) -> Tensor:
    """Everything of a Mamba block between its two outer projections; Vim's fork has this one.

    Args:
        xz: (batch, 2 d, L), what is scanned and its gate.
        conv1d_weight: (d, 1, width).
        B, C: None to project them from the input; else as ``selective_scan_fn`` takes them.
        checkpoint_lvl: how the authors' kernel saves memory; without effect here.
        b_rms_weight, c_rms_weight: (N,), and ``dt_rms_weight`` (d,): RMS norms of what the scan
            reads (Falcon Mamba); a given B or C is as the caller wants it and has none.

    Returns:
        (batch, d, L).
    """
    x, z = xz.chunk(2, dim=1)
    u = causal_conv(x, conv1d_weight.squeeze(1), conv1d_bias, reverse=False)
    rank, state = delta_proj_weight.shape[1], A.shape[1]
    steps = F.linear(u.transpose(1, 2), x_proj_weight)  # (batch, L, R + N where projected)
    norm = partial(_normed, eps=b_c_dt_rms_eps)
    delta = norm(F.linear(steps[..., :rank], delta_proj_weight), dt_rms_weight).transpose(1, 2)
    if B is None:
        B = norm(_biased(steps[..., rank : rank + state], B_proj_bias), b_rms_weight)
        B = B.transpose(1, 2)
    if C is None:
        C = norm(_biased(steps[..., -state:], C_proj_bias), c_rms_weight).transpose(1, 2)
    y = selective_scan_fn(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    assert isinstance(y, Tensor)
    return y


def _biased(part: Tensor, bias: Tensor | None) -> Tensor:
    return part if bias is None else part + bias.to(part.dtype)


def _normed(part: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    return part if weight is None else F.rms_norm(part, weight.shape, weight.to(part.dtype), eps)


def mamba_inner_fn(
    xz: Tensor,
    conv1d_weight: Tensor,
    conv1d_bias: Tensor | None,
    x_proj_weight: Tensor,
    delta_proj_weight: Tensor,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    A: Tensor,
    B: Tensor | None = None,
    C: Tensor | None = None,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
    B_proj_bias: Tensor | None = None,
    C_proj_bias: Tensor | None = None,
    delta_softplus: bool = True,
    checkpoint_lvl: int = 1,
    b_rms_weight: Tensor | None = None,
    c_rms_weight: Tensor | None = None,
    dt_rms_weight: Tensor | None = None,
    b_c_dt_rms_eps: float = 1e-6,
) -> Tensor:
    """:func:`mamba_inner_fn_no_out_proj`, then ``out_proj``: (batch, L, d_model)."""
    y = mamba_inner_fn_no_out_proj(
        xz, conv1d_weight, conv1d_bias, x_proj_weight, delta_proj_weight, A, B, C, D, delta_bias,
        B_proj_bias, C_proj_bias, delta_softplus, checkpoint_lvl, b_rms_weight, c_rms_weight,
        dt_rms_weight, b_c_dt_rms_eps,
    )  # fmt: skip
    return F.linear(y.transpose(1, 2), out_proj_weight, out_proj_bias)
