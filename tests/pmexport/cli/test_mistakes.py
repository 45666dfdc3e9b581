"""What people get wrong with bench, inspect, doctor and regress: one line each, exit code 2."""

from __future__ import annotations

import json
import os
import platform
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
    "bench a pipe": (("bench", "pipe.onnx"), ("'pipe.onnx' is a pipe or a device",)),
    "bench a link to nowhere": (("bench", "dangling.onnx"), ("'gone.onnx', which leads nowhere",)),
    "bench a link to itself": (("bench", "loop.onnx"), ("'loop.onnx', which leads nowhere",)),
    "bench a plan by a model's name": (("bench", "plan.onnx"), ("it is a TensorRT engine",)),
    "bench a picture": (("bench", "picture.onnx"), ("it is a PNG picture",)),
    "bench a web page": (("bench", "page.onnx"), ("it is a web page",)),
    "bench an archive": (("bench", "clips.npz"), ("it is a zip archive",)),
    "bench a model by an engine's name": (
        ("bench", "renamed.engine"),
        ("is no TensorRT plan, it is an ONNX model",),
    ),
    "bench no name": (("bench", ""), ("the name is empty",)),
    "bench two models": (("bench", "tiny.onnx", "tiny.onnx"), ("tiny.onnx",)),
    # bench: its numbers.
    "no time": ((*BENCH, "--seconds", "0"), ("--seconds",)),
    "time of a word": ((*BENCH, "--seconds", "long"), ("'long'",)),
    "endless time": ((*BENCH, "--seconds", "inf"), ("inf",)),
    "no warm-up": ((*BENCH, "--warmup", "-1"), ("--warmup",)),
    "no runs": ((*BENCH, "--runs", "0"), ("--runs",)),
    "no clips": ((*BENCH, "--batch", "0"), ("--batch",)),
    "more clips than memory": (
        (*BENCH, "--batch", "2000000"),
        ("--batch 2000000", "GB of memory", "smaller --batch"),
    ),
    "more clips than the kernels count": ((*BENCH, "--batch", "9" * 20), ("at most 63161283",)),
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
    "compare with a pipe": ((*BENCH, "--compare", "pipe.json"), ("pipe.json", "pipe or a device")),
    "compare with a folder": ((*BENCH, "--compare", "folder"), ("folder", "is a directory")),
    "compare with other sizes": (
        (*BENCH, "--compare", "old.json"),
        ("at batch 2, frames 9, this at batch 1, frames 27",),
    ),
    "compare with other runtimes": (
        (*BENCH, "--batch", "2", "--frames", "9", "--compare", "old.json"),
        ("ort-cuda",),
    ),
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
    "inspect a pipe": (("inspect", "pipe.onnx"), ("'pipe.onnx' is a pipe or a device",)),
    "inspect a pipe as a reference": (("inspect", "pipe.npz"), ("is a pipe or a device",)),
    "inspect a pipe as an engine": (("inspect", "pipe.engine"), ("is a pipe or a device",)),
    "inspect a device": (("inspect", "/dev/zero"), ("'/dev/zero' is a pipe or a device",)),
    "inspect a link to nowhere": (("inspect", "dangling.onnx"), ("which leads nowhere",)),
    "inspect a report": (("inspect", "odd.json"), ("is a JSON text", "checkpoints")),
    "inspect a list": (("inspect", "keep.yaml"), ("is text", "checkpoints")),
    "inspect no name": (("inspect", ""), ("the name is empty",)),
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
    "regress too many frames": ((*REGRESS, "--frames", "28"), ("28", "tiny.pth.tr", "1 to 27")),
    "regress against a pipe": ((*REGRESS, "--compare", "pipe.json"), ("pipe or a device",)),
    "regress no name": (("regress", ""), ("the name is empty",)),
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
    for name in ("pipe.onnx", "pipe.json", "pipe.npz", "pipe.engine"):
        os.mkfifo(here / name)
    for name, target in (("dangling.onnx", "gone.onnx"), ("loop.onnx", "loop.onnx")):
        (here / name).symlink_to(target)
    (here / "renamed.engine").write_bytes((here / "tiny.onnx").read_bytes())
    (here / "plan.onnx").write_bytes(b"ftrt" + bytes(99))
    (here / "picture.onnx").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    (here / "page.onnx").write_text("<!doctype html><title>404</title>")
    (here / "keep.yaml").write_text("keep_fp32: [head]\n")
    total = {"median": 2.0, "best": 2.0, "mad": 0.0}
    old = {
        "shape": {"batch": 2, "frames": 9, "joints": 17},
        "runtimes": {"ort-cuda": {"runs": 9, "total": total, "best_spread_ms": 0.0}},
        "environment": {"machine": platform.machine(), "gpu": None},
    }
    (here / "old.json").write_text(json.dumps(old))


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.usefixtures("mess")
def test_one_line(name: str, refused: Callable[..., None]) -> None:
    arguments, words = MISTAKES[name]
    refused(arguments, *words)


def test_there_are_enough_of_them() -> None:
    assert len(MISTAKES) >= 80
