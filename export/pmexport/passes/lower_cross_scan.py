"""``--ops generic``: ``CrossSelectiveScan`` as gathers, projections and one ``SelectiveScan``.

The same steps as :func:`posemamba.scan.reference.directional_inputs` and ``merge_directions``, laid
out for the graph: every sequence goes straight to (batch, channels, L), inputs that two directions
share are arranged once, and directions of one visiting order are summed before they are put back.
"""

from __future__ import annotations

from typing import Any

from onnxscript import ir

from pmexport.format.names import OP_DOMAIN
from pmexport.format.operators import CROSS_SELECTIVE_SCAN, SELECTIVE_SCAN
from pmexport.passes.builder import Builder
from pmexport.passes.graph import add_initializer, reshape_constant
from posemamba.scan_order import Order

_JOINT_MAJOR = (Order.JOINT_MAJOR, Order.JOINT_MAJOR_FLIPPED)
_FLIPPED = (Order.FRAME_MAJOR_FLIPPED, Order.JOINT_MAJOR_FLIPPED)


def lower_cross_scans(model: ir.Model) -> None:
    """Replace every ``CrossSelectiveScan``, in place."""
    for node in list(model.graph):
        if node.domain == OP_DOMAIN and node.op_type == CROSS_SELECTIVE_SCAN:
            output = _CrossScan(model.graph, node).lower()
            ir.convenience.replace_all_uses_with(
                node.outputs[0], output, replace_graph_outputs=True
            )
            model.graph.remove(node, safe=True)


class _CrossScan:
    """One node and the standard nodes that take its place."""

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self.node = node
        self.scope = node.name.removesuffix(".scan")
        self.build = Builder(graph, node, f"{self.scope}.cross")
        self.table: dict[str, Any] = {name: a.value for name, a in node.attributes.items()}
        self.x, self.x_dbl, self.dt_weight, self.dt_bias, self.A, self.D = node.inputs
        self.directions, self.inner, self.rank = self.dt_weight.const_value.shape
        self.joints = len(self.table["limb_index"])

    def lower(self) -> ir.Value:
        build, state = self.build, self.table["d_state"]
        sources: dict[tuple[int, int], ir.Value] = {}  # by (order, limb)
        u, delta, B, C = [], [], [], []
        summed: ir.Value | None = None
        limbs = None
        if any(self.table["limb_mask"]):
            limbs = build.ints(*self.table["limb_index"])
            summed = build.one("Add", self.x, build.one("Gather", self.x, limbs, axis=2))
        count = self.directions
        projected = build.op(
            "Split", [self.x_dbl], {"axis": 3, "num_outputs": count}, outputs=count
        )
        for k, part in enumerate(projected):  # (batch, frames, joints, R + 2N)
            order, limb = self.table["order"][k], self.table["limb_mask"][k]
            if (order, limb) not in sources:
                source = summed if limb else self.x
                sources[order, limb] = self._arrange(source, order, self.inner)
            if limb:
                part = build.one("Add", part, build.one("Gather", part, limbs, axis=2))
            steps = self._arrange(part, order, self.rank + 2 * state)  # (batch, R + 2N, L)
            sizes = build.ints(self.rank, state, state)
            dt_raw, b, c = build.op("Split", [steps, sizes], {"axis": 1}, outputs=3)
            u.append(sources[order, limb])
            delta.append(build.one("MatMul", self._dt_weight(k), dt_raw))  # (batch, d_inner, L)
            B.append(b)
            C.append(c)
        y = self._scan(
            build.concat(u, axis=1),
            build.concat(delta, axis=1),
            *(
                build.reshape(build.concat(s, axis=1), 0, self.directions, state, -1)
                for s in (B, C)
            ),
        )
        return self._merge(y)

    def _arrange(self, grid: ir.Value, order: int, channels: int) -> ir.Value:
        """(batch, frames, joints, c) to (batch, c, L), steps in visiting order."""
        perm = [0, 3, 2, 1] if order in _JOINT_MAJOR else [0, 3, 1, 2]
        grid = self.build.one("Transpose", grid, perm=perm)  # (batch, c, outer, inner)
        if order in _FLIPPED:
            grid = self.build.flip(grid, axis=3)
        return self.build.reshape(grid, 0, channels, -1)

    def _restore(self, sequence: ir.Value, order: int) -> ir.Value:
        """Undo :meth:`_arrange`."""
        joint_major = order in _JOINT_MAJOR
        outer_inner = (self.joints, -1) if joint_major else (-1, self.joints)
        grid = self.build.reshape(sequence, 0, self.inner, *outer_inner)
        if order in _FLIPPED:
            grid = self.build.flip(grid, axis=3)
        return self.build.one("Transpose", grid, perm=[0, 3, 2, 1] if joint_major else [0, 2, 3, 1])

    def _dt_weight(self, k: int) -> ir.Value:
        array = self.dt_weight.const_value.numpy()[k]  # (d_inner, R)
        return add_initializer(self.build.graph, f"{self.scope}.dt_weight.{k}", array)

    def _scan(self, u: ir.Value, delta: ir.Value, B: ir.Value, C: ir.Value) -> ir.Value:
        rows = self.directions * self.inner
        A = reshape_constant(self.A, rows, self.table["d_state"])
        D, bias = reshape_constant(self.D, rows), reshape_constant(self.dt_bias, rows)
        (y,) = self.build.op(
            SELECTIVE_SCAN,
            [u, delta, A, B, C, D, bias],
            {"delta_softplus": 1, "reverse": self.table["reverse"]},
            domain=OP_DOMAIN,
        )
        y.producer().name = y.name = f"{self.scope}.scan"
        return y  # (batch, K * d_inner, L)

    def _merge(self, y: ir.Value) -> ir.Value:
        build, orders = self.build, self.table["order"]
        count = self.directions
        parts = build.op("Split", [y], {"axis": 1, "num_outputs": count}, outputs=count)
        grids = []
        for order in sorted(set(orders)):
            same = [part for part, code in zip(parts, orders, strict=True) if code == order]
            grids.append(self._restore(build.total(same), order))
        return build.total(grids)
