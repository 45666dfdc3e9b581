"""Readable reference of the scan: step by step, in float32 or float64, on any device.

Every faster implementation in this project is tested against it. Glossary, after Gu & Dao, "Mamba"
(arXiv 2312.00752), algorithm 2:

    batch      clips                          groups   K, the scan directions
    channels   d_inner, per group             N        d_state
    L          steps, frames * joints         R        dt_rank
    u          input of the scan              delta    step size, after softplus
    A          decay rates, negative          B, C     input and output projections, per step
    D          skip weight                    z        gate
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from posemamba.scan.operands import Operands, Scan
from posemamba.scan.walk import arrange, restore
from posemamba.scan_order import Walk


def selective_scan(given: Operands) -> Tensor:
    """Mamba-1 selective scan: ``h = exp(delta A) h + delta B u``; ``y = C h + D u``.

    Returns:
        (batch, groups * channels, L), dtype of ``u``. The interior is float32, or float64 when
        ``u`` is float64.
    """
    return stateful_scan(given)[0]


def stateful_scan(given: Operands, initial_state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """:func:`selective_scan` from a state to a state.

    Args:
        initial_state: (batch, groups * channels, N) before a group's first step in its direction;
            None for zero.

    Returns:
        the output, and the state after the last step (batch, groups * channels, N) in the type of
        the interior.
    """
    work = torch.float64 if given.u.dtype == torch.float64 else torch.float32
    wide = given.to(work)
    groups = wide.B.shape[1]
    u, delta, B, C = (
        flip_groups(t, wide.reverse, groups) for t in (wide.u, wide.delta, wide.B, wide.C)
    )
    channels = u.shape[1] // groups
    if wide.delta_bias is not None:
        delta = delta + wide.delta_bias[:, None]
    if wide.delta_softplus:
        delta = F.softplus(delta)  # torch's threshold is 20, as in the authors' kernel
    B = B.repeat_interleave(channels, dim=1)  # (batch, groups * channels, N, L)
    C = C.repeat_interleave(channels, dim=1)
    state = u.new_zeros(u.shape[0], u.shape[1], wide.A.shape[1])  # (batch, groups * channels, N)
    if initial_state is not None:
        state = initial_state.to(work)
    outputs = []
    for step in range(u.shape[2]):
        dt = delta[:, :, step, None]  # (batch, groups * channels, 1)
        state = torch.exp(dt * wide.A) * state + dt * u[:, :, step, None] * B[..., step]
        outputs.append((state * C[..., step]).sum(-1))
    y = torch.stack(outputs, dim=-1) if outputs else torch.zeros_like(u)
    if wide.D is not None:
        y = y + wide.D[:, None] * u
    y = flip_groups(y, wide.reverse, groups)  # (batch, groups * channels, L)
    if wide.z is not None:
        y = y * F.silu(wide.z)
    return y.to(given.u.dtype), state


def flip_groups(tensor: Tensor, reverse: Sequence[int], groups: int) -> Tensor:
    """Reverse time in the marked groups of (batch, groups * c, L) or (batch, groups, N, L)."""
    if not any(reverse):
        return tensor
    parts = tensor.chunk(groups, dim=1)
    return torch.cat([p.flip(-1) if r else p for p, r in zip(parts, reverse, strict=True)], dim=1)


def directional_inputs(
    x: Tensor,
    x_dbl: Tensor,
    dt_weight: Tensor,
    d_state: int,
    walk: Walk,
    limb_source: tuple[Tensor, Tensor] | None = None,
    limbs: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Split a grid into the K directional sequences the generic scan reads.

    Args:
        x: (batch, frames, joints, d_inner).
        x_dbl: (batch, frames, joints, K * (R + 2N)); per direction dt, B, C.
        dt_weight: (K, d_inner, R).
        limb_source: ``x`` and ``x_dbl`` whose limb neighbours are added, None for those above:
            where gradients of the neighbours differ from those of a joint itself.
        limbs: the walk's limb index on ``x``'s device, which spares a copy to it.

    Returns:
        ``u`` and ``delta`` (batch, K * d_inner, L), ``delta`` before bias and softplus; ``B`` and
        ``C`` (batch, K, N, L). Steps are in visiting order; reversal is left to the scan.
    """
    if limbs is None:
        limbs = torch.tensor(walk.limb_index, device=x.device)
    limb_x, limb_dbl = (x, x_dbl) if limb_source is None else limb_source
    count = walk.directions
    parts = zip(x_dbl.chunk(count, dim=-1), limb_dbl.chunk(count, dim=-1), strict=True)
    u, delta, B, C = [], [], [], []
    for k, (projected, neighbour) in enumerate(parts):
        order, source = walk.order[k], x
        if walk.limb_mask[k]:  # x_proj has no bias, so it commutes with the limb sum
            source = x + limb_x.index_select(2, limbs)
            projected = projected + neighbour.index_select(2, limbs)
        steps = arrange(projected, order).to(dt_weight.dtype)  # (batch, L, R + 2N)
        dt_raw, b, c = torch.split(steps, [dt_weight.shape[2], d_state, d_state], dim=-1)
        u.append(arrange(source, order).transpose(1, 2))
        delta.append(F.linear(dt_raw, dt_weight[k]).transpose(1, 2))
        B.append(b.transpose(1, 2))
        C.append(c.transpose(1, 2))
    dtype = x.dtype
    return (
        torch.cat(u, dim=1),
        torch.cat(delta, dim=1).to(dtype),
        torch.stack(B, dim=1).to(dtype),
        torch.stack(C, dim=1).to(dtype),
    )


def merge_directions(y: Tensor, order: Sequence[int], frames: int, joints: int) -> Tensor:
    """Sum the directional outputs back on the grid.

    Args:
        y: (batch, K * d_inner, L), steps in visiting order.

    Returns:
        (batch, frames, joints, d_inner).
    """
    parts = y.chunk(len(order), dim=1)
    grids = [
        restore(part.transpose(1, 2), code, frames, joints)
        for part, code in zip(parts, order, strict=True)
    ]
    return torch.stack(grids).sum(0)


def cross_selective_scan(
    x: Tensor,
    x_dbl: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    d_state: int,
    order: Sequence[int],
    reverse: Sequence[int],
    limb_mask: Sequence[int],
    limb_index: Sequence[int],
    *,
    scan: Scan = selective_scan,
) -> Tensor:
    """The fused operator, spelled out.

    Arguments as :func:`posemamba.native.scan_ops.cross_selective_scan`.

    Args:
        scan: what computes the directions.
    """
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    u, delta, B, C = directional_inputs(
        x.to(work),
        x_dbl.to(work),
        dt_weight.to(work),
        d_state,
        Walk(tuple(order), tuple(reverse), tuple(limb_mask), tuple(limb_index)),
    )
    given = Operands(
        *(u, delta, A.flatten(0, 1), B, C, D.flatten()),
        delta_bias=dt_bias.flatten(),
        delta_softplus=True,
        reverse=reverse,
    )
    return merge_directions(scan(given), order, x.shape[1], x.shape[2]).to(x.dtype)
