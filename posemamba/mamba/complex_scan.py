"""The scan with a complex ``A``, as mamba-ssm defines it; step by step, in plain PyTorch.

Slow, and for small sizes: no kernel of ours and no operator is complex. The state is complex; the
output is twice the real part of ``C h``, since every state stands for a conjugate pair.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from posemamba.scan.operands import Operands


def scan(given: Operands) -> tuple[Tensor, Tensor]:
    """As :func:`posemamba.mamba.selective_scan.selective_scan_fn`, whose checks came before.

    Returns:
        ``y`` (batch, d, L) in the type of ``u``, and the last state (batch, d, N), complex.
    """
    u, delta, A, B, C, D, z, delta_bias, delta_softplus, _ = given
    wide = any(t.dtype in (torch.float64, torch.complex128) for _, t in given.tensors())
    work = torch.float64 if wide else torch.float32
    rates = A.to(torch.complex128 if wide else torch.complex64)
    x, dt = u.to(work), delta.to(work)
    if delta_bias is not None:
        dt = dt + delta_bias.to(work)[:, None]
    if delta_softplus:
        dt = F.softplus(dt)
    b, c = (_per_channel(t, rates, work, u.shape[2]) for t in (B, C))
    state = rates.new_zeros(u.shape[0], *rates.shape)  # (batch, d, N)
    outputs = []
    for step in range(u.shape[2]):
        now = dt[:, :, step, None]
        state = torch.exp(now * rates) * state + now * x[:, :, step, None] * b[..., step]
        outputs.append(2 * (state * c[..., step]).sum(-1).real)
    y = torch.stack(outputs, dim=-1) if outputs else torch.zeros_like(x)
    if D is not None:
        y = y + D.to(work)[:, None] * x
    if z is not None:
        y = y * F.silu(z.to(work))
    return y.to(u.dtype), state


def _per_channel(projection: Tensor, rates: Tensor, work: torch.dtype, length: int) -> Tensor:
    """B or C as (batch or 1, d, N, L), complex."""
    if projection.ndim == 2:
        constant = projection.to(rates.dtype)[None, :, :, None]
        return constant.expand(1, *rates.shape, length)
    grouped = projection.unsqueeze(1) if projection.ndim == 3 else projection
    pairs = torch.unflatten(grouped.to(work), -1, (-1, 2)).contiguous()
    values = torch.view_as_complex(pairs)  # (batch, groups, N, L)
    return values.repeat_interleave(rates.shape[0] // values.shape[1], dim=1)
