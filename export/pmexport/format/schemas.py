"""The two scans as ``onnx`` knows operators: models are checked and shapes inferred with these."""

from __future__ import annotations

from typing import Any

import onnx.defs

from pmexport.format.names import OP_DOMAIN, OP_VERSION, PLUGIN_ATTRIBUTES
from pmexport.format.operators import CROSS_SELECTIVE_SCAN, SCANS, SELECTIVE_SCAN

_DOCS: dict[str, str] = {
    CROSS_SELECTIVE_SCAN: "K directional selective scans over a (frames, joints) grid, summed.",
    SELECTIVE_SCAN: "The Mamba-1 selective scan (Gu and Dao 2023, algorithm 2).",
}


def register_schemas() -> None:
    """Tell ``onnx`` about both operators."""
    for name in SCANS:
        if not onnx.defs.has(name, domain=OP_DOMAIN):
            onnx.defs.register_schema(_schema(name))


def _schema(name: str) -> Any:  # noqa: ANN401 (onnx has no types)
    operator = SCANS[name]
    kind = onnx.defs.OpSchema.AttrType
    option = onnx.defs.OpSchema.FormalParameterOption
    attributes = [
        onnx.defs.OpSchema.Attribute(attribute, attribute_kind, required=True)
        for attribute_kind, names in (
            (kind.INT, operator.ints),
            (kind.INTS, operator.int_lists),
            (kind.STRING, tuple(PLUGIN_ATTRIBUTES)),
        )
        for attribute in names
    ]
    inputs = [
        onnx.defs.OpSchema.FormalParameter(
            parameter,
            "T" if parameter in operator.activations else "tensor(float)",
            param_option=option.Optional if parameter in operator.optional else option.Single,
        )
        for parameter in operator.inputs
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
