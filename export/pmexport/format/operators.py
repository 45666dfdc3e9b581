"""The ONNX operators of domain ``posemamba``, version 1: schemas and translation from PyTorch.

``docs/reference/ops.md`` is their specification. Both also carry ``plugin_version`` and ``plugin_namespace``,
by which TensorRT's ONNX parser finds the plugin of the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx.defs
from onnxscript import values

OP_DOMAIN = "posemamba"
OP_VERSION = 1
CROSS_SELECTIVE_SCAN = "CrossSelectiveScan"
SELECTIVE_SCAN = "SelectiveScan"

#: On every node; TensorRT looks plugins up by name, version and namespace, not by ONNX domain.
PLUGIN_ATTRIBUTES: dict[str, str] = {"plugin_version": "1", "plugin_namespace": OP_DOMAIN}

#: Inputs in order. The first group is of the activation type T, the others are float32.
ACTIVATION_INPUTS: dict[str, tuple[str, ...]] = {
    CROSS_SELECTIVE_SCAN: ("x", "x_dbl"),
    SELECTIVE_SCAN: ("u", "delta", "B", "C", "z"),
}
OP_INPUTS: dict[str, tuple[str, ...]] = {
    CROSS_SELECTIVE_SCAN: ("x", "x_dbl", "dt_weight", "dt_bias", "A", "D"),
    SELECTIVE_SCAN: ("u", "delta", "A", "B", "C", "D", "delta_bias", "z"),
}
_OPTIONAL_INPUTS: dict[str, tuple[str, ...]] = {
    CROSS_SELECTIVE_SCAN: (),
    SELECTIVE_SCAN: ("D", "delta_bias", "z"),
}
_INT_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    CROSS_SELECTIVE_SCAN: ("d_state", "dt_rank"),
    SELECTIVE_SCAN: ("delta_softplus",),
}
_INTS_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    CROSS_SELECTIVE_SCAN: ("order", "reverse", "limb_mask", "limb_index"),
    SELECTIVE_SCAN: ("reverse",),
}
_DOCS: dict[str, str] = {
    CROSS_SELECTIVE_SCAN: "K directional selective scans over a (frames, joints) grid, summed.",
    SELECTIVE_SCAN: "The Mamba-1 selective scan (Gu and Dao 2023, algorithm 2).",
}


def register_schemas() -> None:
    """Tell ``onnx`` about both operators, so that models are checked and shapes inferred."""
    for name in OP_INPUTS:
        if not onnx.defs.has(name, domain=OP_DOMAIN):
            onnx.defs.register_schema(_schema(name))


def _schema(name: str) -> Any:  # noqa: ANN401 (onnx has no types)
    kind = onnx.defs.OpSchema.AttrType
    option = onnx.defs.OpSchema.FormalParameterOption
    attributes = [
        onnx.defs.OpSchema.Attribute(attribute, attribute_kind, required=True)
        for attribute_kind, names in (
            (kind.INT, _INT_ATTRIBUTES[name]),
            (kind.INTS, _INTS_ATTRIBUTES[name]),
            (kind.STRING, tuple(PLUGIN_ATTRIBUTES)),
        )
        for attribute in names
    ]
    inputs = [
        onnx.defs.OpSchema.FormalParameter(
            parameter,
            "T" if parameter in ACTIVATION_INPUTS[name] else "tensor(float)",
            param_option=option.Optional if parameter in _OPTIONAL_INPUTS[name] else option.Single,
        )
        for parameter in OP_INPUTS[name]
    ]
    schema = onnx.defs.OpSchema(
        name,
        OP_DOMAIN,
        OP_VERSION,
        doc=_DOCS[name],
        inputs=inputs,
        outputs=[onnx.defs.OpSchema.FormalParameter("y", "T")],
        type_constraints=[("T", ["tensor(float)", "tensor(float16)"], "Type of the activations.")],
        attributes=attributes,
    )
    schema.set_type_and_shape_inference_function(_output_like_first_input)
    return schema


def _output_like_first_input(context: Any) -> None:  # noqa: ANN401
    context.set_output_type(0, context.get_input_type(0))


_OPSET = values.Opset(OP_DOMAIN, OP_VERSION)


def _translate_cross_selective_scan(
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
        x,
        x_dbl,
        dt_weight,
        dt_bias,
        A,
        D,
        d_state=d_state,
        dt_rank=dt_rank,
        order=order,
        reverse=reverse,
        limb_mask=limb_mask,
        limb_index=limb_index,
        **PLUGIN_ATTRIBUTES,
    )


def _translate_selective_scan(
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
        u,
        delta,
        A,
        B,
        C,
        D,
        delta_bias,
        z,
        delta_softplus=int(delta_softplus),
        reverse=reverse,
        **PLUGIN_ATTRIBUTES,
    )


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """``custom_translation_table`` for ``torch.onnx.export(dynamo=True)``.

    With it any network that calls ``torch.ops.posemamba.selective_scan`` (every Mamba-1 model can)
    or ``cross_selective_scan`` exports to one node a call.
    """
    import torch

    import posemamba.native.scan_ops  # noqa: F401 (defines the two PyTorch operators)

    register_schemas()
    return {
        torch.ops.posemamba.cross_selective_scan.default: _translate_cross_selective_scan,
        torch.ops.posemamba.selective_scan.default: _translate_selective_scan,
    }
