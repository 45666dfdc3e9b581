"""The profile mapped back to modules: names that ONNX Runtime changes, and a real run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pmexport.bench.layers import ELSEWHERE, layer_lines, layers_of, module_names, profile_layers
from pmexport.format.file import open_model
from pmexport.runtimes.base import RuntimeOptions


def graph(*nodes: tuple[str, str, str, str]) -> Any:
    """Of nodes (name, type, input, output)."""
    made = [
        helper.make_node(kind, [source], [target], name=name)
        for name, kind, source, target in nodes
    ]
    value = helper.make_tensor_value_info
    ends = [value(name, TensorProto.FLOAT, None) for name in ("in", "out")]
    return helper.make_graph(made, "g", ends[:1], ends[1:])


EXPORTED = {"a.norm.LayerNormalization", "a.act.Gelu", "a.conv.Conv", "a.Transpose", "Shape"}


@pytest.mark.parametrize(
    ("node", "module"),
    [
        (("a.norm.LayerNormalization", "LayerNormalization", "in", "x"), "a.norm"),
        (("BiasGelu_token_2", "BiasGelu", "in", "a.act.Gelu"), "a.act"),
        (("a.conv.Conv_nchwc", "Conv", "in", "reorder_token_4"), "a.conv"),
        (("a.act.Gelu/QuickGeluFusion/", "QuickGelu", "in", "y"), "a.act"),
        (("Shape", "Shape", "in", "y"), ELSEWHERE),
        (("MemcpyToHost", "Memcpy", "in", "nobody reads"), ELSEWHERE),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_names_of_fused_nodes(node: tuple[str, str, str, str], module: str) -> None:
    assert module_names(graph(node), EXPORTED) == {node[0]: module}


def test_a_new_node_belongs_to_who_reads_it() -> None:
    run = graph(
        ("ReorderInput", "ReorderInput", "in", "token_1"),
        ("ReorderOutput", "ReorderOutput", "token_1", "a.Transpose"),
    )
    assert set(module_names(run, EXPORTED).values()) == {"a"}


def event(name: str, kind: str, us: float) -> dict[str, Any]:
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": us, "args": {"op_name": kind}}


def test_times_are_summed_by_module_without_the_first_runs() -> None:
    runs = [(90_000, 90_000, 90_000)] * 3 + [(1000, 3000, 500)] * 4 + [(9000, 3000, 500)]
    events = [{"cat": "Session", "name": "model_run", "dur": 7}]
    for a, b, c in runs:
        events += [event("a1", "MatMul", a), event("a2", "Conv", b), event("b", "Add", c)]
    found = layers_of(events, {"a1": "a", "a2": "a", "b": "a.b"})
    assert [(each.module, each.ms, each.nodes) for each in found] == [
        ("a", 4.0, 2),
        ("a.b", 0.5, 1),
    ]
    assert found[0].kinds == {"Conv": 3.0, "MatMul": 1.0}
    assert sum(each.share for each in found) == pytest.approx(1.0)
    assert layers_of([], {}) == []


def test_a_real_run_names_every_module_with_weights(here: Path) -> None:
    model = open_model(here / "tiny.onnx")
    clip = np.zeros((1, 3, 17, 2), np.float32)
    found = profile_layers("ort-cpu", model, clip, RuntimeOptions(threads=1))
    modules = {layer.module for layer in found}
    blocks = [f"{part}.{i}" for part in ("STEblocks", "TTEblocks") for i in (0, 1)]
    for block in blocks:
        assert {f"{block}.op", f"{block}.op.conv2d", f"{block}.op.x_proj", f"{block}.op.out_proj",
                f"{block}.mlp.fc1", f"{block}.mlp.fc2", f"{block}.op.out_norm",
                } <= modules  # fmt: skip
        scan = next(layer for layer in found if layer.module == f"{block}.op")
        assert "CrossSelectiveScan" in scan.kinds
    assert (
        ELSEWHERE not in modules
        or sum(layer.share for layer in found if layer.module == ELSEWHERE) < 0.05
    )
    assert layer_lines("ort-cpu", found)[0].startswith("Layers: ort-cpu, ")
    assert onnx.load(here / "tiny.onnx").graph.node  # the file itself stays
