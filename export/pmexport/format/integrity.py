"""What every reader of an ONNX file relies on, looked at once when the file is read.

A file that was cut, merged or edited by hand is refused by what is wrong with it, not by where this
package, onnx or a runtime happens to stumble over it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from math import prod
from pathlib import PurePath
from typing import TYPE_CHECKING

from pmexport.format.limits import MAX_BATCH
from pmexport.format.names import INPUT_NAME, OP_DOMAIN
from pmexport.format.operators import HALF_SUMS
from posemamba.config import MAX_FRAMES

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto

WHOLE_BYTES = range(1, 17)
"""Codes of the types up to bfloat16 whose elements are not packed into half bytes."""


def fault(model: ModelProto) -> str | None:
    """What is wrong with an ``onnx.ModelProto``, or None."""
    return next(chain(_repeated(model), _faults(model.graph)), None)


def every_tensor(graph: GraphProto) -> Iterator[TensorProto]:
    """Each ``onnx.TensorProto`` of a graph, of its nodes' attributes and of the graphs in these."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for entry in node.attribute:
            yield from (*(entry.t,) * entry.HasField("t"), *entry.tensors)
            for inner in (*(entry.g,) * entry.HasField("g"), *entry.graphs):
                yield from every_tensor(inner)


def _repeated(model: ModelProto) -> Iterator[str]:
    """Names that ONNX allows once: of two values each reader would take its own."""
    graph = model.graph
    named: list[tuple[str, Iterable[str]]] = [
        ("its metadata", (entry.key for entry in model.metadata_props)),
        ("its graph", (tensor.name for tensor in graph.initializer)),
        *((f"its node '{node.name}'", (a.name for a in node.attribute)) for node in graph.node),
        *(
            (f"its tensor '{tensor.name}'", (entry.key for entry in tensor.external_data))
            for tensor in every_tensor(graph)
        ),
    ]
    for whose, names in named:
        for name, times in Counter(names).items():
            if times > 1:
                yield f"{whose} has '{name}' {times} times"


def _faults(graph: GraphProto) -> Iterator[str]:
    yield from _wrong_types(graph)
    yield from _wrong_constants(graph)
    yield from _wrong_places(graph)
    yield from _wrong_sizes(graph)
    yield from _wrong_flags(graph)
    known = {"", *(value.name for value in graph.input)}  # "": an optional input left out
    known |= {tensor.name for tensor in graph.initializer}
    known |= {tensor.values.name for tensor in graph.sparse_initializer}
    for node in graph.node:
        if not node.output:
            yield f"its node '{node.name}' has no outputs"
        for name in node.input:
            if name not in known:
                yield f"its node '{node.name}' reads '{name}', which nothing before it gives"
        known.update(node.output)
    for value in graph.output:
        if value.name not in known:
            yield f"nothing gives its output '{value.name}'"


def _wrong_types(graph: GraphProto) -> Iterator[str]:
    from onnx import TensorProto

    values = (*graph.input, *graph.value_info, *graph.output)
    types = [(value.name, value.type.tensor_type.elem_type) for value in values]
    types += [(tensor.name, tensor.data_type) for tensor in graph.initializer]
    for name, code in types:
        if code not in TensorProto.DataType.values():
            yield f"its tensor '{name}' has type {code}, which this onnx does not know"


def _wrong_constants(graph: GraphProto) -> Iterator[str]:
    """Those whose bytes are not as many as their sizes say; runtimes allocate what these say."""
    from onnx.helper import tensor_dtype_to_np_dtype

    for tensor in graph.initializer:
        if any(size < 0 for size in tensor.dims):
            yield f"its constant '{tensor.name}' has size {min(tensor.dims)}"
        if not tensor.HasField("raw_data") or tensor.data_type not in WHOLE_BYTES:
            continue
        expected = prod(tensor.dims) * tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        if len(tensor.raw_data) != expected:
            yield (
                f"its constant '{tensor.name}' of sizes {list(tensor.dims)} has "
                f"{len(tensor.raw_data)} bytes, not {expected}"
            )


def _wrong_places(graph: GraphProto) -> Iterator[str]:
    """Weights beside the model must be there: a path that leaves its folder is never followed."""
    for tensor in every_tensor(graph):
        if tensor.data_location == tensor.EXTERNAL and not any(
            entry.key == "location" for entry in tensor.external_data
        ):
            yield f"its tensor '{tensor.name}' keeps its numbers in another file and names none"
        for entry in tensor.external_data:
            place = PurePath(entry.value)
            if entry.key == "location" and (
                not place.name or place.is_absolute() or ".." in place.parts
            ):
                yield (
                    f"its tensor '{tensor.name}' keeps its numbers in '{entry.value}', which is "
                    "no file in the model's folder"
                )


def _wrong_flags(graph: GraphProto) -> Iterator[str]:
    """A runtime that does not know the attribute would not look at its value."""
    from onnx.helper import get_attribute_value

    for node in graph.node:
        for entry in node.attribute if node.domain == OP_DOMAIN else ():
            if entry.name != HALF_SUMS:
                continue
            value = get_attribute_value(entry)
            if not isinstance(value, int) or value not in (0, 1):
                yield f"its node '{node.name}' has {HALF_SUMS} {value}, not 0 or 1"


def _wrong_sizes(graph: GraphProto) -> Iterator[str]:
    """Of keypoints_2d (batch, frames, joints, 2); clips of that size are made for it."""
    ours = graph.input and graph.input[0].name == INPUT_NAME
    shape = graph.input[0].type.tensor_type.shape.dim if ours else []
    for dim, name, most in zip(shape, ("batch", "frames"), (MAX_BATCH, MAX_FRAMES), strict=False):
        if dim.HasField("dim_value") and not 1 <= dim.dim_value <= most:
            yield f"its input has {name} {dim.dim_value}, not 1 to {most}"
