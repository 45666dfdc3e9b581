"""Shapes at given sizes, and multiply-accumulates of an ONNX node from them.

Counted as :func:`posemamba.model.counts.true_macs` counts: products, convolution, the scan at 3 MAC
per state and its step-size projection. Norms, activations and additions count 0. The sums of both
ways are equal, which a test holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import onnx

from pmexport.format.file import ModelFile, Node, Shape, shape_of
from pmexport.format.names import OP_DOMAIN
from pmexport.format.operators import SELECTIVE_SCAN, inputs_by_name
from pmexport.format.schemas import register_schemas
from posemamba.errors import InputError

_MACS_PER_STATE = 3  # decay, input, output
#: Inputs of our operators that every position is multiplied with: fp16 matrices packed for the
#: tensor cores, whose elements are their MACs, and float32 taps and matrices.
_PACKED = ("in_proj", "projection", "out_proj", "fc1", "fc2")
_WEIGHTS = ("weight", "conv_weight", "head_weight")

Shapes = Mapping[str, tuple[int, ...]]


def concrete_shapes(source: ModelFile, sizes: Mapping[str, int]) -> Shapes:
    """Every tensor's shape in numbers.

    Args:
        sizes: what ``batch`` and ``frames`` are.

    Raises:
        InputError: a shape does not follow from them.
    """
    known = {
        name: tuple(sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in value.shape)
        for name, value in source.values.items()
    }
    made = {name for node in source.nodes for name in node.outputs if name}
    if not (made <= known.keys() and all(_is_concrete(shape) for shape in known.values())):
        # Other symbols, such as the steps of a generic scan, and what other tools put in without a
        # word of its shape: onnx infers what they are.
        known |= _inferred(source, known)
    found: dict[str, tuple[int, ...]] = {}
    for name in known.keys() | made:
        shape = known.get(name)
        if shape is None or not _is_concrete(shape):
            raise InputError(f"'{source.path}': the shape of '{name}' is unknown: export it again")
        found[name] = tuple(int(dim) for dim in shape if dim is not None)
    return found


def _is_concrete(shape: Shape) -> bool:
    return all(isinstance(dim, int) for dim in shape)


def _inferred(source: ModelFile, known: Mapping[str, Shape]) -> dict[str, Shape]:
    """What shape inference makes of the model once ``batch`` and ``frames`` are numbers."""
    register_schemas()
    model = onnx.ModelProto()
    model.CopyFrom(source.proto)
    graph = model.graph
    sized = [value for value in graph.value_info if _is_concrete(known[value.name])]
    for value in (*graph.input, *graph.output, *sized):
        for dim, size in zip(value.type.tensor_type.shape.dim, known[value.name], strict=True):
            if isinstance(size, int):
                dim.Clear()
                dim.dim_value = size
    del graph.value_info[:]
    graph.value_info.extend(sized)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    return {value.name: shape_of(value) for value in (*inferred.value_info, *inferred.output)}


def node_macs(node: Node, shapes: Shapes) -> int:
    """MACs of one node."""
    if node.op_type == "MatMul":
        return prod(shapes[node.outputs[0]]) * shapes[node.inputs[0]][-1]
    if node.op_type == "Conv":
        # weight: (channels out, channels in of a group, *kernel)
        return prod(shapes[node.outputs[0]]) * prod(shapes[node.inputs[1]][1:])
    if node.domain != OP_DOMAIN:
        return 0
    inputs = _own_inputs(node, shapes)
    if node.op_type == SELECTIVE_SCAN:
        return prod(inputs["u"]) * _MACS_PER_STATE * inputs["A"][-1]
    each = sum(prod(inputs[name]) for name in _WEIGHTS if name in inputs)
    if "A" in inputs:
        directions, d_inner, rank = inputs["dt_weight"]
        each += directions * d_inner * (rank + _MACS_PER_STATE * inputs["A"][-1])
    return _positions(node, shapes) * each + half_macs(node, shapes)


def half_macs(node: Node, shapes: Shapes) -> int:
    """Those of a node of ours that are matrix products of fp16; all else is fp32 inside."""
    inputs = _own_inputs(node, shapes)
    each = sum(prod(inputs[name]) for name in _PACKED if name in inputs)
    return _positions(node, shapes) * each


def _own_inputs(node: Node, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    return inputs_by_name(node.op_type, [shapes.get(name, ()) for name in node.inputs])


def _positions(node: Node, shapes: Shapes) -> int:
    return prod(shapes[node.outputs[0]][:3])  # batch, frames, joints


def largest_tensor(source: ModelFile, shapes: Shapes) -> tuple[str, int]:
    """Name and number of elements of the largest tensor between two nodes."""
    elements = {name: prod(shapes[name]) for node in source.nodes for name in node.outputs if name}
    name = max(elements, key=lambda key: elements[key])
    return name, elements[name]
