"""What the tests of the runtime share: an exported model, and the poses PyTorch gives for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_cases import CHECKPOINT

from pmexport.exporting.export import ExportOptions, export_onnx
from posemamba import load_checkpoint


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network: up to 27 frames, any batch."""
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    export_onnx(load_checkpoint(CHECKPOINT), path, ExportOptions())
    return path
