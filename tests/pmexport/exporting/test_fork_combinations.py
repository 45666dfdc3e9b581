"""What public forks add, in combinations: exported, in ONNX Runtime, against a float64 oracle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fork_networks import COMBINATIONS

from pmexport.exporting.export import export_onnx
from pmexport.format.file import open_model
from pmexport.format.options import ExportOptions
from pmexport.runtimes.base import RuntimeOptions
from pmexport.runtimes.registry import usable_runtime

#: fp16 as in ``test_forks``: ten roundings of poses up to 4.
ROWS = {
    "fused": ("step bias, v2_bfs", ExportOptions(), 1e-4),
    "generic": ("repeats, omissions and resets", ExportOptions(ops="generic"), 1e-4),
    "standard": ("resets, not put back, gated", ExportOptions(ops="standard"), 1e-4),
    "fp16": ("bones and a step bias", ExportOptions(precision="fp16"), 2e-2),
}


@pytest.mark.parametrize("name", ROWS)
def test_exports_compute_it(name: str, tmp_path: Path) -> None:
    combination, options, tolerance = ROWS[name]
    case = COMBINATIONS[combination]
    model = case.network()
    export_onnx(model, tmp_path / "m.onnx", options)
    runtime = usable_runtime("ort-cpu", RuntimeOptions(precision=options.precision))
    poses_3d = runtime.load(open_model(tmp_path / "m.onnx"))(case.keypoints().numpy())
    assert np.abs(poses_3d - case.expected(model).numpy()).max() < tolerance
