"""The precision table: shares, reasons, and what it does not let pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from places import TINY as GOLDEN

from pmexport.exporting.export import export_onnx
from pmexport.format.file import ModelFile, Value
from pmexport.format.macs import concrete_shapes, largest_tensor
from pmexport.format.options import ExportOptions
from pmexport.trt.precision_table import REASONS, PrecisionTable, precision_table
from pmexport.trt.source import read_source
from posemamba.checkpoint.read import read_checkpoint
from posemamba.model.counts import true_macs

SIZES = {"batch": 1, "frames": 27}


@pytest.fixture(scope="module")
def half(models: Path) -> ModelFile:
    return read_source(models / "tiny.fp16.onnx")


@pytest.fixture(scope="module")
def single(models: Path) -> ModelFile:
    return read_source(models / "tiny.fp32.onnx")


@pytest.fixture(scope="module")
def generic(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    """With the plain Mamba op, whose number of steps is a symbol of its own."""
    path = tmp_path_factory.mktemp("generic") / "generic.onnx"
    options = ExportOptions(ops="generic", precision="fp16")
    return read_source(export_onnx(read_checkpoint(GOLDEN).build(), path, options).path)


def retyped(source: ModelFile, name: str, dtype: str) -> ModelFile:
    """The model with another type for a value."""
    values = {**source.values, name: Value(dtype, source.values[name].shape)}
    return replace(source, values=values)


def problems(table: PrecisionTable) -> str:
    return "; ".join(table.problems)


@pytest.mark.parametrize("sizes", [SIZES, {"batch": 3, "frames": 9}])
def test_macs_are_those_of_the_configuration(
    half: ModelFile, single: ModelFile, generic: ModelFile, sizes: dict[str, int]
) -> None:
    want = sizes["batch"] * true_macs(read_checkpoint(GOLDEN).config, sizes["frames"]).total
    for source in (half, single, generic):
        table = precision_table(source, source.precision, sizes)
        assert sum(layer.macs for layer in table.layers) == want


def test_fp16_share_leaves_out_what_the_scan_does_inside(half: ModelFile) -> None:
    table = precision_table(half, "fp16", SIZES)
    scans = [layer for layer in table.layers if layer.group.endswith("CrossSelectiveScan")]
    assert [layer.dtype for layer in scans] == ["fp16"] * 4
    assert [layer.macs_fp16 for layer in scans] == [0] * 4
    assert {layer.reason for layer in scans} == {REASONS["inside"]}
    assert table.got == "fp16"
    assert (
        0.5
        < table.mac_share
        < 1 - sum(layer.macs for layer in scans) / sum(layer.macs for layer in table.layers)
    )


def test_every_fp32_layer_of_an_fp16_model_has_its_reason(half: ModelFile) -> None:
    table = precision_table(half, "fp16", SIZES)
    reasons = {layer.group: layer.reason for layer in table.layers if layer.dtype == "fp32"}
    assert reasons["Spatial_patch_to_embedding MatMul"] == REASONS["boundary"]
    assert reasons["head.1 MatMul"] == REASONS["boundary"]
    assert reasons["norm LayerNormalization"] == REASONS["norm"]
    assert reasons["residual Add"] == REASONS["residual"]
    assert reasons["Temporal_pos_embed Slice"] == REASONS["follows"]
    assert None not in reasons.values()


def test_generic_scans_are_fp32_inside_too(half: ModelFile, generic: ModelFile) -> None:
    table = precision_table(generic, "fp16", SIZES)
    assert table.got == "fp16"
    # The step-size projection is a product of its own here, in fp16.
    assert precision_table(half, "fp16", SIZES).mac_share < table.mac_share < 0.7


def test_fp32_is_all_fp32(single: ModelFile) -> None:
    table = precision_table(single, "fp32", SIZES)
    assert (table.got, table.layer_share, table.mac_share) == ("fp32", 0.0, 0.0)


@pytest.mark.parametrize("node", ["STEblocks.0.mlp.fc1.MatMul", "TTEblocks.1.op.scan"])
def test_a_layer_left_in_fp32_is_told(half: ModelFile, node: str) -> None:
    table = precision_table(retyped(half, node, "fp32"), "fp16", SIZES)
    assert table.got == "mixed"
    assert f"'{node}'" in problems(table)
    assert "is fp32, fp16 was asked" in problems(table)


def test_a_layer_in_fp16_is_told_where_fp32_was_asked(single: ModelFile) -> None:
    table = precision_table(retyped(single, "STEblocks.0.mlp.fc1.MatMul", "fp16"), "fp32", SIZES)
    assert "is fp16, fp32 was asked" in problems(table)


def test_fp32_model_is_no_fp16_engine(single: ModelFile) -> None:
    assert "no layer is fp16" in problems(precision_table(single, "fp16", SIZES))


def network(source: ModelFile) -> dict[str, str]:
    return {name: source.values[name].dtype for node in source.nodes for name in node.outputs}


def test_the_network_is_the_better_witness(half: ModelFile) -> None:
    table = precision_table(half, "fp16", SIZES, network(half))
    assert (table.witness, table.problems) == ("network", ())


def test_a_layer_that_vanished_is_told(half: ModelFile) -> None:
    tensors = network(half)
    del tensors["STEblocks.0.mlp.fc1.MatMul"]
    del tensors["Temporal_pos_embed.Unsqueeze"]  # of constants alone: the parser folds it
    table = precision_table(half, "fp16", SIZES, tensors)
    assert len(table.problems) == 2
    assert "fc1" in table.problems[0]
    assert "missing in TensorRT" in table.problems[0]


@pytest.mark.parametrize(
    ("asked", "fp16", "fine"),
    [("fp16", 50, True), ("fp16", 0, False), ("fp32", 0, True), ("fp32", 3, False)],
)
def test_the_engine_has_the_last_word(
    asked: str, fp16: int, fine: bool, half: ModelFile, single: ModelFile
) -> None:
    source = half if asked == "fp16" else single
    engine = {"opened": True, "layers": 80, "fp16": fp16, "fp32": 80 - fp16}
    table = precision_table(source, asked, SIZES, network(source), engine)
    assert table.witness == "engine"
    assert (not table.problems) == fine


def test_an_engine_fused_into_one_layer_tells_nothing_of_fp16(half: ModelFile) -> None:
    engine = {"opened": True, "layers": 1, "fp16": 0, "fp32": 1}
    assert precision_table(half, "fp16", SIZES, network(half), engine).problems == ()


def test_largest_tensor(half: ModelFile) -> None:
    name, elements = largest_tensor(half, concrete_shapes(half, {"batch": 2, "frames": 27}))
    assert elements == 2 * 27 * 17 * 4 * (2 + 2 * 16)  # x_proj: four directions, dt_rank and B, C
    assert name.endswith("x_proj.MatMul")
