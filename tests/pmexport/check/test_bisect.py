"""Faults planted in one module are found there, by name: in every kind of place."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from onnx import numpy_helper
from places import TINY as GOLDEN

from pmexport.check.bisect import LIMITS, difference
from pmexport.check.diagnosis import diagnose
from pmexport.check.observe import torch_points, torch_values
from pmexport.check.points import Point, values_of
from pmexport.check.request import CheckRequest
from pmexport.check.run import check
from pmexport.cli.main import cli
from pmexport.exporting.export import export_onnx
from pmexport.format.file import open_model
from pmexport.format.options import ExportOptions
from posemamba.checkpoint.bundled import bundled_checkpoint
from posemamba.checkpoint.read import load_checkpoint, read_checkpoint
from posemamba.errors import InputError

Edit = Callable[[onnx.GraphProto], None]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny network, 2 x 2 blocks, in both precisions."""
    folder = tmp_path_factory.mktemp("bisect")
    source = {"checkpoint_sha256": read_checkpoint(GOLDEN).sha256}
    network = load_checkpoint(GOLDEN)
    paths = {}
    for precision in ("fp32", "fp16"):
        paths[precision] = folder / f"{precision}.onnx"
        options = ExportOptions(precision=precision)  # type: ignore[arg-type]
        export_onnx(network, paths[precision], options, source=source)
    return paths


def first_part(model: Path, checkpoint: Path = GOLDEN, **options: Any) -> Any:
    """Where PyTorch and ONNX Runtime part."""
    outcome = check(CheckRequest(model, checkpoint, threads=1, bisect=True, **options))
    (pair,) = diagnose(outcome).pairs
    assert pair.confirmed is not False
    return pair.first


def planted(model: Path, folder: Path, edit: Edit) -> Path:
    proto = onnx.load(model)
    edit(proto.graph)
    path = folder / "planted.onnx"
    onnx.save(proto, path)
    return path


def node(graph: onnx.GraphProto, name: str) -> Any:
    return next(one for one in graph.node if one.name == name)


def constant(graph: onnx.GraphProto, name: str, edit: Callable[[Any], Any]) -> None:
    tensor = next(one for one in graph.initializer if one.name == name)
    values = edit(numpy_helper.to_array(tensor).copy())
    tensor.CopyFrom(numpy_helper.from_array(values, name))


def wrong_limb_index(block: str) -> Edit:
    """One joint of one direction reads another neighbour."""

    def edit(graph: onnx.GraphProto) -> None:
        scan = node(graph, f"{block}.op.scan")
        index = next(a for a in scan.attribute if a.name == "limb_index").ints
        index[5] = (index[5] + 3) % 17

    return edit


def swapped_weights(block: str) -> Edit:
    """The gate's half of the input projection where the scan's belongs."""

    def edit(graph: onnx.GraphProto) -> None:
        names = [f"{block}.op.in_proj.{part}.weight" for part in "xz"]
        tensors = {one.name: one for one in graph.initializer if one.name in names}
        tensors[names[0]].name, tensors[names[1]].name = names[1], names[0]

    return edit


def swapped_gate(block: str) -> Edit:
    """The norm of what should be gated is the gate, and the other way round: SiLU on the wrong."""

    def edit(graph: onnx.GraphProto) -> None:
        for name in (f"{block}.op.act.Sigmoid_1", f"{block}.op.act.Mul_1"):
            inputs = node(graph, name).input
            inputs[0] = node(graph, f"{block}.op.out_norm.LayerNormalization").output[0]

    return edit


def other_product(block: str) -> Edit:
    """The gate is added, not multiplied."""

    def edit(graph: onnx.GraphProto) -> None:
        node(graph, f"{block}.op.Mul").op_type = "Add"

    return edit


def lost_residual(block: str) -> Edit:
    def edit(graph: onnx.GraphProto) -> None:
        inputs = node(graph, f"{block}.Add").input
        inputs[0] = inputs[1]

    return edit


def scaled(name: str, factor: float = 1.05) -> Edit:
    return lambda graph: constant(
        graph, name, lambda values: (values * factor).astype(values.dtype)
    )


#: A planted fault -> the module that bisect must name, and the step inside of it.
FAULTS: dict[str, tuple[Edit, str, str]] = {
    **{
        f"limb index, {block}": (wrong_limb_index(block), f"{block}.op", "scan")
        for block in ("STEblocks.0", "TTEblocks.0", "STEblocks.1", "TTEblocks.1")
    },
    **{
        f"halves swapped, {block}": (swapped_weights(block), f"{block}.op.in_proj", "")
        for block in ("STEblocks.0", "TTEblocks.1")
    },
    "gate reads the scan": (swapped_gate("STEblocks.1"), "STEblocks.1.op.act", ""),
    "gate is added": (other_product("TTEblocks.0"), "TTEblocks.0.op", "gate"),
    "residual lost": (lost_residual("STEblocks.1"), "STEblocks.1", "residual"),
    "x_proj": (scaled("TTEblocks.1.op.x_proj_weight"), "TTEblocks.1.op", "x_proj"),
    "A of a scan": (scaled("STEblocks.1.op.A"), "STEblocks.1.op", "scan"),
    "conv2d": (scaled("STEblocks.0.op.conv2d.weight"), "STEblocks.0.op.conv2d", ""),
    "out_proj": (scaled("TTEblocks.0.op.out_proj.weight"), "TTEblocks.0.op.out_proj", ""),
    "fc2": (scaled("STEblocks.1.mlp.fc2.weight"), "STEblocks.1.mlp.fc2", ""),
    "embedding": (scaled("Spatial_patch_to_embedding.weight"), "Spatial_patch_to_embedding", ""),
    "head": (scaled("head.1.weight"), "head.1", ""),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_module_is_named(models: dict[str, Path], tmp_path: Path, name: str) -> None:
    edit, module, step = FAULTS[name]
    found = first_part(planted(models["fp32"], tmp_path, edit))
    assert (found.module, found.step) == (module, step)
    assert set(found.values) == {"PyTorch", "ort-cpu"}


@pytest.mark.parametrize(
    "name", ["limb index, STEblocks.1", "halves swapped, TTEblocks.1", "gate is added", "conv2d"]
)
def test_the_module_is_named_in_fp16(models: dict[str, Path], tmp_path: Path, name: str) -> None:
    edit, module, step = FAULTS[name]
    found = first_part(planted(models["fp16"], tmp_path, edit))
    assert (found.module, found.step) == (module, step)


def test_a_shared_norm_is_told_by_its_call(models: dict[str, Path], tmp_path: Path) -> None:
    def edit(graph: onnx.GraphProto) -> None:
        node(graph, "Spatial_norm.LayerNormalization_1").input[2] = "Temporal_norm.bias"

    found = first_part(planted(models["fp32"], tmp_path, edit))
    assert (found.module, found.call, found.point) == ("Spatial_norm", 1, "Spatial_norm (call 2)")


def overflowing(folder: Path, *blocks: str) -> Path:
    """The checkpoint with an fc1 whose results fp16 cannot hold, and an fc2 that undoes it.

    2 ** 19 of a GELU's input and back changes its fp32 values little; fp16 ends at 2 ** 16.
    """
    content = torch.load(GOLDEN, weights_only=False)
    weights = content["model_pos"]
    for block in blocks:
        for name, factor in (
            ("fc1.weight", 2.0**17),
            ("fc1.bias", 2.0**17),
            ("fc2.weight", 2**-17),
        ):
            weights[f"module.{block}.mlp.{name}"] *= factor
    path = folder / "overflow.pth.tr"
    torch.save(content, path)
    return path


@pytest.mark.parametrize("block", ["STEblocks.0", "TTEblocks.1"])  # the first and the last
def test_an_overflow_is_named_and_kept(tmp_path: Path, block: str) -> None:
    """bisect names fc1; the list it writes makes the export pass, and needs all of its entries."""
    checkpoint, run = overflowing(tmp_path, block), CliRunner().invoke
    model, keep = tmp_path / "m.onnx", tmp_path / "keep.yaml"
    export = ["onnx", "--ckpt", str(checkpoint), "--fp16", "-o", str(model)]
    done = run(cli, export)
    assert done.exit_code == 1, done.output
    arguments = ["check", str(model), "--ckpt", str(checkpoint), "--bisect", "--max-drift-mm", "1",
                 "--keep-to", str(keep), "--json", str(tmp_path / "r.json")]  # fmt: skip
    done = run(cli, arguments)
    assert done.exit_code == 1, done.output
    told = json.loads((tmp_path / "r.json").read_text())
    (pair,) = told["bisect"]["pairs"]
    assert pair["first"]["module"] == f"{block}.mlp.fc1"
    assert pair["first"]["values"]["PyTorch"]["not_finite"] == 0
    assert pair["first"]["values"]["ort-cpu"]["not_finite"] > 0
    entries = told["keep"]["entries"]
    assert all(entry.startswith(f"{block}.mlp") for entry in entries)
    done = run(cli, [*export, "--keep", str(keep), "--no-check"])
    assert done.exit_code == 0, done.output
    done = run(cli, ["check", str(model), "--ckpt", str(checkpoint), "--mpjpe-mm", "1"])
    assert done.exit_code == 0, done.output


def test_nothing_is_found_where_nothing_is(models: dict[str, Path]) -> None:
    for precision, model in models.items():
        outcome = check(CheckRequest(model, GOLDEN, ("ort-cpu", "torch"), threads=1, bisect=True))
        report = diagnose(outcome)
        assert [pair.sides for pair in report.pairs] == [
            ("PyTorch", "ort-cpu"), ("PyTorch", "torch"), ("ort-cpu", "torch")]  # fmt: skip
        for pair in report.pairs:
            assert pair.first is None, (precision, pair)
            assert pair.compared == 71  # every module and step of 2 x 2 blocks
            assert pair.worst is not None
            # A tenth of the limit is left for larger networks and other machines.
            assert pair.worst.rms < LIMITS[precision].rms / 3


def test_hooks_change_nothing_and_go() -> None:
    network = load_checkpoint(GOLDEN)
    clip = np.random.default_rng(0).uniform(-1, 1, (1, 9, 17, 2)).astype(np.float32)
    with torch.inference_mode():
        plain = network(torch.from_numpy(clip)).numpy()
    points = torch_points(network, clip)
    poses, seen = torch_values(network, clip, points)
    assert np.array_equal(poses, plain)
    assert list(seen) == list(points)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_every_point_is_in_the_graph(models: dict[str, Path]) -> None:
    clip = np.zeros((1, 3, 17, 2), np.float32)
    points = torch_points(load_checkpoint(GOLDEN), clip)
    for model in models.values():
        assert list(values_of(points, open_model(model).nodes)) == list(points)


POINT = Point("STEblocks.0.mlp")


@pytest.mark.parametrize(
    ("one", "two", "rms", "where"),
    [
        ([3.0, 4.0], [3.0, 4.0], 0.0, (0,)),
        ([3.0, 4.0], [3.0, 5.0], 0.2, (1,)),  # 1 / sqrt(2) over sqrt(12.5)
        ([3.0, 4.0], [np.inf, 4.0], np.inf, (0,)),
        ([3.0, 4.0], [3.0, np.nan], np.inf, (1,)),
        ([np.nan, 4.0], [np.nan, 4.0], 0.0, (0,)),  # broken on both sides: not where they part
        ([0.0, 0.0], [0.0, 0.0], 0.0, (0,)),
    ],
)
def test_difference(one: list[float], two: list[float], rms: float, where: tuple[int]) -> None:
    values = {"a": np.array(one, np.float32), "b": np.array(two, np.float32)}
    found = difference(POINT, values)
    assert found.rms == pytest.approx(rms, rel=1e-6)
    assert found.where == where


def test_another_network_is_refused() -> None:
    with pytest.raises(InputError, match="these are not the same network"):
        difference(POINT, {"a": np.zeros((1, 2), np.float32), "b": np.zeros((1, 3), np.float32)})


@pytest.mark.slow
def test_s_takes_less_than_two_minutes(tmp_path: Path) -> None:
    """Of two cores, hence 240 s of CPU time: the check and the bisection of the bundled S, fp16."""
    checkpoint = bundled_checkpoint(Path("demo"))
    assert checkpoint is not None
    source = {"checkpoint_sha256": read_checkpoint(checkpoint).sha256}
    model = tmp_path / "S.onnx"
    export_onnx(load_checkpoint(checkpoint), model, ExportOptions(precision="fp16"), source=source)
    start = time.process_time()
    found = first_part(planted(model, tmp_path, wrong_limb_index("STEblocks.6")), checkpoint)
    assert time.process_time() - start < 240.0
    assert found.point == "STEblocks.6.op (its scan)"
