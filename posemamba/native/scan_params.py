"""The scan launchers' parameters from tensors: of both operators and of their gradients."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from posemamba.native import structs
from posemamba.native.launch import addresses, dtype_code, grid
from posemamba.scan_order import Walk


def cross_scan_params(
    x: Tensor,
    x_stride: int,
    x_dbl: Tensor,
    x_dbl_stride: int,
    weights: Sequence[Tensor],
    d_state: int,
    dt_rank: int,
    walk: Walk,
    y: Tensor | None = None,
    half_sums: bool = False,
) -> structs.CrossScanParams:
    """The launchers' parameters; arguments as
    :func:`posemamba.native.scan_ops.cross_selective_scan`.

    Args:
        x_stride, x_dbl_stride: distance between positions in elements.
        weights: ``dt_weight, dt_bias, A, D``, float32 and contiguous.
    """
    dt_weight, dt_bias, A, D = weights
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


def scan_params(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    z: Tensor | None,
    delta_softplus: bool,
    reverse: Sequence[int],
    y: Tensor | None = None,
) -> structs.ScanParams:
    """The launchers' parameters; arguments as :func:`posemamba.native.scan_ops.selective_scan`.

    All tensors are contiguous; ``A``, ``D`` and ``delta_bias`` float32.
    """
    batch, rows, length = u.shape
    return structs.ScanParams(
        **addresses(u=u, delta=delta, A=A, B=B, C=C, D=D, z=z, delta_bias=delta_bias, y=y),
        batch=batch,
        length=length,
        groups=len(reverse),
        channels=rows // len(reverse),
        d_state=A.shape[1],
        delta_softplus=int(delta_softplus),
        dtype=dtype_code(u, "selective_scan"),
        reverse=structs.directions(reverse),
    )
