"""What every pass builds with: constants, nodes and names of a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

from pmexport.format.names import OP_DOMAIN, PLUGIN_ATTRIBUTES

Array = NDArray[Any]
Typed = tuple[ir.DataType | None, ir.Shape | None]
"""Type and shape of a node's output, None where it has none yet."""


def prune(model: ir.Model) -> None:
    """Remove nodes, initialisers and operator-set imports that nothing uses."""
    ir.passes.common.RemoveUnusedNodesPass()(model)
    ir.passes.common.RemoveUnusedOpsetsPass()(model)


def is_constant(value: ir.Value | None) -> bool:
    """Whether a value is an initialiser."""
    return value is not None and value.is_initializer()


def integer_constant(graph: ir.Graph, numbers: tuple[int, ...]) -> ir.Value:
    """The 1-D int64 initialiser with these numbers; one for the whole graph."""
    name = "ints." + "_".join(str(number) for number in numbers)
    if name not in graph.initializers:
        add_initializer(graph, name, np.array(numbers, dtype=np.int64))
    return graph.initializers[name]


def add_initializer(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """A new constant of the graph."""
    tensor = ir.tensor(np.ascontiguousarray(array), name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype))
    value.const_value = tensor
    graph.register_initializer(value)
    return value


def reshape_constant(value: ir.Value, *sizes: int) -> ir.Value:
    """Give an initialiser another shape, in place."""
    value.const_value = ir.tensor(value.const_value.numpy().reshape(sizes), name=value.name)
    value.shape = value.const_value.shape
    return value


class Names:
    """Hands out each name once: the second ``a`` is ``a_1``."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken: Counter[str] = Counter(taken)

    def unique(self, name: str) -> str:
        count = self._taken[name]
        self._taken[name] += 1
        return name if count == 0 else f"{name}_{count}"


def constant_array(value: ir.Value | None) -> Array:
    """The array of an initialiser."""
    assert value is not None
    assert value.const_value is not None
    array: Array = value.const_value.numpy()
    return array


def attribute(node: ir.Node, name: str) -> Any:  # noqa: ANN401 (the caller knows which)
    """A number, or a list of numbers."""
    value = node.attributes[name].value
    return list(value) if isinstance(value, Sequence) else value


def new_node(
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, Any],
    name: str,
    outputs: Sequence[Typed],
    domain: str = "",
) -> ir.Node:
    """A node, in no graph yet; its outputs are named after it, its plugin where it is ours."""
    if domain == OP_DOMAIN:
        ours = {key: value for key, value in PLUGIN_ATTRIBUTES.items() if key not in attributes}
        attributes = {**attributes, **ours}
    node = ir.Node(
        domain,
        op_type,
        inputs,
        attributes=ir.convenience.convert_attributes(dict(attributes)),
        num_outputs=len(outputs),
        name=name,
    )
    for index, (value, (dtype, shape)) in enumerate(zip(node.outputs, outputs, strict=True)):
        value.name = name if len(outputs) == 1 else f"{name}.{index}"
        value.type = None if dtype is None else ir.TensorType(dtype)
        value.shape = shape
    return node
