"""fp16 typing, on small graphs and on an exported one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxscript import ir

from pmexport.exporting.export import export_onnx
from pmexport.format.operators import SCANS
from pmexport.format.options import ExportOptions, OpsMode
from pmexport.passes.clean import complete_types
from pmexport.passes.fp16 import to_fp16
from pmexport.passes.fp16_rules import RULES
from posemamba import InputError, PoseMamba, PoseMambaConfig

FP16, FP32 = TensorProto.FLOAT16, TensorProto.FLOAT


def typed(nodes: list[onnx.NodeProto], constants: dict[str, object]) -> onnx.ModelProto:
    """Type a graph from x (2, 4) to y, both float32."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "small",
        [value("x", FP32, [2, 4])],
        [value("y", FP32, None)],
        [numpy_helper.from_array(np.asarray(a, np.float32), n) for n, a in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    model = ir.from_proto(proto)
    complete_types(model)
    to_fp16(model)
    result = ir.to_proto(model)
    onnx.checker.check_model(result, full_check=True)
    return result


def node(op: str, inputs: list[str], output: str, name: str = "") -> onnx.NodeProto:
    return helper.make_node(op, inputs, [output], name=name or f"m.{op}")


def test_products_are_half_and_the_head_is_single() -> None:
    model = typed(
        [
            node("MatMul", ["x", "w"], "h", "fc.MatMul"),
            node("MatMul", ["h", "v"], "y", "head.1.MatMul"),
        ],
        {"w": np.ones((4, 4)), "v": np.ones((4, 3))},
    )
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kinds == {"w": FP16, "v": FP32}
    assert [n.op_type for n in model.graph.node] == ["Cast", "MatMul", "Cast", "MatMul"]


def test_a_value_is_cast_once_for_all_its_readers() -> None:
    model = typed(
        [
            node("MatMul", ["x", "w"], "a", "a.MatMul"),
            node("MatMul", ["x", "v"], "b", "b.MatMul"),
            node("Mul", ["a", "b"], "c", "c.Mul"),
            node("Softplus", ["c"], "y", "head.0.Softplus"),
        ],
        {"w": np.ones((4, 4)), "v": np.ones((4, 4))},
    )
    assert [n.op_type for n in model.graph.node].count("Cast") == 2


def test_a_constant_that_both_types_read_is_kept_in_both() -> None:
    model = typed(
        [
            node("MatMul", ["x", "w"], "h", "fc.MatMul"),
            node("MatMul", ["h", "w"], "y", "head.MatMul"),
        ],
        {"w": np.ones((4, 4))},
    )
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kinds == {"w": FP32, "w.fp16": FP16}


def test_residual_sums_stay_single() -> None:
    """An fp16 residual stream triples the error of L (docs/reference/onnx.md)."""
    model = typed(
        [
            node("LayerNormalization", ["x", "g"], "n", "a.norm"),
            node("MatMul", ["n", "w"], "h", "a.MatMul"),
            node("Add", ["h", "g"], "b", "a.bias"),
            node("Add", ["n", "b"], "y", "a.residual"),
        ],
        {"g": np.ones(4), "w": np.ones((4, 4))},
    )
    kinds = {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
    assert (kinds["n"], kinds["h"], kinds["b"]) == (FP32, FP16, FP16)
    assert model.graph.output[0].type.tensor_type.elem_type == FP32


def test_weights_beyond_fp16_are_named() -> None:
    with pytest.raises(InputError, match=r"weight 'fc\.weight' holds 7e\+04, fp16 ends at 65504"):
        typed([node("MatMul", ["x", "fc.weight"], "y")], {"fc.weight": np.full((4, 4), -7e4)})


def test_the_largest_half_is_allowed() -> None:
    nodes = [node("MatMul", ["x", "w"], "h"), node("Softplus", ["h"], "y")]
    model = typed(nodes, {"w": np.full((4, 4), 65504.0)})
    weight = numpy_helper.to_array(model.graph.initializer[0])
    assert weight.dtype == np.float16
    assert np.isfinite(weight).all()


def test_a_node_without_a_rule_is_named() -> None:
    with pytest.raises(InputError, match=r"node 'odd' has type Tanh.*precision='fp32'"):
        typed([node("Tanh", ["x"], "y", "odd")], {})


def test_a_model_without_a_single_head_is_refused() -> None:
    with pytest.raises(InputError, match=r"output 'y' became FLOAT16"):
        typed([node("MatMul", ["x", "w"], "y")], {"w": np.ones((4, 4))})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[OpsMode], onnx.ModelProto]:
    folder = tmp_path_factory.mktemp("precision")

    def export(ops: OpsMode) -> onnx.ModelProto:
        torch.manual_seed(0)
        network = PoseMamba(PoseMambaConfig(d_model=16, depth=1))
        path: Path = folder / f"{ops}.onnx"
        export_onnx(network, path, ExportOptions(ops=ops, precision="fp16"))
        return onnx.load(path)

    return export


@pytest.mark.parametrize("ops", ["fused", "generic", "standard"])
def test_types_of_an_exported_model(
    ops: OpsMode, exported: Callable[[OpsMode], onnx.ModelProto]
) -> None:
    graph = exported(ops).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    kinds = {v.name: v.type.tensor_type.elem_type for v in values}
    kinds |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    assert kinds["keypoints_2d"] == kinds["poses_3d"] == FP32
    seen = set()
    for n in graph.node:
        seen.add(n.op_type)
        inputs = [kinds[name] for name in n.input]
        if n.op_type in ("LayerNormalization", "Softplus"):
            assert set(inputs) == {FP32}, n.name
        elif n.op_type in ("Conv", "Gelu", "Sigmoid"):
            assert set(inputs) == {FP16}, n.name
        elif n.op_type in SCANS:
            formal = SCANS[n.op_type].inputs
            constants = {"A", "D", "dt_weight", "dt_bias", "delta_bias"}
            for name, kind in zip(formal, inputs, strict=False):
                assert kind == (FP32 if name in constants else FP16), (n.name, name)
        elif n.op_type == "Scan":
            assert set(inputs) == {FP32}, n.name
    assert seen <= RULES.keys()
    residual = [n for n in graph.node if n.name.endswith("STEblocks.0.Add")]
    assert kinds[residual[0].output[0]] == FP32
