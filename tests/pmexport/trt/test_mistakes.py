"""Mistakes of people who check, export and build: one line each, exit code 2, nothing written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pmexport.cli.main import cli

CKPT = ("--ckpt", "inputs/tiny.pth.tr")
MODEL, HALF = "tiny.fp32.onnx", "tiny.fp16.onnx"
BISECT = ("check", HALF, *CKPT, "--bisect")
POSES = {"keypoints_2d": (1, 9, 17, 2), "poses_3d": (1, 9, 17, 3)}

#: File -> what it holds: text, or the shapes of the arrays of an .npz.
FILES: dict[str, str | dict[str, tuple[int, ...]]] = {
    "notes.txt": "not ours",
    "keep.list": "keep_fp32: [STEblocks.0.mlp]\n",
    "empty.yaml": "",
    "broken.yaml": "keep_fp32: [",
    "number.yaml": "keep_fp32: 3\n",
    "none.yaml": "keep_fp32: []\n",
    "numbers.yaml": "keep_fp32: [1, 2]\n",
    "twice.yaml": "keep_fp32: [head, head]\n",
    "lists.yaml": "keep_fp32: [head]\nkeep_fp32: [other]\n",
    "other.yaml": "keep: [head]\n",
    "more.yaml": "keep_fp32: [head]\nversion: 2\n",
    "unknown.yaml": "keep_fp32: [STEblocks.9.mlp]\n",
    "good.yaml": "keep_fp32: [STEblocks.0.mlp]\n",
    "text.npz": "no archive",
    "half.npz": {"keypoints_2d": (1, 9, 17, 2)},
    "joints.npz": {"keypoints_2d": (1, 9, 16, 2), "poses_3d": (1, 9, 16, 3)},
    "frames.npz": {"keypoints_2d": (1, 9, 17, 2), "poses_3d": (1, 8, 17, 3)},
    "long.npz": {"keypoints_2d": (1, 28, 17, 2), "poses_3d": (1, 28, 17, 3)},
    "video.npz": {"x": (1, 9, 17, 2), "y": (1, 9, 17, 3)},
    "good.npz": POSES,
}

#: Arguments -> pieces of the line.
MISTAKES: dict[tuple[str, ...], tuple[str, ...]] = {
    # What to check, and against what.
    ("check", MODEL): ("give --ckpt C, or --reference R.npz",),
    ("check", "missing.onnx", *CKPT): ("'missing.onnx' does not exist",),
    ("check", "missing.engine", *CKPT): ("'missing.engine' does not exist: build it",),
    ("check", "inputs", *CKPT): ("'inputs' is a directory",),
    ("check", "notes.txt", *CKPT): ("'notes.txt' is not an ONNX model",),
    ("check", "inputs/tiny.pth.tr", *CKPT): ("is not an ONNX model",),
    ("check", MODEL, "--ckpt", "missing.pth"): ("missing.pth", "no such"),
    ("check", MODEL, "--ckpt", "notes.txt"): ("notes.txt",),
    ("check", MODEL, *CKPT, "--runtime", "tensorrt"): ("runs engines", "'pmexport trt --onnx"),
    ("check", MODEL, *CKPT, "--runtime", "tensorrt-rtx"): ("runs engines",),
    ("check", MODEL, *CKPT, "--runtime", "tensort"): ("did you mean 'tensorrt'",),
    ("check", MODEL, "--reference", "good.npz", "--runtime", "torch"): ("give it with --ckpt",),
    ("check", MODEL, *CKPT, "--reference", "good.npz"): ("--ckpt", "leave it out"),
    ("check", MODEL, *CKPT, "--atol", "0"): ("--atol", "above zero"),
    ("check", MODEL, *CKPT, "--mpjpe-mm", "nan"): ("--mpjpe-mm",),
    ("check", MODEL, *CKPT, "--threads", "0"): ("--threads",),
    ("check", MODEL, *CKPT, "--json", "r.txt"): ("'r.txt' must end in '.json'",),
    ("check", MODEL, *CKPT, "--json", "no/r.json"): ("'no' does not exist",),
    ("check", MODEL, *CKPT, "--report", "r.htm"): ("'r.htm' must end in '.html'",),
    ("check", MODEL, *CKPT, "--report", "no/r.html"): ("'no' does not exist",),
    ("check", MODEL, *CKPT, "--report", "inputs"): ("is a directory",),
    # References.
    ("check", MODEL, "--reference", "missing.npz"): ("missing.npz", "no such file"),
    ("check", MODEL, "--reference", "inputs"): ("a directory",),
    ("check", MODEL, "--reference", "text.npz"): ("not an .npz file",),
    ("check", MODEL, "--reference", "half.npz"): ("no array 'poses_3d'",),
    ("check", MODEL, "--reference", "video.npz"): ("no array 'keypoints_2d'", "it has 'x', 'y'"),
    ("check", MODEL, "--reference", "joints.npz"): ("'keypoints_2d' is (1, 9, 16, 2)",),
    ("check", MODEL, "--reference", "frames.npz"): ("must be the same but for the last axis",),
    ("check", MODEL, "--reference", "long.npz"): ("has 28 frames, the model takes at most 27",),
    ("check", MODEL, "--reference", ""): ("the name is empty",),
    ("check", MODEL, "--reference", "inputs/tiny.pth.tr"): ("a checkpoint of PyTorch", "--ckpt"),
    ("check", MODEL, "--reference", "pipe"): ("pipe: is a pipe or a device",),
    ("check", MODEL, *CKPT, "--json", "a.json", "--save-inputs", "./a.json"): ("name two files",),
    ("check", HALF, *CKPT, "--json", "a.json", "--keep-to", "a.json"): ("name two files",),
    # Bisection.
    ("check", MODEL, "--reference", "good.npz", "--bisect"): ("--bisect looks into", "--ckpt"),
    ("check", MODEL, *CKPT, "--max-drift-mm", "1"): ("--max-drift-mm", "add --bisect"),
    ("check", MODEL, *CKPT, "--bisect", "--max-drift-mm", "1"): ("is fp32", "for fp16"),
    ("check", HALF, *CKPT, "--keep-to", "k.yaml"): ("--keep-to", "--max-drift-mm"),
    (*BISECT, "--max-drift-mm", "-1"): ("--max-drift-mm", "above zero"),
    (*BISECT, "--max-drift-mm", "1", "--keep-to", "notes.txt"): ("no keep list", "--keep-to"),
    (*BISECT, "--max-drift-mm", "1", "--keep-to", HALF): ("is the input",),
    (*BISECT, "--max-drift-mm", "1", "--keep-to", "no/k.yaml"): ("'no' does not exist",),
    (*BISECT, "--runtime", "torch-cuda"): ("'torch-cuda' shows nothing inside", "ort-cpu"),
    # Engines.
    ("check", "e.engine", *CKPT, "--runtime", "ort-cpu"): ("is an engine", "--runtime tensorrt"),
    ("check", "e.engine", *CKPT, "--runtime", "tensorrt-rtx"): ("was built by tensorrt",),
    ("check", "e.engine", *CKPT, "--bisect"): ("shows nothing inside", "tiny.fp32.onnx"),
    ("check", "e.engine"): ("give --ckpt C",),
    ("bench", "e.engine", "--runtime", "ort-cpu"): ("is an engine", "--runtime tensorrt"),
    ("bench", MODEL, "--runtime", "tensorrt"): ("runs engines",),
    ("optimize", "e.engine"): ("is a TensorRT engine",),
    # Keep lists.
    ("onnx", *CKPT, "--keep", "good.yaml", "-o", "n.onnx"): ("--keep", "add --fp16"),
    **{
        ("onnx", *CKPT, "--fp16", "-o", "n.onnx", "--keep", name): (name, piece)
        for name, piece in {
            "missing.yaml": "no such file", "inputs": "a directory", "empty.yaml": "a list",
            "broken.yaml": "not YAML", "number.yaml": "a list", "none.yaml": "not empty",
            "pipe": "is a pipe or a device",
            "numbers.yaml": "entry '1' is no module path", "twice.yaml": "'head' twice",
            "lists.yaml": "it has 'keep_fp32' twice",
            "other.yaml": "it has 'keep'", "more.yaml": "it has 'version'",
        }.items()
    },
    ("trt", "--onnx", HALF, "--keep", "good.yaml"): ("--keep", "leave it out, or build from"),
    ("trt", *CKPT, "--fp32", "--keep", "good.yaml", "-o", "n.engine"): ("--keep", "add --fp16"),
    ("trt", *CKPT, "--onnx", HALF): ("give --ckpt or --onnx, one of them",),
    ("trt", "--onnx", "e.engine"): ("is a TensorRT engine",),
    ("trt", "--onnx", HALF, "-o", "n.plan"): ("n.plan", ".engine"),
}  # fmt: skip


@pytest.fixture
def files(engine: Path, here: Path) -> Path:
    """The models, an engine, and a file for every mistake."""
    for name, held in FILES.items():
        if isinstance(held, str):
            Path(name).write_text(held)
        else:
            np.savez(name, **{key: np.zeros(shape, np.float32) for key, shape in held.items()})
    os.mkfifo("pipe")
    return here


def names(folder: Path) -> set[str]:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {name for name in found if not name.startswith("xdg")}  # where onnxruntime keeps notes


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_is_one_line(files: Path, arguments: tuple[str, ...]) -> None:
    before = names(files)
    done: Result = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2, done.output
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith("Error: "), done.stderr
    # Only click's own complaints about an option begin with the usage.
    assert len(lines) == 1 or lines[0].startswith("Usage: "), done.stderr
    for piece in MISTAKES[arguments]:
        assert piece in lines[-1]
    assert names(files) == before


def test_an_unknown_module_is_told_before_the_file_is_written(files: Path) -> None:
    """Names are known once the graph is there; what was written before stays."""
    arguments = ["onnx", *CKPT, "--fp16", "-o", "n.onnx", "--keep", "unknown.yaml"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2, done.output
    assert "no module of this network is 'STEblocks.9.mlp'" in done.stderr
    assert not Path("n.onnx").exists()


def test_there_are_many() -> None:
    assert len(MISTAKES) >= 55
    assert json.dumps([list(key) for key in MISTAKES]).count("check") >= 30
