"""The limit on a checkpoint's sizes is that on the ONNX model exported from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmexport.exporting.export import ExportOptions, export_onnx
from pmexport.format.limits import MAX_ELEMENTS, check_elements
from pmexport.trt.macs import concrete_shapes, largest_tensor
from pmexport.trt.source import read_source
from posemamba import InputError, PoseMamba, PoseMambaConfig


@pytest.mark.parametrize(
    "config",
    [
        PoseMambaConfig(d_model=16, depth=1, frames=9),  # x_proj of all directions is widest
        PoseMambaConfig(d_model=64, depth=1, frames=9, mlp_ratio=4),  # the MLP
        PoseMambaConfig(d_model=64, depth=1, frames=9, expand=4),  # the scanned
    ],
    ids=["projections", "mlp", "scan"],
)
def test_the_widest_tensor_is_the_models(config: PoseMambaConfig, tmp_path: Path) -> None:
    path = tmp_path / "M.onnx"
    export_onnx(PoseMamba(config), path, ExportOptions())
    source = read_source(path)
    _, elements = largest_tensor(source, concrete_shapes(source, {"batch": 1, "frames": 9}))
    most = MAX_ELEMENTS // elements
    check_elements(config, most, 9)
    with pytest.raises(InputError, match=rf"--batch {most + 1} .*use a smaller --batch"):
        check_elements(config, most + 1, 9)
    with pytest.raises(InputError, match="use a smaller --batch"):
        export_onnx(PoseMamba(config), path, ExportOptions(batch=10**9))
