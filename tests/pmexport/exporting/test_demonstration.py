"""The bundled demonstration checkpoints: the files their cards measured, the same poses in ONNX."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from places import ROOT

from pmexport.exporting.export import export_onnx
from pmexport.format.options import ExportOptions
from pmexport.runtimes.ort_cpu import OrtCpu
from posemamba.checkpoint.bundled import demo_checkpoint
from posemamba.checkpoint.read import load_checkpoint

REPORTS = ROOT / "reports"
#: The project's promise for fp32: rounding of up to 4131 steps; 7e-7 is measured.
TOLERANCE = 2e-5


@pytest.mark.parametrize(("network", "frames"), [("S", 243), ("streaming", 81)])
def test_a_checkpoint_is_what_its_card_measured_and_exports(
    network: Literal["S", "streaming"], frames: int, tmp_path: Path
) -> None:
    path = demo_checkpoint(network)
    card = json.loads((REPORTS / f"demo_{network}" / "report.json").read_text())["model"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card["sha256"]
    assert path.stat().st_size < 8_000_000
    model = load_checkpoint(path).eval()
    assert model.config.frames == frames == card["frames"]
    keypoints = np.random.default_rng(frames).uniform(-1, 1, (1, frames, 17, 2)).astype(np.float32)
    with torch.no_grad():
        poses = model(torch.from_numpy(keypoints))
    assert poses.shape == (1, frames, 17, 3)
    assert poses.isfinite().all()
    export_onnx(model, tmp_path / "demo.onnx", ExportOptions())
    in_onnx = OrtCpu().load(tmp_path / "demo.onnx")(keypoints)
    assert np.abs(in_onnx - poses.numpy()).max() < TOLERANCE
