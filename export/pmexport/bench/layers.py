"""Which module of the network takes how long: ONNX Runtime's profile, mapped back to PyTorch names.

The exporter names a node, and its first result, after the module it came from
(``STEblocks.0.op.conv2d.Conv``). ONNX Runtime fuses and renames nodes, but keeps the names of
results that others read; the graph it ran is written beside the times, and says who gives what.
"""

from __future__ import annotations

import gc
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import onnx

from pmexport.format.file import ModelFile
from pmexport.runtimes.base import FloatArray, RuntimeOptions
from pmexport.runtimes.registry import usable_runtime
from pmexport.runtimes.session import PROFILE_PREFIX, PROFILED_GRAPH
from posemamba.errors import InputError
from posemamba.text import table

PROFILED = ("ort-cpu", "ort-cuda")
"""Runtimes that write a profile."""
RUNS = 20
_SHOWN = 15  # modules in a table, before the others share a row
_WARMUP = 3
_SUFFIX = "_kernel_time"
_BLOCKED = "_nchwc"  # ONNX Runtime's ending of a convolution in its own layout
ELSEWHERE = "(added by the runtime)"


@dataclass(frozen=True)
class Layer:
    """One module: its own nodes, not those of modules inside it.

    Attributes:
        module: the path in the network; :data:`ELSEWHERE` for nodes of no module.
        ms: sum of its nodes' medians over the runs, by the profiler's clock.
        share: of all nodes.
        nodes: how many.
        kinds: milliseconds by type of node, longest first.
    """

    module: str
    ms: float
    share: float
    nodes: int
    kinds: dict[str, float]


def refuse_unprofiled(runtimes: Iterable[str]) -> None:
    """Make sure every runtime tells the times of nodes.

    Raises:
        InputError: one does not.
    """
    for name in runtimes:
        if name not in PROFILED:
            raise InputError(
                f"--layers: runtime '{name}' tells no times of nodes: use --runtime "
                f"{' or '.join(PROFILED)}"
            )


def profile_layers(
    name: str, file: ModelFile, clip: FloatArray, options: RuntimeOptions
) -> list[Layer]:
    """Run a model under the profiler; the modules, longest first.

    Times are a little longer than without it, and their sum is less than a call: what goes by
    between nodes is in no module.

    Raises:
        InputError: the runtime cannot work here.
    """
    with TemporaryDirectory() as place:
        folder = Path(place)
        lift = usable_runtime(name, replace(options, profile=folder)).load(file)
        for _ in range(_WARMUP + RUNS):
            lift(clip)
        del lift  # the profile is written when the session ends
        gc.collect()
        (written,) = folder.glob(f"{PROFILE_PREFIX}*.json")
        events = json.loads(written.read_text(encoding="utf-8"))
        graph = onnx.load(folder / PROFILED_GRAPH, load_external_data=False).graph
    return layers_of(events, module_names(graph, {node.name for node in file.nodes}))


def module_names(graph: onnx.GraphProto, exported: set[str]) -> dict[str, str]:
    """The module of every node that the runtime ran, by the node's name.

    Args:
        graph: as it was run.
        exported: names of the file's nodes.
    """
    readers: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, node)

    def origin(node: onnx.NodeProto, steps: int = 3) -> str:
        own = node.name.partition("/")[0].removesuffix(_BLOCKED)
        for name in (own, *node.output):
            if name in exported:
                return str(name).rpartition(".")[0] or ELSEWHERE
        reader = next((readers[name] for name in node.output if name in readers), None)
        return origin(reader, steps - 1) if reader is not None and steps else ELSEWHERE

    return {node.name: origin(node) for node in graph.node}


def layers_of(events: list[Mapping[str, Any]], modules: Mapping[str, str]) -> list[Layer]:
    """Sum a profile's events by module; the first runs do not count."""
    calls: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(_SUFFIX):
            calls[name.removesuffix(_SUFFIX)].append((event["args"]["op_name"], event["dur"] / 1e3))
    kinds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    nodes: Counter[str] = Counter()
    for node, times in calls.items():
        module = modules.get(node, ELSEWHERE)
        counted = times[_WARMUP:] or times
        nodes[module] += 1
        kinds[module][counted[0][0]] += median(ms for _, ms in counted)
    total = sum(sum(each.values()) for each in kinds.values()) or 1.0
    found = [
        Layer(module, (ms := sum(each.values())), ms / total, nodes[module],
              dict(sorted(each.items(), key=lambda kind: -kind[1])))
        for module, each in kinds.items()
    ]  # fmt: skip
    return sorted(found, key=lambda layer: -layer.ms)


def layer_table(layers: list[Layer]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Header and rows: the longest, and what is left in one row."""
    rows = [
        [each.module, f"{each.ms:.3f}", f"{100 * each.share:.1f}", str(each.nodes),
         ", ".join(list(each.kinds)[:2])]
        for each in layers[:_SHOWN]
    ]  # fmt: skip
    rest = layers[_SHOWN:]
    if rest:
        ms, share, nodes = (
            sum(getattr(each, key) for each in rest) for key in ("ms", "share", "nodes")
        )
        rows.append([f"{len(rest)} more", f"{ms:.3f}", f"{100 * share:.1f}", str(nodes), ""])
    return ("module", "ms", "%", "nodes", "longest kinds"), rows


def layer_lines(runtime: str, layers: list[Layer]) -> list[str]:
    """The same for a terminal."""
    total = sum(layer.ms for layer in layers)
    return [
        f"Layers: {runtime}, {total:.3f} ms in nodes under the profiler",
        table(*layer_table(layers)),
    ]
