"""Where PyTorch's modules are in an ONNX graph: by the names ``pmexport onnx`` gives its nodes.

A node is named after the module that computes it, ``STEblocks.3.op.out_proj.MatMul``; a module
called several times, such as the shared norms, has as many runs of nodes. What is computed between
modules is a step of the one around it, such as the scan of ``STEblocks.3.op``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pmexport.format.file import Node

_COUNTER = re.compile(r"_\d+$")
#: What a module reads, where nothing else shows it: module -> (owner, step), relative to a block.
STEPS: dict[str, tuple[str, str]] = {
    "op.out_norm": ("op", "scan"),
    "op.out_proj": ("op", "gate"),
    "norm2": ("", "residual"),
}
X_PROJ = "x_proj"
"""The step of ``op`` that has a weight of its own and no module: B, C and raw step sizes."""
PARTS: dict[str, tuple[str, ...]] = {"in_proj": ("x", "z")}
"""Modules whose output the exporter splits into products of their own."""


@dataclass(frozen=True)
class Point:
    """A tensor that both sides have.

    Attributes:
        module: path of the PyTorch module.
        step: of what is no module's output, which step inside of it; empty otherwise.
        call: of a module that is called several times, from 0.
    """

    module: str
    step: str = ""
    call: int = 0

    def __str__(self) -> str:
        more = [f"its {self.step}"] if self.step else []
        more += [f"call {self.call + 1}"] if self.call else []
        return f"{self.module} ({', '.join(more)})" if more else self.module


def split_block(module: str) -> tuple[str, str]:
    """``STEblocks.3`` and ``op.out_norm``; an empty block for what is outside of one."""
    match = re.match(r"((?:STE|TTE)blocks\.\d+)(?:\.|$)(.*)", module)
    return (match[1], match[2]) if match else ("", module)


def values_of(points: Iterable[Point], nodes: Sequence[Node]) -> dict[Point, tuple[str, ...]]:
    """Names of the ONNX values a point is made of, joined along the last axis.

    A point whose nodes the graph lacks, as in a file that ``pmexport optimize`` fused, is left out.
    """
    wanted = list(points)
    calls = Counter(point.module for point in wanted if not point.step)
    scopes = _scopes(nodes)
    casts = {node.outputs[0]: node.inputs[0] for node in nodes if node.op_type == "Cast"}
    found = {}
    for point in wanted:
        names = _names(point, calls[point.module], scopes)
        if names is not None:
            found[point] = tuple(_uncast(name, casts) for name in names)
    return found


def _names(point: Point, calls: int, scopes: dict[str, list[Node]]) -> tuple[str, ...] | None:
    block, inner = split_block(point.module)
    if point.step == X_PROJ:
        run = scopes.get(f"{point.module}.{X_PROJ}")
        return None if run is None else (run[-1].outputs[0],)
    if point.step:
        reader = next(r for r, what in STEPS.items() if what == (inner, point.step))
        run = scopes.get(f"{block}.{reader}")
        return None if run is None else (run[0].inputs[0],)
    parts = PARTS.get(point.module.rpartition(".")[2], ())
    names = [f"{point.module}.{part}" for part in parts] or [point.module]
    runs = [_call(scopes.get(name, []), point.call, calls) for name in names]
    return None if None in runs else tuple(node.outputs[0] for node in runs if node is not None)


def _call(run: list[Node], call: int, calls: int) -> Node | None:
    """The last node of one call, of a module whose calls have equal numbers of nodes."""
    each, rest = divmod(len(run), max(calls, 1))
    return run[(call + 1) * each - 1] if each and not rest else None


def _scopes(nodes: Sequence[Node]) -> dict[str, list[Node]]:
    """Nodes by the module they are named after, in the graph's order; casts are of nobody."""
    found: dict[str, list[Node]] = {}
    for node in nodes:
        if node.op_type != "Cast":
            scope = _COUNTER.sub("", node.name).removesuffix(f".{node.op_type}")
            found.setdefault(scope, []).append(node)
    return found


def _uncast(name: str, casts: dict[str, str]) -> str:
    """The value before a cast: what a module gave, in the type it gave it."""
    while name in casts:
        name = casts[name]
    return name
