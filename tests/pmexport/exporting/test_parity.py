"""Exported models give the authors' poses, in ONNX Runtime and in ONNX's own evaluator."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from golden_cases import CASES, CHECKPOINT
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from pmexport.exporting.export import export_onnx
from pmexport.format.options import ExportOptions, OpsMode, Precision
from pmexport.ops.translation import translation_table
from pmexport.runtimes.ort_cpu import OrtCpu
from posemamba import PoseMamba, PoseMambaConfig
from posemamba.checkpoint.read import load_checkpoint
from posemamba.native import scan_ops as ops
from posemamba.scan import reference
from posemamba.scan.operands import Operands

MODES: tuple[OpsMode, ...] = ("fused", "generic", "standard")
#: The project's promise for fp32: rounding of 459 steps and four blocks; about 1e-6 is measured.
TOLERANCE = 2e-5
#: fp16 has 11 bits: half a unit in the last place is 2.4e-4 of a value. Poses here reach 2, and
#: four blocks of it add up to 6e-4; a wrong cast or rule costs ten times that.
FP16_TOLERANCE = 2e-3

Array = npt.NDArray[np.float32]
Exporter = Callable[..., Path]


class CrossSelectiveScan(OpRun):
    """The operator for ONNX's evaluator, from the plain PyTorch scan."""

    op_domain = "posemamba"

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[Any]:
        tensors = [torch.from_numpy(a.copy()) for a in inputs]
        names = ("d_state", "order", "reverse", "limb_mask", "limb_index")
        y = reference.cross_selective_scan(*tensors, *(attributes[name] for name in names))
        return (y.numpy(),)


class SelectiveScan(OpRun):
    op_domain = "posemamba"

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[Any]:
        u, delta, A, B, C, D, bias = (torch.from_numpy(a.copy()) for a in inputs)
        softplus, reverse = bool(attributes["delta_softplus"]), attributes["reverse"]
        return (
            reference.selective_scan(
                Operands(u, delta, A, B, C, D, None, bias, softplus, reverse)
            ).numpy(),
        )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exporter:
    folder = tmp_path_factory.mktemp("parity")

    @cache
    def export(order: str, mode: OpsMode, precision: Precision = "fp32") -> Path:
        path = folder / f"{order}.{mode}.{precision}.onnx"
        network = load_checkpoint(CHECKPOINT, scan_order=order)
        export_onnx(network, path, ExportOptions(ops=mode, precision=precision))
        return path

    return export


def largest(got: Array, expected: Array) -> float:
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    return float(np.abs(got - expected).max())


def expected_poses(order: str, keypoints_2d: Array) -> Array:
    network = load_checkpoint(CHECKPOINT, scan_order=order)
    with torch.inference_mode():
        poses_3d: Array = network.set_scan("reference")(torch.from_numpy(keypoints_2d)).numpy()
    return poses_3d


def random_clip(batch: int, frames: int) -> Array:
    return np.random.default_rng(frames).uniform(-1, 1, (batch, frames, 17, 2)).astype(np.float32)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", CASES)
def test_golden_poses(order: str, mode: OpsMode, exported: Exporter) -> None:
    golden = np.load(CASES[order])
    poses_3d = OrtCpu().load(exported(order, mode))(golden["keypoints_2d"])
    assert largest(poses_3d, golden["poses_3d"]) < TOLERANCE


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (2, 1), (1, 2), (3, 17), (1, 27)])
def test_any_batch_and_frames(mode: OpsMode, batch: int, frames: int, exported: Exporter) -> None:
    """One file for all sizes: none was taken for a constant. 17 frames: the grid is square."""
    clip = random_clip(batch, frames)
    poses_3d = OrtCpu().load(exported("bs-bt", mode))(clip)
    assert largest(poses_3d, expected_poses("bs-bt", clip)) < TOLERANCE


@pytest.mark.parametrize("mode", ["fused", "generic"])
@pytest.mark.parametrize("order", ["global-local", "bs-bt"])
def test_onnx_evaluator_agrees(order: str, mode: OpsMode, exported: Exporter) -> None:
    """The graph means what we think without ONNX Runtime, its optimiser or our kernels."""
    clip = random_clip(2, 5)
    evaluator = ReferenceEvaluator(
        onnx.load(exported(order, mode)), new_ops=[CrossSelectiveScan, SelectiveScan]
    )
    (poses_3d,) = evaluator.run(None, {"keypoints_2d": clip})
    assert largest(poses_3d, expected_poses(order, clip)) < TOLERANCE


@pytest.mark.parametrize("mode", MODES)
def test_fp16_in_onnx_runtime(mode: OpsMode, exported: Exporter) -> None:
    golden = np.load(CASES["global-local"])
    poses_3d = OrtCpu().load(exported("global-local", mode, "fp16"))(golden["keypoints_2d"])
    # Above zero: something was really rounded.
    assert TOLERANCE < largest(poses_3d, golden["poses_3d"]) < FP16_TOLERANCE


def test_fp16_rounds_every_step(exported: Exporter) -> None:
    """ONNX Runtime's CPU drops casts between fp16 nodes; this evaluator really computes in fp16."""
    clip = random_clip(1, 9)
    model = onnx.load(exported("global-local", "fused", "fp16"))
    evaluator = ReferenceEvaluator(model, new_ops=[CrossSelectiveScan])
    (poses_3d,) = evaluator.run(None, {"keypoints_2d": clip})
    assert largest(poses_3d, expected_poses("global-local", clip)) < FP16_TOLERANCE


@pytest.mark.parametrize("mode", MODES)
def test_fixed_sizes(mode: OpsMode, tmp_path: Path) -> None:
    network = load_checkpoint(CHECKPOINT)
    path = tmp_path / "fixed.onnx"
    export_onnx(network, path, ExportOptions(frames=9, batch=2, ops=mode))
    clip = random_clip(2, 9)
    assert largest(OrtCpu().load(path)(clip), expected_poses("global-local", clip)) < TOLERANCE
    shape = onnx.load(path).graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [2, 9, 17, 2]


@pytest.mark.parametrize("longest", [1, 2])
def test_networks_of_one_or_two_frames(longest: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PoseMamba(PoseMambaConfig(d_model=16, depth=1, frames=longest)).eval()
    path = tmp_path / "short.onnx"
    export_onnx(network, path)
    lift = OrtCpu().load(path)
    for frames in range(1, longest + 1):
        clip = random_clip(3, frames)
        with torch.inference_mode():
            poses_3d = network.set_scan("reference")(torch.from_numpy(clip)).numpy()
        assert largest(lift(clip), poses_3d) < TOLERANCE


@pytest.mark.parametrize("mode", MODES)
def test_long_clips(mode: OpsMode, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PoseMamba(PoseMambaConfig(d_model=16, depth=1)).eval().set_scan("reference")
    path = tmp_path / "long.onnx"
    export_onnx(network, path, ExportOptions(ops=mode))
    lift = OrtCpu().load(path)
    for frames in (27, 100, 243):
        clip = random_clip(1, frames)
        with torch.inference_mode():
            poses_3d = network(torch.from_numpy(clip)).numpy()
        assert largest(lift(clip), poses_3d) < TOLERANCE


class Mamba(torch.nn.Module):
    """Any network that scans, here with a gate and without softplus."""

    def __init__(self, gated: bool) -> None:
        super().__init__()
        self.gated = gated
        self.A = torch.nn.Parameter(-torch.rand(6, 4))

    def forward(self, u: torch.Tensor, delta: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
        ones, zeros = torch.ones(6), torch.zeros(6)
        z = u if self.gated else None
        scanned: torch.Tensor = ops.selective_scan(
            u, delta, self.A, B, B, ones, zeros, z, False, [0, 1]
        )
        return scanned


@pytest.mark.parametrize("gated", [False, True])
def test_any_mamba_exports_with_the_translation_table(gated: bool, tmp_path: Path) -> None:
    network = Mamba(gated).eval()
    u, delta = torch.randn(2, 6, 11), torch.rand(2, 6, 11)
    B = torch.randn(2, 2, 4, 11)
    program = torch.onnx.export(
        network, (u, delta, B), dynamo=True, custom_translation_table=translation_table()
    )
    assert program is not None
    path = tmp_path / "mamba.onnx"
    program.save(path)
    onnx.checker.check_model(str(path), full_check=True)
    import onnxruntime as ort

    from pmexport import custom_op_library

    options = ort.SessionOptions()
    options.register_custom_ops_library(custom_op_library())
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    feeds = dict(zip(names, (u.numpy(), delta.numpy(), B.numpy()), strict=True))
    expected = reference.selective_scan(
        Operands(
            u, delta, network.A, B, B, torch.ones(6), u if gated else None, None, False, [0, 1]
        )
    )
    (y,) = session.run(None, feeds)
    assert largest(y, expected.detach().numpy()) < TOLERANCE
