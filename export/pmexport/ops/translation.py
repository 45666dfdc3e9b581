"""From the PyTorch operators to the ONNX ones of the same meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from onnxscript import values

from pmexport.format.names import OP_DOMAIN, OP_VERSION, PLUGIN_ATTRIBUTES
from pmexport.format.schemas import register_schemas

_OPSET = values.Opset(OP_DOMAIN, OP_VERSION)


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """``custom_translation_table`` for ``torch.onnx.export(dynamo=True)``.

    With it any network that calls ``torch.ops.posemamba.selective_scan`` (every Mamba-1 model can)
    or ``cross_selective_scan`` exports to one node per call.
    """
    import torch

    import posemamba.native.scan_ops  # noqa: F401 (defines the two PyTorch operators)

    register_schemas()
    return {
        torch.ops.posemamba.cross_selective_scan.default: _cross_selective_scan,
        torch.ops.posemamba.selective_scan.default: _selective_scan,
    }


def _cross_selective_scan(
    x: Any,  # noqa: ANN401 (symbolic tensors of whichever exporter calls)
    x_dbl: Any,  # noqa: ANN401
    dt_weight: Any,  # noqa: ANN401
    dt_bias: Any,  # noqa: ANN401
    A: Any,  # noqa: ANN401
    D: Any,  # noqa: ANN401
    d_state: int,
    dt_rank: int,
    order: Sequence[int],
    reverse: Sequence[int],
    limb_mask: Sequence[int],
    limb_index: Sequence[int],
) -> Any:  # noqa: ANN401
    return _OPSET.CrossSelectiveScan(
        *(x, x_dbl, dt_weight, dt_bias, A, D),
        d_state=d_state,
        dt_rank=dt_rank,
        order=order,
        reverse=reverse,
        limb_mask=limb_mask,
        limb_index=limb_index,
        **PLUGIN_ATTRIBUTES,
    )


def _selective_scan(
    u: Any,  # noqa: ANN401
    delta: Any,  # noqa: ANN401
    A: Any,  # noqa: ANN401
    B: Any,  # noqa: ANN401
    C: Any,  # noqa: ANN401
    D: Any,  # noqa: ANN401
    delta_bias: Any,  # noqa: ANN401
    z: Any,  # noqa: ANN401
    delta_softplus: bool,
    reverse: Sequence[int],
) -> Any:  # noqa: ANN401
    return _OPSET.SelectiveScan(
        *(u, delta, A, B, C, D, delta_bias, z),
        delta_softplus=int(delta_softplus),
        reverse=reverse,
        **PLUGIN_ATTRIBUTES,
    )
