"""Build standard ONNX nodes in front of another node, named under one scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnxscript import ir

from pmexport.passes.graph import Names, integer_constant, new_node

_INT64_MIN = -(2**63)
_FLOAT = (ir.DataType.FLOAT, None)


class Builder:
    """Makes the nodes that replace ``anchor``; all are float32 unless said otherwise.

    Attributes:
        scope: what the new names begin with.
    """

    def __init__(self, graph: ir.Graph, anchor: ir.Node, scope: str) -> None:
        self.graph = graph
        self.anchor = anchor
        self.scope = scope
        self._names = Names()

    def op(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, object],
        *,
        outputs: int = 1,
        domain: str = "",
    ) -> tuple[ir.Value, ...]:
        """A node and its outputs."""
        name = f"{self.scope}.{self._names.unique(op_type)}"
        node = new_node(op_type, inputs, attributes, name, [_FLOAT] * outputs, domain)
        self.graph.insert_before(self.anchor, node)
        return tuple(node.outputs)

    def one(self, op_type: str, *inputs: ir.Value | None, **attributes: object) -> ir.Value:
        """A node with one output."""
        return self.op(op_type, inputs, attributes)[0]

    def ints(self, *numbers: int) -> ir.Value:
        return integer_constant(self.graph, numbers)

    def reshape(self, value: ir.Value, *sizes: int) -> ir.Value:
        """0 keeps a size, -1 takes what is left."""
        return self.one("Reshape", value, self.ints(*sizes))

    def flip(self, value: ir.Value, axis: int) -> ir.Value:
        ends, minus = self.ints(_INT64_MIN), self.ints(-1)
        return self.one("Slice", value, minus, ends, self.ints(axis), minus)

    def concat(self, parts: Sequence[ir.Value], axis: int) -> ir.Value:
        return parts[0] if len(parts) == 1 else self.one("Concat", *parts, axis=axis)

    def total(self, parts: Sequence[ir.Value]) -> ir.Value:
        result = parts[0]
        for part in parts[1:]:
            result = self.one("Add", result, part)
        return result
