"""Gradients of the two scan operators by native kernels, as PyTorch custom ops.

``posemamba/scan_backward.h`` says what they compute. :mod:`posemamba.native.scan_ops` calls them
in its backward pass, which checked the inputs in its forward pass.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from posemamba.native import structs
from posemamba.native.launch import addresses, launch_scan, position_rows
from posemamba.native.scan_params import CrossInputs, cross_scan_params, scan_params
from posemamba.scan.operands import Operands
from posemamba.scan_order import Walk

#: Device types whose gradients are native kernels; on others the scan is recomputed in PyTorch.
NATIVE_GRADIENTS = ("cpu", "cuda")


def _sized(struct: type[ctypes.Structure], **fields: Any) -> ctypes.Structure:
    return struct(size=ctypes.sizeof(struct), **fields)


def _weight(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32).contiguous()


@torch.library.custom_op(
    "posemamba::cross_selective_scan_backward", mutates_args=(), device_types=("cpu", "cuda")
)
def cross_selective_scan_backward(
    dy: Tensor,
    x: Tensor,
    x_dbl: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    d_state: int,
    dt_rank: int,
    order: Sequence[int],
    reverse: Sequence[int],
    limb_mask: Sequence[int],
    limb_index: Sequence[int],
    official_limbs: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of :func:`posemamba.native.scan_ops.cross_selective_scan`.

    Args:
        dy: (batch, frames, joints, d_inner), dtype of ``x``.
        official_limbs: what a limb sum reads of a neighbour gives ``x`` no gradient, and
            ``x_dbl`` one of its own.

    Returns:
        those of ``x`` and ``x_dbl`` in their type, of the four weights in float32, and of the limb
        neighbours' ``x_dbl``, which is empty unless ``official_limbs``.
    """
    dy, dy_stride = position_rows(dy.to(x.dtype))
    x, x_stride = position_rows(x)
    x_dbl, x_dbl_stride = position_rows(x_dbl)
    weights = [_weight(t) for t in (dt_weight, dt_bias, A, D)]
    dx, dx_dbl = torch.empty_like(x, memory_format=torch.contiguous_format), _rows_like(x_dbl)
    limb = _rows_like(x_dbl) if official_limbs else x_dbl.new_empty(0)
    if not x.numel():
        return dx, dx_dbl, *(torch.zeros_like(t) for t in weights), limb  # type: ignore[return-value]
    d_weight, d_bias, dA, dD = (torch.empty_like(t) for t in weights)
    walk = Walk(tuple(order), tuple(reverse), tuple(limb_mask), tuple(limb_index))
    inputs = CrossInputs(x, x_stride, x_dbl, x_dbl_stride, weights)
    params = _sized(
        structs.CrossScanBackwardParams,
        forward=cross_scan_params(inputs, d_state, dt_rank, walk),
        **addresses(dy=dy, dx=dx, dx_dbl=dx_dbl, dx_dbl_limb=limb, dA=dA, dD=dD),
        **addresses(d_dt_weight=d_weight, d_dt_bias=d_bias),
        dy_stride=dy_stride,
        limb_gradient=int(official_limbs),
    )
    launch_scan("cross_scan_backward", params, x.device)
    return dx, dx_dbl, d_weight, d_bias, dA, dD, limb


def _rows_like(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)


@cross_selective_scan_backward.register_fake
def _(_dy: Tensor, x: Tensor, x_dbl: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    weights = [t.new_empty(t.shape, dtype=torch.float32) for t in rest[:4]]
    limb = x_dbl.new_empty(x_dbl.shape if rest[-1] else 0)
    return x.new_empty(x.shape), x_dbl.new_empty(x_dbl.shape), *weights, limb


@torch.library.custom_op(
    "posemamba::selective_scan_backward", mutates_args=(), device_types=("cpu", "cuda")
)
def selective_scan_backward(
    dy: Tensor,
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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of :func:`posemamba.native.scan_ops.selective_scan`, in the order of its inputs.

    Returns:
        those of the activations in their type, of ``A``, ``D`` and ``delta_bias`` in float32. Of an
        input that is None: empty.
    """
    dy, u, delta, B, C = (t.to(u.dtype).contiguous() for t in (dy, u, delta, B, C))
    z = None if z is None else z.contiguous()
    A = _weight(A)
    D, delta_bias = (None if t is None else _weight(t) for t in (D, delta_bias))
    inputs = (u, delta, A, B, C, D, delta_bias, z)
    if not u.numel():
        return tuple(u.new_empty(0) if t is None else torch.zeros_like(t) for t in inputs)  # type: ignore[return-value]
    found = tuple(u.new_empty(0) if t is None else torch.empty_like(t) for t in inputs)
    given = Operands(u, delta, A, B, C, D, z, delta_bias, delta_softplus, reverse)
    names = ("du", "ddelta", "dA", "dB", "dC", "dD", "d_delta_bias", "dz")
    params = _sized(
        structs.ScanBackwardParams,
        forward=scan_params(given),
        **addresses(dy=dy, **dict(zip(names, found, strict=True))),
    )
    launch_scan("scan_backward", params, u.device)
    return found  # type: ignore[return-value]


@selective_scan_backward.register_fake
def _(_dy: Tensor, *inputs: Any) -> tuple[Tensor, ...]:
    u, weights = inputs[0], (2, 5, 6)
    return tuple(
        u.new_empty(0)
        if t is None
        else t.new_empty(t.shape, dtype=torch.float32 if i in weights else t.dtype)
        for i, t in enumerate(inputs[:8])
    )
