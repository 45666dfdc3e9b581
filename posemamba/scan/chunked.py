"""The selective scan in plain PyTorch, in chunks; differentiable, float32 and float64.

On a CPU the chunks follow one another, small enough for its cache
(:mod:`posemamba.scan.recurrence`). On a GPU all chunks are scanned side by side from a zero state.
The states at their starts then follow one after another, and what a start state adds decays from
it on. That takes about 2 sqrt(L) dependent steps instead of L, on tensors large enough to keep a
GPU busy. Decays are products of factors of at most one. Nothing is divided by them, so nothing
overflows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from posemamba.scan.operands import Operands
from posemamba.scan.recurrence import recurrence
from posemamba.scan.reference import flip_groups


def selective_scan(given: Operands) -> Tensor:
    """As :func:`posemamba.scan.reference.selective_scan`, to rounding.

    Second derivatives exist on a GPU only. There, a few tensors of (batch, groups * channels, L, N)
    are held while gradients are wanted; on a CPU, the states at the chunks' starts.
    """
    return selective_scan_and_state(given)[0]


def selective_scan_and_state(given: Operands) -> tuple[Tensor, Tensor]:
    """:func:`selective_scan`, and the state after each channel's last step.

    Returns:
        the output, and (batch, groups * channels, N) in float32, or float64 if ``u`` is.
    """
    work = torch.float64 if given.u.dtype == torch.float64 else torch.float32
    wide = given.to(work)
    groups = wide.B.shape[1]
    u, dt, B, C = (
        flip_groups(t, wide.reverse, groups) for t in (wide.u, wide.delta, wide.B, wide.C)
    )
    if wide.delta_bias is not None:
        dt = dt + wide.delta_bias[:, None]
    if wide.delta_softplus:
        dt = F.softplus(dt)
    scan = recurrence if u.device.type == "cpu" else _side_by_side
    y, state = scan(u * dt, dt, wide.A, B, C)
    if wide.D is not None:
        y = y + wide.D[:, None] * u
    y = flip_groups(y, wide.reverse, groups)
    if wide.z is not None:
        y = y * F.silu(wide.z)
    return y.to(given.u.dtype), state


def _side_by_side(du: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`posemamba.scan.recurrence.recurrence` in few, large launches."""
    batch, rows, length = du.shape
    size = math.isqrt(max(0, int(length) - 1)) + 1  # steps of a chunk
    # Steps of the padding keep the state: dt is 0, after softplus.
    x, dt, b, c = (_chunks(t, size) for t in (du, dt, B, C))
    # x, dt: (size, batch, chunks, rows); b, c: (size, batch, chunks, groups, N)
    states = _states(x, dt, A, b)  # (size, batch, chunks, rows, N)
    grouped = torch.unflatten(states, 3, (B.shape[1], -1))
    y = torch.einsum("tbkgdn,tbkgn->tbkgd", grouped, c).flatten(3)
    # The padding keeps the state: the last row is the state after the last step.
    return y.permute(1, 3, 2, 0).reshape(batch, rows, -1)[..., :length], states[-1, :, -1]


def _chunks(tensor: Tensor, size: int) -> Tensor:
    """(batch, ..., L) to (size, batch, chunks, ...), padded with zeros; contiguous step by step."""
    padded = F.pad(tensor, (0, -tensor.shape[-1] % size))
    cut = torch.unflatten(padded, -1, (-1, size))  # (batch, ..., chunks, size)
    return cut.movedim((-1, 0, -2), (0, 1, 2)).contiguous()


def _states(du: Tensor, dt: Tensor, rates: Tensor, b: Tensor) -> Tensor:
    """The state after every step: (size, batch, chunks, rows, N)."""
    decays = torch.exp(dt[..., None] * rates)  # (size, batch, chunks, rows, N)
    grouped = torch.unflatten(du, 3, (b.shape[3], -1))  # (size, batch, chunks, groups, d)
    added = (grouped[..., None] * b[..., None, :]).flatten(3, 4)
    state = added[0]
    local = [state]
    # unbind, not indexing: its gradient is one stack instead of a padded tensor a step
    for decay, add in zip(decays.unbind(0)[1:], added.unbind(0)[1:], strict=True):
        state = torch.addcmul(add, decay, state)
        local.append(state)
    since_start = torch.exp(dt.cumsum(0)[..., None] * rates)  # decay from the chunk's start
    start = torch.zeros_like(state[:, 0])
    starts = []
    for through, end in zip(since_start[-1].unbind(1), state.unbind(1), strict=True):
        starts.append(start)
        start = torch.addcmul(end, through, start)
    return torch.addcmul(torch.stack(local), since_start, torch.stack(starts, 1))
