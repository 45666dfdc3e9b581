"""From an operator's tensors to what the scan launchers take: judged, laid out, made a struct."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from posemamba.errors import InputError
from posemamba.native import structs
from posemamba.native.launch import (
    addresses,
    dtype_code,
    grid,
    position_rows,
    require_axes,
    require_shapes,
    require_types,
)
from posemamba.scan.operands import Operands
from posemamba.scan_order import Walk
from posemamba.text import plural


class CrossInputs(NamedTuple):
    """What a scan over the grid reads; positions are evenly spaced rows.

    Attributes:
        x: (batch, frames, joints, d_inner).
        x_stride, x_dbl_stride: distance between positions in elements.
        x_dbl: (batch, frames, joints, K * (dt_rank + 2 * d_state)).
        weights: ``dt_weight, dt_bias, A, D``, float32 and contiguous.
    """

    x: Tensor
    x_stride: int
    x_dbl: Tensor
    x_dbl_stride: int
    weights: Sequence[Tensor]


def cross_inputs(
    op: str,
    x: Tensor,
    x_dbl: Tensor,
    weights: Sequence[Tensor],
    directions: int,
    d_state: int,
    dt_rank: int,
) -> CrossInputs:
    """The tensors of either version of ``cross_selective_scan``, as the kernels take them.

    Args:
        op: for messages.
        x: of four axes.

    Raises:
        InputError: shapes or types that do not fit each other.
    """
    dt_weight, dt_bias, A, D = weights
    inner, k = x.shape[3], directions
    shapes = {
        "x_dbl": (x_dbl, (*x.shape[:3], k * (dt_rank + 2 * d_state))),
        "dt_weight": (dt_weight, (k, inner, dt_rank)),
        "dt_bias": (dt_bias, (k, inner)),
        "A": (A, (k, inner, d_state)),
        "D": (D, (k, inner)),
    }
    require_shapes(op, x, shapes)
    fixed = {"dt_weight": dt_weight, "dt_bias": dt_bias, "A": A, "D": D}
    require_types(op, {"x": x, "x_dbl": x_dbl}, fixed)
    wide = [t.to(torch.float32).contiguous() for t in weights]
    return CrossInputs(*position_rows(x), *position_rows(x_dbl), wide)


def scan_inputs(op: str, given: Operands) -> Operands:
    """What either version of ``selective_scan`` reads, as the kernels take it.

    Args:
        op: for messages.

    Returns:
        the same, all contiguous, ``A``, ``D`` and ``delta_bias`` float32.

    Raises:
        InputError: shapes or types that do not fit each other.
    """
    u, A = given.u, given.A
    require_axes(op, "u", u, 3)
    require_axes(op, "A", A, 2)
    batch, rows, length = u.shape
    groups, state = len(given.reverse), A.shape[1]
    if groups == 0 or rows % groups:
        raise InputError(
            f"posemamba::{op}: {plural(rows, 'channel')} cannot be split into the "
            f"{plural(groups, 'group')} of reverse"
        )
    expected = {
        "u": (batch, rows, length),
        "delta": (batch, rows, length),
        "A": (rows, state),
        "B": (batch, groups, state, length),
        "C": (batch, groups, state, length),
        "D": (rows,),
        "delta_bias": (rows,),
        "z": (batch, rows, length),
    }
    there = dict(given.tensors())
    require_shapes(op, u, {name: (t, expected[name]) for name, t in there.items()})
    weights = ("A", "D", "delta_bias")
    fixed: dict[str, Tensor] = {name: there.pop(name) for name in weights if name in there}
    require_types(op, there, fixed)
    laid_out = {name: t.contiguous() for name, t in there.items()}
    wide = {name: t.to(torch.float32).contiguous() for name, t in fixed.items()}
    changed: dict[str, Any] = laid_out | wide
    return given._replace(**changed)


def cross_scan_params(
    given: CrossInputs,
    d_state: int,
    dt_rank: int,
    walk: Walk,
    y: Tensor | None = None,
    half_sums: bool = False,
) -> structs.CrossScanParams:
    """The launchers' parameters; arguments as
    :func:`posemamba.native.scan_ops.cross_selective_scan`."""
    x, x_stride, x_dbl, x_dbl_stride, (dt_weight, dt_bias, A, D) = given
    return structs.CrossScanParams(
        **addresses(x=x, x_dbl=x_dbl, dt_weight=dt_weight, dt_bias=dt_bias, A=A, D=D, y=y),
        **grid(x),
        x_stride=x_stride,
        x_dbl_stride=x_dbl_stride,
        y_stride=x.shape[3],
        d_inner=x.shape[3],
        d_state=d_state,
        dt_rank=dt_rank,
        dtype=dtype_code(x, "cross_selective_scan"),
        half_sums=int(half_sums),
        **structs.walk_fields(walk),
    )


def scan_params(given: Operands, y: Tensor | None = None) -> structs.ScanParams:
    """The launchers' parameters of what :func:`scan_inputs` gave."""
    batch, rows, length = given.u.shape
    return structs.ScanParams(
        **addresses(**dict(given.tensors()), y=y),
        batch=batch,
        length=length,
        groups=len(given.reverse),
        channels=rows // len(given.reverse),
        d_state=given.A.shape[1],
        delta_softplus=int(given.delta_softplus),
        dtype=dtype_code(given.u, "selective_scan"),
        reverse=structs.directions(given.reverse),
    )
