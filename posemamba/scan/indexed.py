"""``CrossSelectiveScan``, version 2, in PyTorch: scans along tables of positions.

The tables are those of :func:`posemamba.native.scan_ops_v2.cross_selective_scan_v2`; the words are
those of :mod:`posemamba.scan.reference`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from posemamba.errors import InputError
from posemamba.scan import reference
from posemamba.scan.operands import Operands, Scan


def cross_selective_scan(
    x: Tensor,
    x_dbl: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    scan_index: Tensor,
    neighbour_index: Tensor | None = None,
    reset_length: Tensor | None = None,
    *,
    scan: Scan = reference.selective_scan,
) -> Tensor:
    """The operator, spelled out; arguments as the native one.

    Args:
        scan: what computes a direction.

    Raises:
        InputError: an index out of range.
    """
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    directions, rank = dt_weight.shape[0], dt_weight.shape[2]
    batch, frames, joints, inner = x.shape
    positions = frames * joints
    check_tables(scan_index, neighbour_index, reset_length, positions)
    grid = x.flatten(1, 2).to(work)  # (batch, positions, d_inner)
    rows = x_dbl.flatten(1, 2).to(work).chunk(directions, dim=-1)  # R + 2N each
    total = grid.new_zeros(batch, positions, inner)
    for k in range(directions):
        visits = scan_index[k].long()
        idle = visits < 0
        limbs = None if neighbour_index is None else neighbour_index[k].long()
        u, row = (_read(t, visits, limbs) for t in (grid, rows[k]))  # (batch, steps, channels)
        dt_raw, b, c = torch.split(row, [rank, A.shape[2], A.shape[2]], dim=-1)
        dt = F.softplus(F.linear(dt_raw, dt_weight[k].to(work), dt_bias[k].to(work)))
        dt = dt.masked_fill(idle[:, None], 0.0)  # an idle step keeps the state
        length = 0 if reset_length is None else int(reset_length[k])
        y = _direction(scan, u, dt, A[k], b, c, D[k], length)
        y = y.masked_fill(idle[:, None], 0.0)
        total = total.index_add(1, visits.clamp(min=0), y)
    return total.view(x.shape).to(x.dtype)


def check_tables(
    scan_index: Tensor, neighbour_index: Tensor | None, reset_length: Tensor | None, positions: int
) -> None:
    """Refuse tables of positions that there are not.

    Raises:
        InputError: an index out of range, or a negative reset length.
    """
    for name, table in (("scan_index", scan_index), ("neighbour_index", neighbour_index)):
        if table is not None and table.numel():
            low, high = int(table.min()), int(table.max())
            if low < -1 or high >= positions:
                wrong = low if low < -1 else high
                raise InputError(f"{name} holds {wrong}: use -1 to {positions - 1}")
    if reset_length is not None and bool((reset_length < 0).any()):
        raise InputError(f"reset_length holds {int(reset_length.min())}: use 0 or more")


def _read(grid: Tensor, visits: Tensor, limbs: Tensor | None) -> Tensor:
    """(batch, positions, c) along a direction's steps, limb neighbours added: (batch, steps, c)."""
    found = grid.index_select(1, visits.clamp(min=0))
    if limbs is None:
        return found
    added = grid.index_select(1, limbs.clamp(min=0))
    return found + added.masked_fill((limbs < 0)[:, None], 0.0)


def _direction(
    scan: Scan,
    u: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    reset: int,
) -> Tensor:
    """One direction: (batch, steps, d_inner) to the same.

    Between two resets nothing is carried, so the pieces are scanned as so many batch items.
    """
    steps = u.shape[1]
    piece = reset if 0 < reset < steps else steps
    cut = [_pieces(t, piece) for t in (u, dt, B, C)]  # (batch * pieces, channels, piece)
    A, D = A.to(u.dtype), D.to(u.dtype)
    y = scan(Operands(cut[0], cut[1], A, cut[2][:, None], cut[3][:, None], D))
    return y.transpose(1, 2).reshape(u.shape[0], -1, u.shape[2])[:, :steps]


def _pieces(sequence: Tensor, piece: int) -> Tensor:
    """(batch, steps, c) to (batch * pieces, c, piece), the last piece padded with zeros."""
    padded = F.pad(sequence, (0, 0, 0, -sequence.shape[1] % piece))
    return torch.unflatten(padded, 1, (-1, piece)).flatten(0, 1).transpose(1, 2)
