"""The rewrites for ONNX Runtime CUDA: the same poses, the nodes they promise, and clear refusals.

What needs a GPU to run is evaluated with the operators' CPU compositions in PyTorch.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from golden_cases import CASES, CHECKPOINT
from onnxscript import ir
from two_nodes import split_blocks

from pmexport.check.optimized import optimize_file
from pmexport.exporting.export import export_onnx
from pmexport.format.facts import inspect_onnx
from pmexport.format.file import open_model
from pmexport.format.options import ExportOptions, Fusion
from pmexport.passes.fused import find_fusable
from pmexport.passes.optimize import optimize_model
from pmexport.runtimes.base import FloatArray, RuntimeOptions
from pmexport.runtimes.fused_torch import fused_lift
from pmexport.runtimes.ort_cpu import OrtCpu
from posemamba import PoseMamba, PoseMambaConfig
from posemamba.checkpoint.read import load_checkpoint
from posemamba.errors import InputError
from posemamba.model.inference import PoseMambaInference

DEPTH, FRAMES = 2, 9
CPU = OrtCpu(RuntimeOptions(threads=1))  # on such small models threads only wait for each other
#: float16 activations against the float32 network, as tests/posemamba/model/test_inference.py.
HALF_BOUND = 5e-3


def keypoints(batch: int = 2, frames: int = FRAMES) -> FloatArray:
    draw = np.random.default_rng(0).uniform(-1, 1, (batch, frames, 17, 2))
    return draw.astype(np.float32)


@pytest.fixture(scope="module")
def network() -> PoseMamba:
    """A network of a width the fused kernels take, no parameter at its initial value."""
    torch.manual_seed(0)
    model = PoseMamba(PoseMambaConfig(d_model=64, depth=DEPTH, frames=FRAMES)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return model


@pytest.fixture(scope="module")
def folder(network: PoseMamba, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of it."""
    where = tmp_path_factory.mktemp("optimize")
    for name, options in {
        "single": ExportOptions(),
        "half": ExportOptions(precision="fp16"),
        "fixed": ExportOptions(precision="fp16", frames=5, batch=2),
        "old": ExportOptions(precision="fp16", opset=18),
    }.items():
        export_onnx(network, where / f"{name}.onnx", options)
    return where


def expected(network: PoseMamba, clip: FloatArray) -> FloatArray:
    with torch.inference_mode():
        poses: FloatArray = network(torch.from_numpy(clip)).numpy()
    return poses


def kinds(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


def test_composed_graphs_give_the_golden_poses(tmp_path: Path) -> None:
    """In ONNX Runtime on the CPU, to the bound golden files are held to."""
    path = tmp_path / "M.onnx"
    export_onnx(load_checkpoint(CHECKPOINT), path, ExportOptions())
    report = optimize_file(path, tmp_path / "M.cuda.onnx", "composed", 1)
    assert report.passed
    golden = np.load(CASES["global-local"])
    poses = CPU.load(report.path)(golden["keypoints_2d"])
    assert np.abs(poses - golden["poses_3d"]).max() < 2e-5


def test_inspect_counts_what_computes_in_fp16(folder: Path, tmp_path: Path) -> None:
    """The fused nodes give their float32 stream first; they work on fp16 all the same."""
    path = tmp_path / "half.cuda.onnx"
    path.write_bytes(optimize_model(folder / "half.onnx", "fused").serialised())
    share = {kind: row["fp16_share"] for kind, row in inspect_onnx(path)["precision"].items()}
    assert share == {f"posemamba:{kind}": 1.0 for kind in
                     ("Block", "Embed", "LastBlock")}  # fmt: skip
    path.write_bytes(optimize_model(folder / "half.onnx", "composed").serialised())
    share = {kind: row["fp16_share"] for kind, row in inspect_onnx(path)["precision"].items()}
    assert share["posemamba:AddNorm"] == share["posemamba:CrossSelectiveScan"] == 1.0
    path.write_bytes(optimize_model(folder / "single.onnx", "composed").serialised())
    share = {kind: row["fp16_share"] for kind, row in inspect_onnx(path)["precision"].items()}
    assert set(share.values()) == {0.0}


@pytest.mark.parametrize(("name", "bound"), [("single", 2e-5), ("half", HALF_BOUND)])
def test_composed_nodes(network: PoseMamba, folder: Path, name: str, bound: float) -> None:
    blocks = 2 * DEPTH
    model = optimize_model(folder / f"{name}.onnx", "composed").model
    found = kinds(model)
    assert not {"Transpose", "Conv", "Sigmoid", "Mul"} & found.keys()
    assert {kind: found[kind] for kind in ("ConvSilu", "CrossSelectiveScan", "GatedNorm")} == {
        "ConvSilu": blocks,
        "CrossSelectiveScan": blocks,
        "GatedNorm": blocks,
    }
    # Not joined: the sum before the temporal position, and the last one, before the head.
    assert found["AddNorm"] == 2 * blocks - 2
    assert found["MatMul"] == 5 * blocks + 2  # in_proj, x_proj, out_proj, fc1, fc2; both ends
    assert found["Cast"] <= 4
    clip = keypoints()
    path = folder / f"{name}.composed.onnx"
    path.write_bytes(optimize_model(folder / f"{name}.onnx", "composed").serialised())
    assert np.abs(CPU.load(path)(clip) - expected(network, clip)).max() < bound


def test_fused_nodes(network: PoseMamba, folder: Path) -> None:
    model = optimize_model(folder / "half.onnx").model
    assert kinds(model) == {"Embed": 1, "Block": 2 * DEPTH - 1, "LastBlock": 1}
    lift = fused_lift(model, 1)
    for shape in ((2, FRAMES), (1, 1), (3, 4)):
        clip = keypoints(*shape)
        poses = lift(clip)
        assert poses.dtype == np.float32
        assert np.abs(poses - expected(network, clip)).max() < HALF_BOUND


def test_files_with_two_nodes_a_block_still_run(folder: Path) -> None:
    """As they were written before a block became one node: the same, to the bit."""
    model = optimize_model(folder / "half.onnx").model
    clip = keypoints()
    want = fused_lift(model, 1)(clip)
    split_blocks(model)
    assert kinds(model) == {
        "Embed": 1,
        "ConvProj": 2 * DEPTH,
        "BlockTail": 2 * DEPTH - 1,
        "LastBlockTail": 1,
    }
    np.testing.assert_array_equal(fused_lift(model, 1)(clip), want)


def test_fused_constants_are_those_of_the_pytorch_path(network: PoseMamba, folder: Path) -> None:
    """Packed alike; the file's own rounding of biases and taps to float16 is all that differs."""
    graph = optimize_model(folder / "half.onnx", "fused").model.graph
    path: Any = PoseMambaInference(network, torch.float16)._path
    names = [f"{kind}blocks.{i}" for i in range(DEPTH) for kind in ("STE", "TTE")]
    for index, name in enumerate(names):
        found = {
            key: graph.initializers[f"fused.{name}.{key}"].const_value.numpy()
            for key in ("vectors", "x_proj", "out_proj", "fc1", "fc2", "taps")
        }
        np.testing.assert_array_equal(found["x_proj"], path.projections[index].numpy())
        for key, matrix in zip(("out_proj", "fc1", "fc2"), path.matrices[index], strict=True):
            np.testing.assert_array_equal(found[key], matrix.numpy())
        for key, want in (("vectors", path.vectors[index]), ("taps", path.scans[index].taps)):
            np.testing.assert_allclose(found[key], want.numpy(), rtol=2**-11, atol=2**-24)


def test_fixed_sizes(network: PoseMamba, folder: Path) -> None:
    clip = keypoints(2, 5)
    want = expected(network, clip)
    fused = optimize_model(folder / "fixed.onnx", "fused").model
    assert list(fused.graph.outputs[0].shape) == [2, 5, 17, 3]
    assert np.abs(fused_lift(fused, 1)(clip) - want).max() < HALF_BOUND
    composed = folder / "fixed.composed.onnx"
    composed.write_bytes(optimize_model(folder / "fixed.onnx", "composed").serialised())
    assert np.abs(CPU.load(composed)(clip) - want).max() < HALF_BOUND


def test_what_is_not_fused_is_composed(folder: Path) -> None:
    assert "AddNorm" in kinds(optimize_model(folder / "single.onnx").model)  # float32
    assert "AddNorm" in kinds(optimize_model(folder / "old.onnx").model)  # GELU is several nodes
    assert find_fusable(ir.load(folder / "half.onnx")) is not None
    assert find_fusable(ir.load(folder / "single.onnx")) is None


def test_a_file_is_checked_marked_and_reproducible(folder: Path, tmp_path: Path) -> None:
    original = (folder / "half.onnx").read_bytes()
    fusions: tuple[Fusion, ...] = ("fused", "composed")
    for fusion in fusions:
        one, two = tmp_path / f"{fusion}.1.onnx", tmp_path / f"{fusion}.2.onnx"
        report = optimize_file(folder / "half.onnx", one, fusion, 1)
        optimize_file(folder / "half.onnx", two, fusion, 1)
        assert report.passed
        assert report.fusion == fusion
        assert 0.0 < report.max_abs <= report.limit
        assert report.after.total() < 0.6 * report.before.total()
        assert one.read_bytes() == two.read_bytes()
        assert open_model(one).is_optimized
    assert not open_model(folder / "half.onnx").is_optimized
    assert (folder / "half.onnx").read_bytes() == original


def test_twice_is_refused(folder: Path, tmp_path: Path) -> None:
    done = tmp_path / "done.onnx"
    optimize_file(folder / "half.onnx", done, threads=1)
    with pytest.raises(InputError, match=r"done\.onnx' is optimised already"):
        optimize_file(done, tmp_path / "twice.onnx")
    with pytest.raises(InputError, match=r"Embed has no kernel on this device.*ort-cuda"):
        CPU.load(done)


@pytest.mark.parametrize(
    ("name", "fusion", "words"),
    [
        ("single", "fused", "--precision fp16"),
        ("old", "fused", "is not read by one Gelu"),
    ],
)
def test_other_graphs_are_refused(folder: Path, name: str, fusion: Fusion, words: str) -> None:
    with pytest.raises(InputError, match=rf"{name}\.onnx'.*{words}"):
        optimize_model(folder / f"{name}.onnx", fusion)


@pytest.mark.parametrize("fusion", ["fused", "composed"])
@pytest.mark.parametrize(
    ("old", "new"), [("Sigmoid", "Tanh"), ("Conv", "ConvInteger"), ("Transpose", "Identity")]
)
def test_a_graph_that_was_changed_is_refused_by_name(
    folder: Path, tmp_path: Path, fusion: Fusion, old: str, new: str
) -> None:
    model = onnx.load(folder / "half.onnx")
    node = next(node for node in model.graph.node if node.op_type == old)
    node.op_type = new
    path = tmp_path / "changed.onnx"
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"changed\.onnx'.*STEblocks\.0"):
        optimize_model(path, fusion)
