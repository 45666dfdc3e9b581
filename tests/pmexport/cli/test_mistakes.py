"""What people get wrong with bench, inspect, doctor and regress: one line each, exit code 2."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

BENCH = ("bench", "tiny.onnx")
PREDICT = (*BENCH, "--predict", "thor")
REGRESS = ("regress", "tiny.pth.tr")

#: name -> (arguments, words that the line must hold)
MISTAKES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # bench: the model.
    "bench nothing": (("bench",), ("MODEL",)),
    "bench a file that is gone": (("bench", "gone.onnx"), ("gone.onnx", "does not exist")),
    "bench a folder": (("bench", "folder"), ("folder", "directory")),
    "bench text": (("bench", "text.onnx"), ("text.onnx",)),
    "bench a checkpoint": (("bench", "tiny.pth.tr"), ("tiny.pth.tr",)),
    "bench an engine without a sidecar": (("bench", "plan.engine"), ("plan.engine.json",)),
    "bench two models": (("bench", "tiny.onnx", "tiny.onnx"), ("tiny.onnx",)),
    # bench: its numbers.
    "no time": ((*BENCH, "--seconds", "0"), ("--seconds",)),
    "time of a word": ((*BENCH, "--seconds", "long"), ("'long'",)),
    "endless time": ((*BENCH, "--seconds", "inf"), ("inf",)),
    "no warm-up": ((*BENCH, "--warmup", "-1"), ("--warmup",)),
    "no runs": ((*BENCH, "--runs", "0"), ("--runs",)),
    "no clips": ((*BENCH, "--batch", "0"), ("--batch",)),
    "too many frames": ((*BENCH, "--frames", "28"), ("28", "27")),
    "half a frame": ((*BENCH, "--frames", "2.5"), ("2.5",)),
    "no threads": ((*BENCH, "--threads", "0"), ("--threads",)),
    # bench: runtimes.
    "runtime typo": ((*BENCH, "--runtime", "ort-gpu"), ("did you mean 'ort-cpu'",)),
    "engine runtime of a model": ((*BENCH, "--runtime", "tensorrt"), ("tensorrt", "pmexport trt")),
    "torch without weights": ((*BENCH, "--runtime", "torch"), ("--ckpt",)),
    "weights nobody reads": ((*BENCH, "--weights", "raw"), ("--weights", "torch")),
    "layers of PyTorch": (
        (*BENCH, "--runtime", "torch", "--ckpt", "tiny.pth.tr", "--layers"),
        ("--layers", "ort-cpu"),
    ),
    # bench: outputs and verdicts.
    "csv of another name": ((*BENCH, "--csv", "b.txt"), (".csv",)),
    "svg in no folder": ((*BENCH, "--svg", "no/b.svg"), ("no", "mkdir")),
    "markdown on a folder": ((*BENCH, "--markdown", "folder.md"), ("folder.md", "directory")),
    "json of another name": ((*BENCH, "--json", "b"), (".json",)),
    "gate typo": ((*BENCH, "--gate", "p59=3"), ("'p59' is no gate", "p95")),
    "gate without a limit": ((*BENCH, "--gate", "fps"), ("fps=12",)),
    "gate of a word": ((*BENCH, "--gate", "p95=fast"), ("'fast'",)),
    "compare with nothing": ((*BENCH, "--compare", "gone.json"), ("gone.json", "cannot be read")),
    "compare with text": ((*BENCH, "--compare", "text.onnx"), ("text.onnx", "no JSON")),
    "compare with another report": ((*BENCH, "--compare", "odd.json"), ("odd.json", "measure")),
    # bench --predict.
    "predict nowhere": ((*BENCH, "--predict", "xavier"), ("'xavier'", "orin-agx")),
    "predict and measure": ((*PREDICT, "--runs", "5"), ("--runs", "--predict")),
    "predict and compare": ((*PREDICT, "--compare", "odd.json"), ("--compare", "--predict")),
    "predict no model": (("bench", "--predict", "thor"), ("MODEL",)),
    # inspect.
    "inspect nothing": (("inspect",), ("FILE",)),
    "inspect what is gone": (("inspect", "gone.onnx"), ("gone.onnx", "does not exist")),
    "inspect text": (("inspect", "text.onnx"), ("text.onnx",)),
    "inspect text as weights": (("inspect", "text.pth"), ("text.pth",)),
    "inspect an engine alone": (("inspect", "plan.engine"), ("plan.engine.json",)),
    "inspect half a model in its own format": (("inspect", "cut.ort"), ("cut.ort",)),
    "inspect clips": (("inspect", "clips.npz"), ("poses_3d",)),
    "page over the file": (("inspect", "tiny.onnx", "--html", "tiny.onnx"), (".html",)),
    "page on a link to the file": (("inspect", "link.html", "--html", "link.html"), ("input",)),
    "page in no folder": (("inspect", "tiny.onnx", "--html", "no/p.html"), ("no", "mkdir")),
    "inspect with a typo": (("inspect", "tiny.onnx", "--jsno"), ("--json",)),
    # doctor.
    "doctor of something": (("doctor", "tiny.onnx"), ("tiny.onnx",)),
    "bundle of another name": (("doctor", "--bundle", "d.tar"), (".zip",)),
    "bundle in no folder": (("doctor", "--bundle", "no/d.zip"), ("no", "mkdir")),
    "bundle without a name": (("doctor", "--bundle"), ("--bundle",)),
    # regress.
    "regress nothing": (("regress",), ("CHECKPOINTS",)),
    "regress what is gone": (("regress", "gone.pth"), ("gone.pth",)),
    "regress a model": (("regress", "tiny.onnx"), ("tiny.onnx",)),
    "regress one twice": ((*REGRESS, "tiny.pth.tr"), ("tiny.pth.tr", "one name")),
    "regress engines": ((*REGRESS, "--runtime", "tensorrt"), ("tensorrt", "pmexport trt")),
    "regress in int8": ((*REGRESS, "--precision", "int8"), ("int8", "fp16")),
    "regress against a bench": ((*REGRESS, "--compare", "odd.json"), ("odd.json", "regress")),
    "regress against nothing": ((*REGRESS, "--compare", "gone.json"), ("cannot be read",)),
    "regress without time": ((*REGRESS, "--seconds", "nan"), ("--seconds",)),
    "regress onto a folder": ((*REGRESS, "--markdown", "folder.md"), ("directory",)),
    "no such command": (("benhc", "tiny.onnx"), ("did you mean 'bench'",)),
}


@pytest.fixture
def mess(here: Path) -> None:
    """Everything that is wrong in some way."""
    (here / "folder").mkdir()
    (here / "folder.md").mkdir()
    for name in ("text.onnx", "text.pth", "plan.engine"):
        (here / name).write_text("this is no model\n")
    (here / "odd.json").write_text(json.dumps({"schema": 1, "runtimes": {}}))
    (here / "cut.ort").write_bytes(b"\x18\0\0\0ORTM" + bytes(100))
    np.savez(here / "clips.npz", keypoints_2d=np.zeros((1, 5, 17, 2), np.float32))
    os.link(here / "tiny.onnx", here / "link.html")


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.usefixtures("mess")
def test_one_line(name: str, refused: Callable[..., None]) -> None:
    arguments, words = MISTAKES[name]
    refused(arguments, *words)


def test_there_are_enough_of_them() -> None:
    assert len(MISTAKES) >= 60
