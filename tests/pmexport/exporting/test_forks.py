"""Exported networks of public forks give the outputs of their own code in ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fork_cases import CASES, FORKS, TOLERANCE

from pmexport.check.cases import with_channels
from pmexport.check.run import CheckRequest, run_check
from pmexport.exporting.export import export_onnx
from pmexport.exporting.request import ExportRequest, prepare_export, run_export
from pmexport.format.file import open_model
from pmexport.format.options import ExportOptions
from pmexport.passes.optimize import optimize_model
from pmexport.runtimes.base import RuntimeOptions
from pmexport.runtimes.registry import usable_runtime
from posemamba.checkpoint.read import load_checkpoint
from posemamba.errors import InputError

FUSED = ["official_4dir_2ch_v31d", "official_4dir_2ch_v32d", "official_4dir_2ch_selfsum_poselimbs",
         "official_4dir_2ch_v3"]  # fmt: skip
ALL = ["bfs_4dir_3ch_v2_bfs", "bfs_4dir_3ch_v2_bfs_first", "fused_8dir_2ch_v2_fused_bfs",
       "bones_4dir_5ch_v2_plus_poselimbs", "jointdelta_4dir_2ch_v2_plus_poselimbs"]  # fmt: skip


def error(name: str, options: ExportOptions, path: Path) -> float:
    """Largest difference of an export in ONNX Runtime from the fork's own output."""
    case = CASES[name]
    export_onnx(load_checkpoint(case.checkpoint, scan_order=case.scan), path, options)
    runtime = usable_runtime("ort-cpu", RuntimeOptions(precision=options.precision))
    golden = np.load(case.outputs)
    poses_3d = runtime.load(open_model(path))(golden["keypoints_2d"])
    return float(np.abs(poses_3d - golden["poses_3d"]).max())


@pytest.mark.parametrize("name", FUSED + ALL)
def test_fused_exports(name: str, tmp_path: Path) -> None:
    assert error(name, ExportOptions(), tmp_path / "m.onnx") < TOLERANCE


@pytest.mark.parametrize("name", ALL)
def test_exports_without_our_operators(name: str, tmp_path: Path) -> None:
    assert error(name, ExportOptions(ops="standard"), tmp_path / "m.onnx") < TOLERANCE


@pytest.mark.parametrize("name", ALL)
def test_half_precision_exports(name: str, tmp_path: Path) -> None:
    # Poses are about 1, up to 4: 2e-2 is ten roundings of float16; another scan is 0.6 away.
    assert error(name, ExportOptions(precision="fp16"), tmp_path / "m.onnx") < 2e-2


def test_a_network_with_a_confidence_is_checked_with_one(tmp_path: Path) -> None:
    checkpoint, path = FORKS / "bfs_4dir_3ch.pth.tr", tmp_path / "m.onnx"
    request = ExportRequest(checkpoint, None, "v2_bfs_first", ExportOptions(), path)
    run_export(prepare_export(request))
    model = open_model(path)
    assert model.channels == 3
    assert model.metadata["scan_order"] == "bfs-first"
    assert model.metadata["config"]["channels"] == 3
    report = run_check(CheckRequest(path, checkpoint))
    assert report.passed, json.dumps(report.to_dict(), default=str)


def test_made_up_confidences_keep_x_and_y() -> None:
    clip = np.zeros((4, 17, 2), np.float32)
    assert with_channels(clip, 2).shape == (4, 17, 2)
    wide = with_channels(clip, 4)
    assert not wide[..., :2].any()
    assert 0.3 <= wide[..., 2:].min() < wide[..., 2:].max() <= 1.0


def test_the_rewrite_for_cuda_takes_one_scan_a_block(tmp_path: Path) -> None:
    case = CASES["bfs_4dir_3ch_v2_bfs"]
    export_onnx(load_checkpoint(case.checkpoint, scan_order="bfs"), tmp_path / "bfs.onnx")
    assert optimize_model(tmp_path / "bfs.onnx").fusion == "composed"
    gated = load_checkpoint(FORKS / "fused_8dir_2ch.pth.tr")
    export_onnx(gated, tmp_path / "gated.onnx")
    with pytest.raises(InputError, match="sum several scans"):
        optimize_model(tmp_path / "gated.onnx")
