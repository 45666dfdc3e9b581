"""``--tf32``: off unless asked for, told in every report, refused where it would change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from click.testing import CliRunner

from pmexport.cli.main import cli
from pmexport.runtimes.base import File, FloatArray, Lift, RuntimeOptions
from pmexport.runtimes.ort_cpu import OrtCpu
from pmexport.runtimes.registry import RUNTIMES

ERROR = 2**-13
"""A quarter of half a unit in the last place of TF32: what is left of many, on average."""


class CpuAsGpu(OrtCpu):
    """Stands in for a GPU: it has TF32 products, of which the last is rounded."""

    name: ClassVar[str] = "ort-cuda"

    def load(self, file: File) -> Lift:
        lift = super().load(file)
        factor = 1 + ERROR * self.options.tf32

        def rounded(keypoints_2d: FloatArray) -> FloatArray:
            poses_3d: FloatArray = (lift(keypoints_2d) * factor).astype(np.float32)
            return poses_3d

        return rounded


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What each load of ``ort-cuda`` was told."""
    told: list[bool] = []

    def make(options: RuntimeOptions) -> CpuAsGpu:
        told.append(options.tf32)
        return CpuAsGpu(options)

    monkeypatch.setitem(RUNTIMES, "ort-cuda", make)
    return told


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


CHECK = ("check", "tiny.onnx", "--ckpt", "tiny.pth.tr", "--runtime", "ort-cuda", "--json", "r.json")


def test_it_is_off_unless_asked_for(here: Path, gpu: list[bool]) -> None:
    output = run(*CHECK)
    assert set(gpu) == {False}
    assert "TF32" not in output
    report = json.loads((here / "r.json").read_text())
    assert report["tf32"] is False
    assert report["tolerances"] == {"max_abs": 1e-4, "mpjpe_mm": 0.01}


def test_check_shows_its_drift_under_its_own_bound(here: Path, gpu: list[bool]) -> None:
    output = run(*CHECK, "--tf32")
    assert set(gpu) == {True}
    assert "(fp32, TF32 products on the GPU)" in output.splitlines()[0]
    report = json.loads((here / "r.json").read_text())
    assert report["tf32"] is True
    assert report["tolerances"] == {"max_abs": 2e-2, "mpjpe_mm": 0.5}  # those of fp16
    assert 0.01 < report["runtimes"]["ort-cuda"]["mpjpe_mm"] < 0.5


def test_regress_has_a_row_for_each(here: Path, gpu: list[bool]) -> None:
    runtimes = ("--runtime", "ort-cpu", "--runtime", "ort-cuda")
    quick = ("--seconds", "0.05", "--threads", "1", "--frames", "3", "--json", "r.json")
    run("regress", "tiny.pth.tr", *runtimes, *quick, "--tf32")
    cells = json.loads((here / "r.json").read_text())["cells"]
    assert [(cell["precision"], cell["runtime"]) for cell in cells] == [
        ("fp32", "ort-cpu"), ("fp32", "ort-cuda"), ("tf32", "ort-cuda"),
        ("fp16", "ort-cpu"), ("fp16", "ort-cuda"),
    ]  # fmt: skip
    assert cells[1]["mpjpe_mm"] < 0.01 < cells[2]["mpjpe_mm"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "tiny.onnx", "--ckpt", "tiny.pth.tr"), ("ort-cuda or torch-cuda", "ort-cpu")),
        (("check", "half.onnx", "--ckpt", "tiny.pth.tr", "--runtime", "ort-cuda"), ("fp32 model",)),
        (("check", "tiny.onnx", "--ckpt", "tiny.pth.tr", "--load-outputs", "p.json"),
         ("--load-outputs",)),
        (("regress", "tiny.pth.tr"), ("ort-cuda or torch-cuda", "ort-cpu")),
        (("regress", "tiny.pth.tr", "--runtime", "ort-cuda", "--precision", "fp16"),
         ("fp32 model",)),
        (("bench", "tiny.onnx"), ("ort-cuda or torch-cuda", "ort-cpu")),
    ],
    ids=lambda value: " ".join(value),
)  # fmt: skip
def test_where_it_would_change_nothing_it_is_refused(
    arguments: tuple[str, ...],
    words: tuple[str, ...],
    here: Path,
    gpu: list[bool],
    refused: Callable[..., None],
) -> None:
    if "half.onnx" in arguments:
        run("onnx", "--ckpt", "tiny.pth.tr", "--fp16", "-o", "half.onnx", "--no-check")
    refused((*arguments, "--tf32"), "--tf32", *words)
