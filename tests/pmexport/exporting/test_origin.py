"""Files are named after their checkpoint, keep to it, and say where its scan order is a guess."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from pmexport.cli.main import cli
from pmexport.exporting.request import default_name
from pmexport.format.file import open_model
from pmexport.format.metadata import order_is_guessed
from posemamba.checkpoint import read_checkpoint

SIZES = ("--frames", "1", "--batch", "400")  # every frame of every clip in one run


def pmexport(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == code, done.output
    return done.stdout


@pytest.mark.parametrize(
    ("checkpoint", "stem"),
    [
        ("best_epoch.pth.tr", "best_epoch"),
        ("runs/7/L.pth", "L"),
        ("epoch.10.v2.bin", "epoch.10.v2"),
        ("model.safetensors.index.json", "model"),
        ("weights.tar.gz", "weights"),
        ("PoseMamba_L.PTH.TR", "PoseMamba_L"),
        ("folder", "folder"),
        (".pth", "model"),
        ("demo", "demo"),
        ("demo-streaming", "demo-streaming"),
    ],
)
def test_default_name(checkpoint: str, stem: str) -> None:
    assert default_name(Path(checkpoint), "fp32") == f"{stem}.fp32.onnx"


def test_demo_by_name(here: Path) -> None:
    pmexport("onnx", "--ckpt", "demo-streaming", "--no-check")
    assert (here / "demo-streaming.fp32.onnx").is_file()
    target = ("--backend", "tensorrt-rtx", "--target", "sm86", "--dry-run")
    lines = pmexport("trt", "--ckpt", "demo", "--fp16", *target).splitlines()
    assert lines[0] == "pmexport onnx --ckpt demo --precision fp16 -o demo.fp16.onnx"
    assert lines[1] == "pmexport optimize demo.fp16.onnx -o demo.fp16.cuda.onnx"
    assert "demo.fp16.engine" in lines[2]


def test_another_checkpoints_export_stays(here: Path, refused: Callable[..., None]) -> None:
    """Same name, other weights: as when a run is repeated in another folder."""
    pmexport("onnx", "--ckpt", "tiny.pth.tr", "--no-check")
    pmexport("onnx", "--ckpt", "tiny.pth.tr", "--no-check", "--batch", "2")  # its own: replaced
    assert open_model(Path("tiny.fp32.onnx")).batch == 2
    (here / "again").mkdir()
    content = torch.load(here / "tiny.pth.tr", weights_only=False)
    content["model_pos"]["module.head.1.bias"] += 1
    torch.save(content, here / "again" / "tiny.pth.tr")
    other = ("onnx", "--ckpt", "again/tiny.pth.tr", "--no-check")
    refused(other, "tiny.fp32.onnx: came from other weights: 'tiny.pth.tr'", "-o")
    output = pmexport(*other, "-o", "tiny.fp32.onnx")
    assert "'tiny.fp32.onnx' came from other weights" in output
    (here / "tiny.fp32.onnx").write_text("notes")
    refused(other, "tiny.fp32.onnx", "-o")


@pytest.fixture
def both(here: Path) -> dict[str, torch.Tensor]:
    """``both.pth`` with an averaged set beside the raw one, which differs by the head's bias."""
    averaged = dict(read_checkpoint(here / "tiny.pth.tr").state)
    raw = {**averaged, "head.1.bias": averaged["head.1.bias"] + 1}
    torch.save({"model": raw, "model_ema": averaged}, here / "both.pth")
    return raw


def test_weights_are_chosen_and_kept(here: Path, both: dict[str, torch.Tensor]) -> None:
    output = pmexport("onnx", "--ckpt", "both.pth", "--weights", "raw", *SIZES)
    assert "Check: passed" in output
    model = open_model(here / "both.fp32.onnx")
    assert model.metadata["weights"] == "raw"
    assert "Check: passed" in pmexport("check", "both.fp32.onnx", "--ckpt", "both.pth")
    averaged = ("--ckpt", "both.pth", "--weights", "averaged")
    assert "Check: FAILED" in pmexport("check", "both.fp32.onnx", *averaged, code=1)
    bench = ("bench", "both.fp32.onnx", "--seconds", "0.01", "--warmup", "0.01")
    pmexport(*bench, "--runtime", "torch", *averaged)


def test_weights_that_are_not_there(
    both: dict[str, torch.Tensor], refused: Callable[..., None]
) -> None:
    refused(("onnx", "--ckpt", "both.pth", "--weights", "swa", "-o", "m.onnx"), "'swa'", "'model'")
    refused(("bench", "tiny.onnx", "--weights", "raw"), "--weights raw", "torch")
    refused(("trt", "--onnx", "tiny.onnx", "--weights", "raw", "--dry-run"), "--weights raw")


def test_exports_of_one_file_keep_its_sets_apart(both: dict[str, torch.Tensor]) -> None:
    pmexport("onnx", "--ckpt", "both.pth", "--weights", "raw", "--no-check")
    done = CliRunner().invoke(cli, ["onnx", "--ckpt", "both.pth", "--no-check"])
    assert done.exit_code == 2
    *choice, line = done.stderr.splitlines()
    assert line.startswith("Error: both.fp32.onnx: ")
    assert "'raw'" in line
    assert all("--weights chooses another" in said for said in choice)


def test_a_guessed_scan_order_is_said(here: Path) -> None:
    assert read_checkpoint(here / "tiny.pth.tr").scan_order_guessed
    output = pmexport("onnx", "--ckpt", "tiny.pth.tr", *SIZES, "-o", "guess.onnx")
    (line,) = [line for line in output.splitlines() if line.startswith("WARNING")]
    for words in ("scan order global-local is a guess", "parity", "guess.onnx --reference"):
        assert words in line
    assert order_is_guessed(open_model(here / "guess.onnx").metadata)
    assert "WARNING" in pmexport("check", "guess.onnx", "--ckpt", "tiny.pth.tr")
    told = ("--ckpt", "tiny.pth.tr", "--scan-order", "global-local")
    assert "WARNING" not in pmexport("check", "guess.onnx", *told)
    assert "WARNING" not in pmexport("onnx", *told, "--no-check", "-o", "told.onnx")
    shutil.copy(here / "tiny.pth.tr", here / "fs_ft.pth.tr")
    assert "WARNING" not in pmexport("onnx", "--ckpt", "fs_ft.pth.tr", "--no-check")
