"""From the PyTorch operators to the ONNX ones of the same meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from onnxscript import opset18 as onnx_ops
from onnxscript import values

from pmexport.format.names import (
    OP_DOMAIN,
    OP_VERSION,
    PLUGIN_ATTRIBUTES,
    SECOND_OP_VERSION,
    SECOND_PLUGIN_VERSION,
)
from pmexport.format.operators import HALF_SUMS
from pmexport.format.schemas import register_schemas

Value: TypeAlias = Any
"""A symbolic tensor of whichever exporter calls."""

_OPSET = values.Opset(OP_DOMAIN, OP_VERSION)
_SECOND = values.Opset(OP_DOMAIN, SECOND_OP_VERSION)
_SECOND_ATTRIBUTES = PLUGIN_ATTRIBUTES | {"plugin_version": SECOND_PLUGIN_VERSION}

_INT32, _INT64 = 6, 7  # of onnx.TensorProto
_GATE_PLACE, _STATE_PLACE = 2, 4  # of z, and of the inputs with initial_state, after C


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """``custom_translation_table`` for ``torch.onnx.export(dynamo=True)``.

    With it any network that calls ``torch.ops.posemamba.selective_scan`` (every Mamba-1 model can),
    ``cross_selective_scan`` or version 2 of either exports to one node per call.
    """
    import torch

    import posemamba.native.scan_ops_v2  # noqa: F401 (defines the PyTorch operators)

    register_schemas()
    return {
        torch.ops.posemamba.cross_selective_scan.default: _cross_selective_scan,
        torch.ops.posemamba.selective_scan.default: _selective_scan,
        torch.ops.posemamba.cross_selective_scan_v2.default: _cross_selective_scan_v2,
        torch.ops.posemamba.selective_scan_v2.default: _selective_scan_v2,
    }


def _cross_selective_scan(
    x: Value,
    x_dbl: Value,
    dt_weight: Value,
    dt_bias: Value,
    A: Value,
    D: Value,
    d_state: int,
    dt_rank: int,
    order: Sequence[int],
    reverse: Sequence[int],
    limb_mask: Sequence[int],
    limb_index: Sequence[int],
    half_sums: bool = False,
) -> Value:
    return _OPSET.CrossSelectiveScan(
        *(x, x_dbl, dt_weight, dt_bias, A, D),
        d_state=d_state,
        dt_rank=dt_rank,
        order=order,
        reverse=reverse,
        limb_mask=limb_mask,
        limb_index=limb_index,
        **({HALF_SUMS: 1} if half_sums else {}),
        **PLUGIN_ATTRIBUTES,
    )


def _selective_scan(
    u: Value,
    delta: Value,
    A: Value,
    B: Value,
    C: Value,
    D: Value,
    delta_bias: Value,
    z: Value,
    delta_softplus: bool,
    reverse: Sequence[int],
) -> Value:
    return _OPSET.SelectiveScan(
        *(u, delta, A, B, C, D, delta_bias, z),
        delta_softplus=int(delta_softplus),
        reverse=reverse,
        **PLUGIN_ATTRIBUTES,
    )


def _cross_selective_scan_v2(
    x: Value,
    x_dbl: Value,
    dt_weight: Value,
    dt_bias: Value,
    A: Value,
    D: Value,
    scan_index: Value,
    neighbour_index: Value,
    reset_length: Value,
    d_state: int,
    dt_rank: int,
) -> Value:
    # TensorRT's parser takes no gap: without neighbours, a table that names none.
    if neighbour_index is None and reset_length is not None:
        positions = onnx_ops.Cast(scan_index, to=_INT64)
        neighbour_index = onnx_ops.Sub(onnx_ops.Mul(positions, 0), 1)
    given = [t for t in (scan_index, neighbour_index, reset_length) if t is not None]
    return _SECOND.CrossSelectiveScan(
        *(x, x_dbl, dt_weight, dt_bias, A, D),
        *(onnx_ops.Cast(table, to=_INT32) for table in given),
        d_state=d_state,
        dt_rank=dt_rank,
        **_SECOND_ATTRIBUTES,
    )


def _selective_scan_v2(
    u: Value,
    delta: Value,
    A: Value,
    B: Value,
    C: Value,
    D: Value,
    delta_bias: Value,
    z: Value,
    initial_state: Value,
    delta_softplus: bool,
    reverse: Sequence[int],
) -> Value:
    optional = [D, delta_bias, z, initial_state]
    while optional and optional[-1] is None:
        optional.pop()
    # TensorRT's parser takes no gap. What is absent before another input is zero; a gate that is
    # absent is any tensor of its shape.
    gate = {} if z is not None or len(optional) < _STATE_PLACE else {"gated": 0}
    rows = onnx_ops.Shape(A, start=0, end=1) if None in optional[:_GATE_PLACE] else None
    for place, value in enumerate(optional):
        if value is None:
            optional[place] = u if place == _GATE_PLACE else onnx_ops.ConstantOfShape(rows)
    return _SECOND.SelectiveScan(
        *(u, delta, A, B, C, *optional),
        delta_softplus=int(delta_softplus),
        reverse=reverse,
        **gate,
        **_SECOND_ATTRIBUTES,
        _outputs=2,
    )
