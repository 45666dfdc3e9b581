"""``--ops standard``: ``SelectiveScan`` as an ONNX ``Scan`` over time; portable and slow.

It shares no code with the native kernels, which makes it their independent oracle.
"""

from __future__ import annotations

from itertools import groupby

from onnxscript import ir

from pmexport.format.names import OP_DOMAIN
from pmexport.format.operators import SELECTIVE_SCAN, inputs_by_name
from pmexport.passes.builder import Builder
from pmexport.passes.graph import add_initializer, is_constant, reshape_constant

_TIME = 3  # axis of the scanned sequences, (batch, groups, channels or N, L)


def lower_scans(model: ir.Model) -> None:
    """Replace every ``SelectiveScan``, of either version, in place."""
    for node in list(model.graph):
        if node.domain == OP_DOMAIN and node.op_type == SELECTIVE_SCAN:
            for old, new in zip(node.outputs, _lower(model.graph, node), strict=False):
                ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
            model.graph.remove(node, safe=True)


def _lower(graph: ir.Graph, node: ir.Node) -> tuple[ir.Value, ...]:
    """The outputs: y, and the state after the last step where the node has it."""
    build = Builder(graph, node, node.name)
    given = inputs_by_name(SELECTIVE_SCAN, node.inputs)
    u, delta, A, B, C = (given[name] for name in ("u", "delta", "A", "B", "C"))
    D, bias, z = (given.get(name) for name in ("D", "delta_bias", "z"))
    reverse = list(node.attributes["reverse"].value)
    groups = len(reverse)
    rows, state = (int(size) for size in A.shape)
    channels = rows // groups

    u = build.reshape(u, 0, groups, channels, -1)  # (batch, groups, channels, L)
    delta = build.reshape(delta, 0, groups, channels, -1)
    if bias is not None:
        delta = build.one("Add", delta, _shaped(build, bias, groups, channels, 1))
    if node.attributes["delta_softplus"].value:
        delta = build.one("Softplus", delta)
    du = build.one("Mul", delta, u)
    sequences = [_flip_groups(build, s, reverse) for s in (delta, du, B, C)]
    start = _start(build, given.get("initial_state"), u, (groups, channels, state))
    body = _body(build, _shaped(build, A, groups, channels, state))
    end, y = build.op(
        "Scan",
        [start, *sequences],
        {
            "body": body,
            "num_scan_inputs": len(sequences),
            "scan_input_axes": [_TIME] * len(sequences),
            "scan_output_axes": [_TIME],
        },
        outputs=2,
    )
    y.producer().name = node.name
    y = _flip_groups(build, y, reverse)  # (batch, groups, channels, L)
    if D is not None:
        y = build.one("Add", y, build.one("Mul", u, _shaped(build, D, groups, channels, 1)))
    y = build.reshape(y, 0, rows, -1)
    gated = node.attributes.get("gated")
    if z is not None and (gated is None or gated.value):
        y = build.one("Mul", y, build.one("Mul", z, build.one("Sigmoid", z)))
    return (y,) if len(node.outputs) == 1 else (y, build.reshape(end, 0, rows, state))


def _start(
    build: Builder, initial: ir.Value | None, u: ir.Value, sizes: tuple[int, int, int]
) -> ir.Value:
    """The state before the first step, (batch, groups, channels, N); zero where none is given."""
    if initial is not None:
        return build.reshape(initial, 0, *sizes)
    batch = build.one("Shape", u, start=0, end=1)
    batch.type = ir.TensorType(ir.DataType.INT64)
    shape = build.one("Concat", batch, build.ints(*sizes), axis=0)
    shape.type = ir.TensorType(ir.DataType.INT64)
    return build.one("ConstantOfShape", shape)


def _shaped(build: Builder, value: ir.Value, *sizes: int) -> ir.Value:
    """A weight in another shape: a constant that others read too is copied."""
    if not is_constant(value):
        return build.reshape(value, *sizes)
    if len(value.uses()) == 1:
        return reshape_constant(value, *sizes)
    array = value.const_value.numpy().reshape(sizes)
    return add_initializer(build.graph, f"{build.scope}.{value.name}", array)


def _flip_groups(build: Builder, value: ir.Value, reverse: list[int]) -> ir.Value:
    """Reverse time in the marked groups of (batch, groups, c, L), neighbours together."""
    runs = [(flag, len(list(members))) for flag, members in groupby(reverse)]
    if len(runs) == 1:
        return build.flip(value, _TIME) if runs[0][0] else value
    sizes = build.ints(*(length for _, length in runs))
    parts = build.op("Split", [value, sizes], {"axis": 1}, outputs=len(runs))
    turned = [
        build.flip(part, _TIME) if flag else part
        for part, (flag, _) in zip(parts, runs, strict=True)
    ]
    return build.concat(turned, axis=1)


def _body(build: Builder, A: ir.Value) -> ir.Graph:
    """One step: ``h = exp(dt A) h + dt u B``, ``y = C h``; constants are the outer graph's."""
    scope = build.scope

    def value(name: str) -> ir.Value:
        return ir.Value(name=f"{scope}.step.{name}", type=ir.TensorType(ir.DataType.FLOAT))

    h, dt, du, b, c = inputs = [value(name) for name in ("h", "dt", "du", "B", "C")]
    nodes: list[ir.Node] = []
    last, row = build.ints(-1), build.ints(-2)

    def op(name: str, op_type: str, *operands: ir.Value) -> ir.Value:
        node = ir.Node("", op_type, operands, outputs=[value(name)], name=f"{scope}.step.{name}")
        nodes.append(node)
        return node.outputs[0]

    rates = op("rates", "Mul", op("dt_column", "Unsqueeze", dt, last), A)
    kept = op("kept", "Mul", op("decay", "Exp", rates), h)
    added = op(
        "added", "Mul", op("du_column", "Unsqueeze", du, last), op("B_row", "Unsqueeze", b, row)
    )
    state = op("h_next", "Add", kept, added)  # (batch, groups, channels, N)
    product = op("product", "MatMul", state, op("C_column", "Unsqueeze", c, last))
    y = op("y", "Squeeze", product, last)  # (batch, groups, channels)
    return ir.Graph(inputs, [state, y], nodes=nodes, name=f"{scope}.step")
