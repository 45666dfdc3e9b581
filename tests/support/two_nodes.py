"""A fused graph as it was written before a block became one node: ConvProj, then its tail."""

from __future__ import annotations

from typing import Any

from onnxscript import ir

from pmexport.format.names import OP_DOMAIN
from pmexport.format.operators import (
    BLOCK,
    BLOCK_TAIL,
    CONV_PROJ,
    LAST_BLOCK,
    LAST_BLOCK_TAIL,
    OPERATORS,
    inputs_by_name,
)
from pmexport.passes.graph import attribute, new_node

TAILS = {BLOCK: BLOCK_TAIL, LAST_BLOCK: LAST_BLOCK_TAIL}
TILE = 16  # outputs that a tile of a packed matrix makes
HALF = ir.DataType.FLOAT16


def split_blocks(model: ir.Model) -> None:
    """Two nodes for every block, in place."""
    for node in list(model.graph):
        if node.op_type in TAILS:
            _split(model.graph, node)


def _split(graph: ir.Graph, node: ir.Node) -> None:
    given = inputs_by_name(node.op_type, list(node.inputs))
    conv_inputs = [given.pop(name) for name in ("xz", "conv_weight", "conv_bias", "projection")]
    xz, _, bias, projection = conv_inputs
    grid, channels = _sizes(xz)[:3], _sizes(bias)[0]
    columns = TILE * int(_sizes(projection)[0])
    made = [(HALF, ir.Shape([*grid, channels])), (HALF, ir.Shape([*grid, columns]))]
    conv = new_node(CONV_PROJ, conv_inputs, {}, f"{node.name}.conv", made, OP_DOMAIN)
    u, x_dbl = conv.outputs
    operator = OPERATORS[node.op_type]
    names = (*operator.ints, *operator.int_lists, *operator.floats)
    residual = given.pop("residual")
    tail = new_node(
        TAILS[node.op_type],
        [u, x_dbl, xz, residual, *given.values()],
        {name: attribute(node, name) for name in names},
        f"{node.name}.tail",
        [(value.dtype, value.shape) for value in node.outputs],
        OP_DOMAIN,
    )
    graph.insert_before(node, [conv, tail])
    for old, new in zip(node.outputs, tail.outputs, strict=True):
        new.name = old.name
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _sizes(value: ir.Value | None) -> list[Any]:
    assert value is not None
    assert value.shape is not None
    return list(value.shape)
