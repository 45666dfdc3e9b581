"""Version 2 of the two scan operators as PyTorch custom ops, namespace ``posemamba``.

``cross_selective_scan_v2`` walks tables of positions, ``selective_scan_v2`` takes a state and gives
one back. ``docs/reference/ops.md`` specifies both; the ONNX operators of ``plugin_version`` 2 are
identical. They run the native kernels, trace and have true gradients, as version 1 does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from posemamba.errors import InputError
from posemamba.native import scan_ops, structs
from posemamba.native.launch import (
    addresses,
    dtype_code,
    launch_scan,
    require_axes,
    require_shapes,
    require_types,
)
from posemamba.native.scan_ops import recomputed_gradients
from posemamba.native.scan_params import cross_inputs, scan_inputs, scan_params
from posemamba.scan import chunked, indexed, reference
from posemamba.scan.once import Context
from posemamba.scan.operands import Operands

_CROSS, _SCAN = "cross_selective_scan_v2", "selective_scan_v2"


@torch.library.custom_op(f"posemamba::{_CROSS}", mutates_args=(), device_types=("cpu", "cuda"))
def cross_selective_scan_v2(
    x: Tensor,
    x_dbl: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    scan_index: Tensor,
    neighbour_index: Tensor | None,
    reset_length: Tensor | None,
    d_state: int,
    dt_rank: int,
) -> Tensor:
    """K selective scans along tables of positions and their sum.

    Args:
        x: (batch, frames, joints, d_inner), float32 or float16; a *position* is
            ``frame * joints + joint``.
        x_dbl, dt_weight, dt_bias, A, D: as
            :func:`posemamba.native.scan_ops.cross_selective_scan`; ``d_state`` up to 256.
        scan_index: (K, steps) integers, the position of each step, -1 for an idle one. Positions
            may repeat, and be left out: what their steps give is added, or is 0.
        neighbour_index: (K, steps) integers, the position that is added to a step's input, -1 for
            none.
        reset_length: (K,) integers; the state is zero at every multiple of it. None or 0: at the
            first step alone.

    Returns:
        (batch, frames, joints, d_inner), dtype of ``x``, accumulated in float32.

    Raises:
        InputError: a dtype, size or (on a CPU) index that the kernels do not take, tensors that do
            not fit each other, or the native library is missing.
    """
    require_axes(_CROSS, "x", x, 4)
    require_axes(_CROSS, "scan_index", scan_index, 2)
    batch, frames, joints, inner = x.shape
    k, steps = scan_index.shape
    weights = (dt_weight, dt_bias, A, D)
    inputs = cross_inputs(_CROSS, x, x_dbl, weights, k, d_state, dt_rank)
    shapes = {
        "scan_index": (scan_index, (k, steps)),
        "neighbour_index": (neighbour_index, (k, steps)),
        "reset_length": (reset_length, (k,)),
    }
    given = {name: (t, shape) for name, (t, shape) in shapes.items() if t is not None}
    require_shapes(_CROSS, x, given)
    tables = {name: _table(name, table) for name, (table, _) in given.items()}
    dt_weight, dt_bias, A, D = inputs.weights
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    params = structs.IndexedScanParams(
        **addresses(x=inputs.x, x_dbl=inputs.x_dbl, y=y),
        **addresses(dt_weight=dt_weight, dt_bias=dt_bias, A=A, D=D),
        **addresses(**tables),
        batch=batch,
        positions=frames * joints,
        steps=steps,
        x_stride=inputs.x_stride,
        x_dbl_stride=inputs.x_dbl_stride,
        y_stride=inner,
        d_inner=inner,
        d_state=d_state,
        dt_rank=dt_rank,
        directions=k,
        dtype=dtype_code(x, _CROSS),
    )
    if y.numel():
        launch_scan("indexed_scan", params, x.device)
    return y


def _table(name: str, table: Tensor) -> Tensor:
    """A table as the kernels take it.

    Raises:
        InputError: it holds no integers.
    """
    if table.dtype not in (torch.int32, torch.int64):
        raise InputError(f"posemamba::{_CROSS}: {name} is {table.dtype}, it must hold integers")
    return table.clamp(-(2**31), 2**31 - 1).to(torch.int32).contiguous()


@cross_selective_scan_v2.register_fake
def _(x: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.custom_op(f"posemamba::{_SCAN}", mutates_args=(), device_types=("cpu", "cuda"))
def selective_scan_v2(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    z: Tensor | None,
    initial_state: Tensor | None,
    delta_softplus: bool,
    reverse: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """The Mamba-1 scan from a state to a state, so that a sequence may come in pieces.

    On a CPU, float32, the pieces of a sequence give the bits of one long scan wherever it is cut.

    Args:
        u, delta, A, B, C, D, delta_bias, z: as :class:`posemamba.scan.operands.Operands`; ``N``
            up to 256.
        initial_state: (batch, groups * channels, N) float32, before a group's first step in its
            direction; None for zero.
        reverse: per group, 1 to run from the last step to the first.

    Returns:
        ``y`` (batch, groups * channels, L), dtype of ``u``; the state after the last step
        (batch, groups * channels, N), float32: that before the first where L is 0.

    Raises:
        InputError: as :func:`posemamba.native.scan_ops.selective_scan`.
    """
    given = Operands(u, delta, A, B, C, D, z, delta_bias, delta_softplus, reverse)
    inputs = scan_inputs(_SCAN, given)
    state_shape = (u.shape[0], *A.shape)
    if initial_state is not None:
        require_shapes(_SCAN, u, {"initial_state": (initial_state, state_shape)})
        require_types(_SCAN, {"u": u}, {"initial_state": initial_state})
        initial_state = initial_state.to(torch.float32).contiguous()
    y = torch.empty_like(inputs.u)
    final_state = torch.empty(state_shape, dtype=torch.float32, device=u.device)
    scan = scan_params(inputs, y)
    params = structs.StatefulScanParams(
        scan=scan, **addresses(initial_state=initial_state, final_state=final_state)
    )
    if y.numel() or final_state.numel():  # without a step the state stays
        launch_scan("stateful_scan", params, u.device)
    return y, final_state


@selective_scan_v2.register_fake
def _(u: Tensor, _delta: Tensor, A: Tensor, *_args: Any) -> tuple[Tensor, Tensor]:
    state = u.new_empty((u.shape[0], u.shape[1], A.shape[1]), dtype=torch.float32)
    return u.new_empty(u.shape), state


def stateless_scan(given: Operands) -> Tensor:
    """As :func:`posemamba.scan.reference.selective_scan`, by whichever version has the sizes."""
    most = structs.SCAN_SIZES["d_state"]
    if most is not None and given.A.shape[1] <= most:
        y: Tensor = scan_ops.selective_scan(**_named(given))
        return y
    return scan_from_zero(given)[0]


def scan_from_zero(given: Operands) -> tuple[Tensor, Tensor]:
    """:func:`selective_scan_v2` without an initial state."""
    found: tuple[Tensor, Tensor] = selective_scan_v2(**_named(given), initial_state=None)
    return found


def _named(given: Operands) -> dict[str, Any]:
    """The operators' arguments, which have a direction for every group."""
    return given._asdict() | {"reverse": given.reverse or [0] * given.B.shape[1]}


def _save_inputs(ctx: Context, inputs: tuple[Any, ...], output: object) -> None:
    ctx.set_materialize_grads(False)  # None of an output that nobody used
    scan_ops.save_inputs(ctx, inputs, output)


def _cross_backward(ctx: Context, grad: Tensor | None) -> tuple[Any, ...]:
    def plain(*values: Any) -> Tensor:
        *inputs, _d_state, _dt_rank = values
        return indexed.cross_selective_scan(*inputs, scan=chunked.selective_scan)

    return recomputed_gradients(ctx, [grad], plain)


def _scan_backward(
    ctx: Context,
    grad: Tensor | None,
    state_grad: Tensor | None,
) -> tuple[Any, ...]:
    def plain(*values: Any) -> tuple[Tensor, ...]:
        u, delta, A, B, C, D, delta_bias, z, initial_state, delta_softplus, reverse = values
        given = Operands(u, delta, A, B, C, D, z, delta_bias, delta_softplus, list(reverse))
        if initial_state is None:  # in chunks: much faster
            return chunked.selective_scan_and_state(given)
        return reference.stateful_scan(given, initial_state)

    return recomputed_gradients(ctx, [grad, state_grad], plain)


cross_selective_scan_v2.register_autograd(_cross_backward, setup_context=_save_inputs)
selective_scan_v2.register_autograd(_scan_backward, setup_context=_save_inputs)
