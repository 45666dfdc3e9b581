"""``fp16-sums`` in engines, with a TensorRT that builds nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pmexport.cli.main import cli
from pmexport.engine.file import open_engine
from pmexport.engine.sidecar import schema_problem

CKPT = ("--ckpt", "inputs/tiny.pth.tr")
NAME = "tiny.fp16-sums"


@pytest.fixture
def built(fake: Path, here: Path, trt: Callable[..., Result]) -> str:
    """What the build of an engine said."""
    return trt(*CKPT, "--precision", "fp16-sums", "--no-cache", "--no-check").stdout


def test_the_engine_says_so(built: str, here: Path) -> None:
    assert "Precision: fp16-sums asked, fp16-sums got" in built.splitlines()
    assert "the scan's sums over its states may be fp16" in built
    sidecar = json.loads(Path(f"{NAME}.engine.json").read_text())
    assert schema_problem(sidecar) is None
    engine = open_engine(Path(f"{NAME}.engine"))
    assert engine.precision == engine.summary()["precision"] == "fp16-sums"


def test_an_fp16_model_is_no_such_engine_and_the_reverse(
    fake: Path, here: Path, trt: Callable[..., Result]
) -> None:
    said = trt("--onnx", "tiny.fp16.onnx", "--precision", "fp16-sums", code=2).output
    assert "--precision fp16-sums: 'tiny.fp16.onnx' is fp16, and TensorRT builds" in said
    export = ["onnx", *CKPT, "--precision", "fp16-sums", "--no-check"]
    assert CliRunner().invoke(cli, export).exit_code == 0
    said = trt("--onnx", f"{NAME}.onnx", "--fp16", code=2).output
    assert f"--precision fp16: '{NAME}.onnx' is fp16-sums" in said
