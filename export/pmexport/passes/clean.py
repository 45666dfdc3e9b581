"""From the exporter's graph to a clean one: constants folded, nothing dead, named by module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

import numpy as np
from onnxscript import ir, optimizer

from pmexport.format.names import OP_DOMAIN
from pmexport.format.operators import SCANS
from pmexport.format.schemas import register_schemas
from pmexport.passes.graph import Names, add_initializer, integer_constant, is_constant, prune

_SCOPES_KEY = "pkg.torch.onnx.name_scopes"
_REPEATED_CALL = re.compile(r"@\d+")  # how torch.export marks later calls of a shared module
_WEIGHT_SUFFIX = re.compile(r"[._]weight$")
_NO_LIMIT = 2**40  # fold weights of any size: they replace what they are computed from
_HALVES = ("x", "z")  # of in_proj: what is scanned, and its gate

Dimensions = Mapping[int, Mapping[int, str]]
"""Names of dynamic axes: by input, then by axis."""


def clean(model: ir.Model, dimensions: Dimensions) -> None:
    """Make an exported graph readable and lean, in place.

    Afterwards every constant expression is one initialiser, no node is dead or an Identity, and
    nodes, values and initialisers are named after the PyTorch modules they belong to.

    Args:
        dimensions: what dynamic axes are called; others that follow from them have no name.
    """
    graph = model.graph
    origins = _parameter_origins(graph)
    optimizer.fold_constants(
        model,
        onnx_shape_inference=False,
        input_size_limit=_NO_LIMIT,
        output_size_limit=_NO_LIMIT,
    )
    for rewrite in (
        ir.passes.common.IdentityEliminationPass(),
        ir.passes.common.RemoveUnusedNodesPass(),
        ir.passes.common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
    ):
        rewrite(model)
    _share_small_integers(graph)
    _shape_without_detours(graph)
    _split_projections(graph, origins)
    prune(model)
    _name_everything(graph, origins)
    _name_dimensions(graph, dimensions)
    ir.passes.common.ClearMetadataAndDocStringPass()(model)


def complete_types(model: ir.Model) -> None:
    """Infer the type, and the shape where it can be known, of every value.

    Raises:
        RuntimeError: a value has no type, because the graph contradicts itself.
    """
    register_schemas()
    ir.passes.common.ShapeInferencePass(check_type=True, strict_mode=True, data_prop=True)(model)
    untyped = [value.name for value in _all_values(model.graph) if value.dtype is None]
    if untyped:
        raise RuntimeError(f"shape inference found no type for '{untyped[0]}'")


def _parameter_origins(graph: ir.Graph) -> dict[str, str]:
    """Name of the first parameter that goes into each constant expression, by value name."""
    origins = {name: name for name in graph.initializers}  # "" where no parameter goes in
    for node in graph:
        if all(value is None or value.name in origins for value in node.inputs):
            named = [origins[v.name] for v in node.inputs if v is not None and origins[v.name]]
            origins.update((output.name, named[0] if named else "") for output in node.outputs)
    return {value: parameter for value, parameter in origins.items() if parameter}


def _share_small_integers(graph: ir.Graph) -> None:
    """Give the integer vectors of Slice, Reshape and the like one initialiser per content."""
    for value in list(graph.initializers.values()):
        array = value.const_value.numpy()
        if array.dtype == np.int64 and array.ndim == 1 and not value.name.startswith("ints."):
            shared = integer_constant(graph, tuple(array.tolist()))
            ir.convenience.replace_all_uses_with(value, shared)


def _shape_without_detours(graph: ir.Graph) -> None:
    """``Reshape(Squeeze(Shape(x)), [-1])`` is ``Shape(x)`` where that has one entry."""
    for node in list(graph):
        if node.op_type != "Reshape" or node.inputs[0] is None:
            continue
        squeeze = node.inputs[0].producer()
        shape = squeeze.inputs[0].producer() if squeeze and squeeze.op_type == "Squeeze" else None
        if shape is None or shape.op_type != "Shape":
            continue
        start, end = (shape.attributes[name].value for name in ("start", "end"))
        if end == start + 1:
            ir.convenience.replace_all_uses_with(
                node.outputs[0], shape.outputs[0], replace_graph_outputs=True
            )


def _split_projections(graph: ir.Graph, origins: dict[str, str]) -> None:
    """``Split(x @ W)`` becomes one product for each part: the halves are never copied."""
    for node in list(graph):
        if node.op_type != "Split" or len(node.outputs) != len(_HALVES):
            continue
        product = node.inputs[0].producer()
        if product is None or product.op_type != "MatMul" or not is_constant(product.inputs[1]):
            continue
        if len(product.outputs[0].uses()) != 1:
            continue
        weight = product.inputs[1]
        columns = np.split(weight.const_value.numpy(), len(node.outputs), axis=-1)
        for part, (output, array) in enumerate(zip(node.outputs, columns, strict=True)):
            scope = f"{_WEIGHT_SUFFIX.sub('', origins[weight.name])}.{_HALVES[part]}"
            constant = add_initializer(graph, f"{weight.name}.{part}", array)
            origins[constant.name] = f"{scope}.weight"
            half = ir.Node("", "MatMul", [product.inputs[0], constant], num_outputs=1)
            half.metadata_props.update(product.metadata_props)
            half.outputs[0].type, half.outputs[0].shape = output.type, output.shape
            graph.insert_before(product, half)
            ir.convenience.replace_all_uses_with(
                output, half.outputs[0], replace_graph_outputs=True
            )


def _name_everything(graph: ir.Graph, origins: dict[str, str]) -> None:
    """Names of nodes, their outputs and the initialisers; see ``docs/reference/onnx.md``."""
    kept = {value.name for value in (*graph.inputs, *graph.outputs)}
    scopes: dict[int, str] = {}  # by id of the node
    names, constants = Names(), Names(taken=kept)
    renamed: dict[int, str] = {}  # by id of the initialiser
    for node in graph:
        scope = _scope(node, origins, scopes)
        scopes[id(node)] = scope
        is_scan = node.domain == OP_DOMAIN and node.op_type in SCANS
        node.name = names.unique(f"{scope}.scan" if is_scan else f"{scope}.{node.op_type}")
        for index, value in enumerate(node.inputs):
            if not is_constant(value) or id(value) in renamed or value.name.startswith("ints."):
                continue
            wanted = origins.get(value.name, f"{node.name}.{index}")
            if is_scan:  # folded and reshaped: what the operator calls it, not the parameter
                wanted = f"{scope}.{SCANS[node.op_type].all_inputs[index]}"
            renamed[id(value)] = constants.unique(wanted)
    for node in graph:
        for index, output in enumerate(node.outputs):
            if output.name not in kept:
                output.name = node.name if len(node.outputs) == 1 else f"{node.name}.{index}"
    values = list(graph.initializers.values())
    graph.initializers.clear()
    for value in values:
        value.name = value.const_value.name = renamed.get(id(value), value.name)
        graph.register_initializer(value)


def _scope(node: ir.Node, origins: dict[str, str], scopes: dict[int, str]) -> str:
    """The module a node belongs to, such as ``STEblocks.3.mlp.fc1``."""
    weight = node.inputs[1] if node.op_type == "MatMul" else None
    if weight is not None and weight.name in origins:
        return _WEIGHT_SUFFIX.sub("", origins[weight.name])
    recorded = ast.literal_eval(node.metadata_props.get(_SCOPES_KEY, "['', '']"))
    module = _REPEATED_CALL.sub("", recorded[-2])
    if module and not module.startswith("_empty"):
        return module
    # Outside every module: what it works on. First its parameters, then its latest operands.
    for value in node.inputs:
        if is_constant(value) and value.name in origins:
            return origins[value.name]
    for value in reversed(node.inputs):
        if value is not None and value.producer() is not None:
            return scopes[id(value.producer())]
    return str(node.inputs[0].name)


def _name_dimensions(graph: ir.Graph, dimensions: Dimensions) -> None:
    """Write names such as ``batch`` where the exporter wrote its own symbols."""
    symbols = {}
    for index, axes in dimensions.items():
        shape = graph.inputs[index].shape
        for axis, name in axes.items():
            if not isinstance(shape[axis], int):
                symbols[shape[axis].value] = name
    for value in _all_values(graph):
        if value.shape is not None:
            value.shape = ir.Shape(
                [d if isinstance(d, int) else symbols.get(d.value) for d in value.shape]
            )


def _all_values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    for node in graph:
        yield from node.outputs
