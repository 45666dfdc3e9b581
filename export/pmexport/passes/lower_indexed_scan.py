"""``--ops generic``: ``CrossSelectiveScan`` of version 2 as gathers and a ``SelectiveScan`` a way.

The same steps as :func:`posemamba.scan.indexed.cross_selective_scan`. Tables may be constants, or
computed where the number of frames is free. Between two resets nothing is carried, so the pieces
are scanned as so many batch items.
"""

from __future__ import annotations

import numpy as np
from onnxscript import ir

from pmexport.format.names import OP_DOMAIN, SECOND_PLUGIN_VERSION
from pmexport.format.operators import (
    CROSS_SELECTIVE_SCAN,
    SCANS,
    SELECTIVE_SCAN,
    inputs_by_name,
)
from pmexport.passes.builder import Builder
from pmexport.passes.graph import add_initializer, attribute
from posemamba.native.structs import SCAN_SIZES

_INTEGERS, _FLAGS = (ir.TensorType(kind) for kind in (ir.DataType.INT64, ir.DataType.BOOL))
_IDLE = -3e4
"""A raw step size whose softplus is 0, so that the state stays; within the range of float16."""


def lower_indexed_scans(model: ir.Model) -> None:
    """Replace every ``CrossSelectiveScan`` of version 2, in place."""
    for node in list(model.graph):
        if is_indexed_scan(node):
            output = _IndexedScan(model.graph, node).lower()
            ir.convenience.replace_all_uses_with(node.outputs[0], output)
            model.graph.remove(node, safe=True)


def is_indexed_scan(node: ir.Node) -> bool:
    """Whether a node walks tables."""
    if node.domain != OP_DOMAIN or node.op_type != CROSS_SELECTIVE_SCAN:
        return False
    return inputs_by_name(CROSS_SELECTIVE_SCAN, node.inputs).get("scan_index") is not None


class _IndexedScan:
    """One node and the nodes that take its place."""

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self.graph = graph
        self.scope = node.name.removesuffix(".scan")
        self.build = Builder(graph, node, f"{self.scope}.cross")
        self.given = inputs_by_name(CROSS_SELECTIVE_SCAN, node.inputs)
        self.directions, self.inner, self.rank = self.given["dt_weight"].const_value.shape
        self.state = attribute(node, "d_state")
        self.tables = {name: self._table(name) for name in SCANS[CROSS_SELECTIVE_SCAN].further}

    def lower(self) -> ir.Value:
        build, x = self.build, self.given["x"]
        grid = build.reshape(x, 0, -1, self.inner)  # (batch, positions, d_inner)
        parts = build.op(
            "Split",
            [self.given["x_dbl"]],
            {"axis": 3, "num_outputs": self.directions},
            outputs=self.directions,
        )
        width = self.rank + 2 * self.state
        shape = self._typed(build.one("Shape", grid), _INTEGERS)
        total = build.one("ConstantOfShape", shape)
        for k, part in enumerate(parts):
            total = self._add_direction(k, grid, build.reshape(part, 0, -1, width), total)
        full = self._typed(build.one("Shape", x), _INTEGERS)
        y = build.one("Reshape", total, full)
        y.name = f"{self.scope}.scan"
        return y

    def _add_direction(self, k: int, grid: ir.Value, rows: ir.Value, total: ir.Value) -> ir.Value:
        build = self.build
        visits = self._row("scan_index", k)  # (steps,)
        assert visits is not None
        neighbours = self._row("neighbour_index", k)
        u = self._read(grid, visits, neighbours)  # (batch, steps, d_inner)
        row = self._read(rows, visits, neighbours)
        sizes = build.ints(self.rank, self.state, self.state)
        dt_raw, b, c = build.op("Split", [row, sizes], {"axis": 2}, outputs=3)
        delta = build.one("MatMul", dt_raw, self._constant(k, "dt_weight", transpose=True))
        idle = self._typed(build.one("Less", visits, build.ints(0)), _FLAGS)
        column = self._typed(build.one("Unsqueeze", idle, build.ints(1)), _FLAGS)
        delta = build.one("Where", column, self._number("idle", _IDLE), delta)
        y = self._scan(k, u, delta, b, c)
        y = build.one("Where", column, self._number("nothing", 0.0), y)
        at = build.one("Unsqueeze", self._at_least_zero(visits), build.ints(0, 2))
        shape = self._typed(build.one("Shape", y), _INTEGERS)
        at = self._typed(build.one("Expand", self._typed(at, _INTEGERS), shape), _INTEGERS)
        return build.op("ScatterElements", [total, at, y], {"axis": 1, "reduction": "add"})[0]

    def _scan(self, k: int, u: ir.Value, delta: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """One direction: (batch, steps, d_inner) to the same."""
        build = self.build
        resets = self.tables["reset_length"]
        shape = self._typed(build.one("Shape", u), _INTEGERS)
        length = piece = None
        if resets is not None:
            length = self._typed(build.one("Gather", shape, build.ints(1)), _INTEGERS)
            piece = self._piece(k, length)
        sequences = [
            self._sequence(value, width, length, piece)
            for value, width in ((u, self.inner), (delta, self.inner), (b, self.state),
                                 (c, self.state))
        ]  # fmt: skip
        groups = [build.one("Unsqueeze", value, build.ints(1)) for value in sequences[2:]]
        version = {}
        if self.state > (SCAN_SIZES["d_state"] or 0):
            version = {"plugin_version": SECOND_PLUGIN_VERSION}
        (y,) = build.op(
            SELECTIVE_SCAN,
            [
                *sequences[:2],
                self._constant(k, "A"),
                *groups,
                self._constant(k, "D"),
                self._constant(k, "dt_bias"),
            ],
            {"delta_softplus": 1, "reverse": [0], **version},
            domain=OP_DOMAIN,
        )
        y.producer().name = y.name = f"{self.scope}.scan.{k}"
        y = build.one("Transpose", y, perm=[0, 2, 1])
        if length is None:
            return y
        batch = self._typed(build.one("Gather", shape, build.ints(0)), _INTEGERS)
        whole = build.one("Concat", batch, build.ints(-1, self.inner), axis=0)
        y = build.one("Reshape", y, self._typed(whole, _INTEGERS))
        return build.one("Slice", y, build.ints(0), length, build.ints(1))

    def _piece(self, k: int, length: ir.Value) -> ir.Value:
        """Steps between two resets, (1,): all where there is none."""
        build = self.build
        resets = self.tables["reset_length"]
        assert resets is not None
        reset = self._typed(build.one("Gather", resets, build.ints(k)), _INTEGERS)
        never = self._typed(build.one("Less", reset, build.ints(1)), _FLAGS)
        return self._typed(build.one("Where", never, length, reset), _INTEGERS)

    def _sequence(
        self, value: ir.Value, width: int, length: ir.Value | None, piece: ir.Value | None
    ) -> ir.Value:
        """(batch, steps, width) to (batch * pieces, width, steps of a piece)."""
        build = self.build
        if length is not None and piece is not None:
            # The last piece is filled up: -length modulo the piece, which is positive.
            short = self._typed(build.one("Sub", build.ints(0), length), _INTEGERS)
            short = self._typed(build.one("Mod", short, piece), _INTEGERS)
            pads = build.one("Concat", build.ints(0, 0, 0, 0), short, build.ints(0), axis=0)
            value = build.one("Pad", value, self._typed(pads, _INTEGERS))
            shape = build.one("Concat", build.ints(-1), piece, build.ints(width), axis=0)
            value = build.one("Reshape", value, self._typed(shape, _INTEGERS))
        return build.one("Transpose", value, perm=[0, 2, 1])

    def _read(self, grid: ir.Value, visits: ir.Value, neighbours: ir.Value | None) -> ir.Value:
        """(batch, positions, c) along a direction's steps, neighbours added."""
        build = self.build
        found = build.one("Gather", grid, self._at_least_zero(visits), axis=1)
        if neighbours is None:
            return found
        added = build.one("Gather", grid, self._at_least_zero(neighbours), axis=1)
        none = self._typed(build.one("Less", neighbours, build.ints(0)), _FLAGS)
        column = self._typed(build.one("Unsqueeze", none, build.ints(1)), _FLAGS)
        added = build.one("Where", column, self._number("nothing", 0.0), added)
        return build.one("Add", found, added)

    def _table(self, name: str) -> ir.Value | None:
        """A table as int64, which every operator takes."""
        table = self.given.get(name)
        if table is None:
            return None
        return self._typed(self.build.one("Cast", table, to=ir.DataType.INT64), _INTEGERS)

    def _row(self, table: str, k: int) -> ir.Value | None:
        """A direction's entries, (steps,)."""
        whole = self.tables[table]
        if whole is None:
            return None
        row = self._typed(self.build.one("Gather", whole, self.build.ints(k), axis=0), _INTEGERS)
        return self._typed(self.build.one("Squeeze", row, self.build.ints(0)), _INTEGERS)

    def _at_least_zero(self, positions: ir.Value) -> ir.Value:
        return self._typed(self.build.one("Max", positions, self.build.ints(0)), _INTEGERS)

    def _constant(self, k: int, name: str, *, transpose: bool = False) -> ir.Value:
        """What a direction has of a parameter (K, ...)."""
        array = self.given[name].const_value.numpy()[k]
        return add_initializer(
            self.graph, f"{self.scope}.{name}.{k}", array.T if transpose else array
        )

    def _number(self, name: str, value: float) -> ir.Value:
        full = f"{self.scope}.{name}"
        if full not in self.graph.initializers:
            add_initializer(self.graph, full, np.array(value, np.float32))
        return self.graph.initializers[full]

    @staticmethod
    def _typed(value: ir.Value, kind: ir.TensorType) -> ir.Value:
        value.type = kind
        return value
