"""The two scans as ``onnx`` knows operators: models are checked and shapes inferred with these."""

from __future__ import annotations

import onnx
import onnx.defs

from pmexport.format.names import (
    OP_DOMAIN,
    OP_VERSION,
    PLUGIN_ATTRIBUTES,
    SECOND_OP_VERSION,
)
from pmexport.format.operators import CROSS_SELECTIVE_SCAN, SCANS, SELECTIVE_SCAN, Operator

_KIND = onnx.defs.OpSchema.AttrType
_OPTION = onnx.defs.OpSchema.FormalParameterOption

_DOCS: dict[str, str] = {
    CROSS_SELECTIVE_SCAN: "K directional selective scans over a (frames, joints) grid, summed.",
    SELECTIVE_SCAN: "The Mamba-1 selective scan (Gu and Dao 2023, algorithm 2).",
}


def register_schemas() -> None:
    """Tell ``onnx`` about both operators, in both versions of the domain."""
    for name in SCANS:
        if not onnx.defs.has(name, domain=OP_DOMAIN):
            for version in (OP_VERSION, SECOND_OP_VERSION):
                onnx.defs.register_schema(_schema(name, version))


def _schema(name: str, version: int) -> onnx.defs.OpSchema:
    operator = SCANS[name]
    second = version == SECOND_OP_VERSION
    attributes = [
        onnx.defs.OpSchema.Attribute(attribute, attribute_kind, required=required)
        for attribute_kind, names, required in (
            (_KIND.INT, operator.ints, True),
            # In version 2 a table says what the lists of a walk would.
            (_KIND.INTS, operator.int_lists, not (second and operator.integers)),
            (_KIND.INT, operator.further_ints if second else operator.optional_ints, False),
            (_KIND.STRING, tuple(PLUGIN_ATTRIBUTES), True),
        )
        for attribute in names
    ]
    optional = operator.optional + operator.further
    inputs = [
        onnx.defs.OpSchema.FormalParameter(
            parameter,
            _type(operator, parameter),
            param_option=_OPTION.Optional if parameter in optional else _OPTION.Single,
        )
        for parameter in (operator.all_inputs if second else operator.inputs)
    ]
    outputs = [onnx.defs.OpSchema.FormalParameter("y", "T")]
    if second:
        outputs += [
            onnx.defs.OpSchema.FormalParameter(
                parameter, "tensor(float)", param_option=_OPTION.Optional
            )
            for parameter in operator.further_outputs
        ]
    schema = onnx.defs.OpSchema(
        name,
        OP_DOMAIN,
        version,
        doc=_DOCS[name],
        inputs=inputs,
        outputs=outputs,
        type_constraints=[("T", ["tensor(float)", "tensor(float16)"], "Type of the activations.")],
        attributes=attributes,
    )
    schema.set_type_and_shape_inference_function(_infer)
    return schema


def _type(operator: Operator, parameter: str) -> str:
    if parameter in operator.activations:
        return "T"
    return "tensor(int32)" if parameter in operator.integers else "tensor(float)"


def _infer(context: onnx.shape_inference.InferenceContext) -> None:
    """The output is like the first input; a final state is float32, as ``A`` is."""
    context.set_output_type(0, context.get_input_type(0))
    if context.get_num_outputs() > 1:
        u, rates = (context.get_input_type(i).tensor_type.shape.dim for i in (0, 2))
        state = onnx.TypeProto()
        state.tensor_type.elem_type = onnx.TensorProto.FLOAT
        if len(u) == 3 and len(rates) == 2:
            for dim in (u[0], u[1], rates[1]):
                state.tensor_type.shape.dim.append(dim)
        context.set_output_type(1, state)
