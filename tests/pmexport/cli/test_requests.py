"""Wrong requests and inputs: one line on stderr, exit code 2, nothing written."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from places import TINY as GOLDEN

from pmexport.cli.main import cli as pmexport
from posemamba.cli.main import cli as posemamba

CKPT = ("--ckpt", "tiny.pth.tr")


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, models exported from it, and every kind of broken file."""
    folder = tmp_path_factory.mktemp("requests")
    here = Path.cwd()
    os.chdir(folder)
    try:
        make_files(folder)
    finally:
        os.chdir(here)
    return folder


def make_files(folder: Path) -> None:
    shutil.copy(GOLDEN, folder / "tiny.pth.tr")
    for name, options in (("tiny", ()), ("standard", ("--ops", "standard"))):
        arguments = ["onnx", *CKPT, *options, "-o", f"{name}.onnx", "--no-check"]
        done = CliRunner().invoke(pmexport, arguments)
        assert done.exit_code == 0, done.output
    whole = (folder / "tiny.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "text.onnx").write_text("this is no model\n")
    (folder / "folder.onnx").mkdir()
    (folder / "readonly").write_text("a file, not a folder")
    foreign_models(folder)
    checkpoints(folder)
    clips(folder)


def foreign_models(folder: Path) -> None:
    model = onnx.load(folder / "tiny.onnx")
    scan = next(node for node in model.graph.node if node.domain == "posemamba")
    scan.op_type = "CrossSelectiveScanOfTomorrow"
    onnx.save(model, folder / "newer.onnx")
    model = onnx.load(folder / "standard.onnx")
    del model.metadata_props[:]
    onnx.save(model, folder / "anonymous.onnx")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["image"], ["features"])],
        "foreign",
        [value("image", onnx.TensorProto.FLOAT, [1, 3])],
        [value("features", onnx.TensorProto.FLOAT, [1, 3])],
    )
    opsets = [onnx.helper.make_opsetid("", 20)]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "foreign.onnx"
    )


def checkpoints(folder: Path) -> None:
    content = torch.load(GOLDEN, weights_only=False)
    key = next(name for name in content["model_pos"] if name.endswith("x_proj_weight"))
    content["model_pos"][key] = content["model_pos"][key] * 1.5
    torch.save(content, folder / "other.pth.tr")
    content["model_pos"][key] = content["model_pos"][key] * float("nan")
    torch.save(content, folder / "nan.pth.tr")
    (folder / "cut.pth.tr").write_bytes(GOLDEN.read_bytes()[:5000])
    (folder / "weights").mkdir()
    (folder / "text.pth").write_text("epoch 1\n")
    evil = io.BytesIO()
    pickle.dump({"model_pos": Evil(folder / "ran")}, evil)
    (folder / "evil.bin").write_bytes(evil.getvalue())


class Evil:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.path,)


def clips(folder: Path) -> None:
    good = np.zeros((30, 17, 2), np.float32)
    nan = good.copy()
    nan[3, 4, 0] = np.nan
    for name, array in (
        ("joints", good[:, :16]),
        ("nan", nan),
        ("none", good[:0]),
        ("pixels", good + 512.0),
        ("flat", good[0]),
        ("xyc", np.zeros((30, 17, 3), np.float32)),
        ("objects", np.array([{"a": 1}], dtype=object)),
        ("words", np.full((30, 17, 2), "x")),
    ):
        np.savez(folder / f"{name}.npz", keypoints_2d=array)
    np.savez(folder / "nothing.npz")
    (folder / "text.npz").write_text("no arrays\n")
    (folder / "cut.npz").write_bytes((folder / "nan.npz").read_bytes()[:200])
    with zipfile.ZipFile(folder / "zip.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")


EXPORT = ("onnx", *CKPT, "-o", "new.onnx")
CHECK = ("check", "tiny.onnx", *CKPT)
BENCH = ("bench", "tiny.onnx")

#: name -> (arguments, words the line must hold)
REQUESTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # Options of pmexport onnx.
    "no command": (("onxn",), ("did you mean 'onnx'",)),
    "no option": ((*EXPORT, "--presicion", "fp16"), ("--precision",)),
    "no ckpt": (("onnx", "-o", "new.onnx"), ("--ckpt",)),
    "ckpt without value": (("onnx", "--ckpt"), ("--ckpt",)),
    "stray argument": ((*EXPORT, "stray"), ("stray",)),
    "precision typo": ((*EXPORT, "--precision", "fp61"), ("did you mean 'fp16'",)),
    "precision nonsense": ((*EXPORT, "--precision", "int8"), ("int8", "fp32, fp16")),
    "ops typo": ((*EXPORT, "--ops", "fusde"), ("did you mean 'fused'",)),
    "ops nonsense": ((*EXPORT, "--ops", "tensor"), ("--ops", "tensor")),
    "variant typo": ((*EXPORT, "--variant", "XL"), ("--variant", "XL")),
    "variant of another size": ((*EXPORT, "--variant", "L"), ("custom", "L")),
    "scan order typo": ((*EXPORT, "--scan-order", "bidirectoinal"), ("'bidirectional'",)),
    "frames of a word": ((*EXPORT, "--frames", "dynamc"), ("did you mean 'dynamic'",)),
    "frames 244": ((*EXPORT, "--frames", "244"), ("244", "243")),
    "frames beyond the checkpoint": ((*EXPORT, "--frames", "28"), ("28", "27")),
    "frames 0": ((*EXPORT, "--frames", "0"), ("--frames", "0")),
    "frames negative": ((*EXPORT, "--frames", "-1"), ("--frames", "-1")),
    "frames fraction": ((*EXPORT, "--frames", "27.5"), ("27.5",)),
    "batch 0": ((*EXPORT, "--batch", "0"), ("--batch", "0")),
    "batch of a word": ((*EXPORT, "--batch", "many"), ("--batch", "many")),
    "opset 5": ((*EXPORT, "--opset", "5"), ("5",)),
    "opset 99": ((*EXPORT, "--opset", "99"), ("99",)),
    "opset of a word": ((*EXPORT, "--opset", "new"), ("--opset", "new")),
    # Outputs.
    "output is a folder": (("onnx", *CKPT, "-o", "folder.onnx"), ("folder.onnx", "directory")),
    "output folder missing": (("onnx", *CKPT, "-o", "no/new.onnx"), ("no", "mkdir")),
    "output folder is a file": (("onnx", *CKPT, "-o", "readonly/new.onnx"), ("readonly",)),
    "output in proc": (("onnx", *CKPT, "-o", "/proc/new.onnx"), ("/proc",)),
    "output is a device": (("onnx", *CKPT, "-o", "/dev/full"), ("/dev/full",)),
    "output of another kind": (("onnx", *CKPT, "-o", "new.engine"), ("new.engine", ".onnx")),
    "output is the checkpoint": (("onnx", "--ckpt", "tiny.onnx", "-o", "tiny.onnx"), ("input",)),
    # Checkpoints.
    "ckpt missing": (("onnx", "--ckpt", "tiny.pth", "-o", "new.onnx"), ("tiny.pth",)),
    "ckpt is an ONNX": (("onnx", "--ckpt", "tiny.onnx", "-o", "new.onnx"), ("tiny.onnx",)),
    "ckpt is text": (("onnx", "--ckpt", "text.pth", "-o", "new.onnx"), ("text.pth",)),
    "ckpt truncated": (("onnx", "--ckpt", "cut.pth.tr", "-o", "new.onnx"), ("cut.pth.tr",)),
    "ckpt has NaN": (("onnx", "--ckpt", "nan.pth.tr", "-o", "new.onnx"), ("x_proj_weight",)),
    "ckpt runs code": (("onnx", "--ckpt", "evil.bin", "-o", "new.onnx"), ("evil.bin",)),
    "ckpt is an empty folder": (("onnx", "--ckpt", "weights", "-o", "new.onnx"), ("weights",)),
    # pmexport check.
    "no model": (("check", *CKPT), ("MODEL",)),
    "model missing": (("check", "gone.onnx", *CKPT), ("gone.onnx", "does not exist")),
    "model is a folder": (("check", "folder.onnx", *CKPT), ("folder.onnx", "directory")),
    "model is text": (("check", "text.onnx", *CKPT), ("text.onnx",)),
    "model empty": (("check", "empty.onnx", *CKPT), ("empty.onnx",)),
    "model truncated": (("check", "cut.onnx", *CKPT), ("cut.onnx",)),
    "model is the checkpoint": (("check", "tiny.pth.tr", *CKPT), ("tiny.pth.tr",)),
    "model of somebody else": (("check", "foreign.onnx", *CKPT), ("foreign.onnx", "no PoseMamba")),
    "model without metadata": (("check", "anonymous.onnx", *CKPT), ("--any-ckpt",)),
    "model of a newer tool": (("check", "newer.onnx", *CKPT), ("CrossSelectiveScanOfTomorrow",)),
    "another checkpoint": (("check", "tiny.onnx", "--ckpt", "other.pth.tr"), ("--any-ckpt",)),
    "check without ckpt": (("check", "tiny.onnx"), ("--ckpt",)),
    "runtime typo": ((*CHECK, "--runtime", "ort-cup"), ("did you mean 'ort-cpu'",)),
    "runtime nonsense": ((*CHECK, "--runtime", "openvino"), ("openvino", "ort-cpu")),
    "atol negative": ((*CHECK, "--atol", "-1e-5"), ("--atol",)),
    "atol NaN": ((*CHECK, "--atol", "nan"), ("--atol",)),
    "drift zero": ((*CHECK, "--mpjpe-mm", "0"), ("--mpjpe-mm",)),
    "scale infinite": ((*CHECK, "--mm-per-unit", "inf"), ("--mm-per-unit",)),
    "threads 0": ((*CHECK, "--threads", "0"), ("--threads",)),
    "json in a missing folder": ((*CHECK, "--json", "no/r.json"), ("no", "mkdir")),
    "json over the model": ((*CHECK, "--json", "tiny.onnx"), (".json",)),
    "inputs missing": ((*CHECK, "--inputs", "gone.npz"), ("gone.npz",)),
    "inputs is text": ((*CHECK, "--inputs", "text.npz"), ("text.npz",)),
    "inputs truncated": ((*CHECK, "--inputs", "cut.npz"), ("cut.npz",)),
    "inputs without arrays": ((*CHECK, "--inputs", "nothing.npz"), ("nothing.npz",)),
    "inputs is another zip": ((*CHECK, "--inputs", "zip.npz"), ("zip.npz",)),
    "inputs of 16 joints": ((*CHECK, "--inputs", "joints.npz"), ("16", "17")),
    "inputs with NaN": ((*CHECK, "--inputs", "nan.npz"), ("NaN",)),
    "inputs of no frames": ((*CHECK, "--inputs", "none.npz"), ("at least one frame",)),
    "inputs in pixels": ((*CHECK, "--inputs", "pixels.npz"), ("--size WxH",)),
    "inputs of one pose": ((*CHECK, "--inputs", "flat.npz"), ("(17, 2)",)),
    "inputs of nobody": ((*CHECK, "--inputs", "xyc.npz"), ("not found",)),
    "a size without inputs": ((*CHECK, "--size", "9x9"), ("--inputs",)),
    "a size of words": ((*CHECK, "--inputs", "xyc.npz", "--size", "HD"), ("1920x1080",)),
    "inputs pickled": ((*CHECK, "--inputs", "objects.npz"), ("Python objects",)),
    "inputs of words": ((*CHECK, "--inputs", "words.npz"), ("words.npz",)),
    # pmexport optimize.
    "optimize nothing": (("optimize", "gone.onnx"), ("gone.onnx", "does not exist")),
    "optimize text": (("optimize", "text.onnx"), ("text.onnx",)),
    "optimize standard operators": (("optimize", "standard.onnx"), ("--ops fused",)),
    "optimize somebody else's": (("optimize", "foreign.onnx"), ("--ops fused",)),
    "optimize in place": (("optimize", "tiny.onnx", "-o", "tiny.onnx"), ("is the input",)),
    "optimize to another kind": (("optimize", "tiny.onnx", "-o", "new.engine"), (".onnx",)),
    "optimize to nowhere": (("optimize", "tiny.onnx", "-o", "no/new.onnx"), ("mkdir",)),
    "fuse what cannot be": (("optimize", "tiny.onnx", "--fusion", "fused"), ("composed",)),
    "fusion typo": (("optimize", "tiny.onnx", "--fusion", "fusd"), ("did you mean 'fused'",)),
    # pmexport bench.
    "bench nothing": (("bench", "gone.onnx"), ("gone.onnx", "does not exist")),
    "bench text": (("bench", "text.onnx"), ("text.onnx",)),
    "bench of no length": (("bench", "anonymous.onnx"), ("--frames",)),
    "bench too long": ((*BENCH, "--frames", "28"), ("27", "28")),
    "bench of no frames": ((*BENCH, "--frames", "0"), ("--frames",)),
    "bench of no clips": ((*BENCH, "--batch", "0"), ("--batch",)),
    "bench without a checkpoint": ((*BENCH, "--runtime", "torch"), ("--ckpt",)),
    "bench runtime typo": ((*BENCH, "--runtime", "ort-cuba"), ("did you mean 'ort-cuda'",)),
    "bench for no time": ((*BENCH, "--seconds", "0"), ("--seconds",)),
    "bench of no runs": ((*BENCH, "--runs", "0"), ("--runs",)),
    "bench json to nowhere": ((*BENCH, "--json", "no/r.json"), ("mkdir",)),
    "bench markdown as json": ((*BENCH, "--markdown", "r.json"), (".md",)),
    # pmexport inspect.
    "inspect nothing": (("inspect", "gone.onnx"), ("gone.onnx",)),
    "inspect text": (("inspect", "text.onnx"), ("text.onnx",)),
    "inspect truncated": (("inspect", "cut.onnx"), ("cut.onnx",)),
}

INIT_REQUESTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "no command": (("cuont",), ("did you mean 'count'",)),
    "no output": (("init",), ("--output",)),
    "another format": (("init", "-o", "new.pth"), (".safetensors",)),
    "folder missing": (("init", "-o", "no/new.safetensors"), ("no/new.safetensors",)),
    "in proc": (("init", "-o", "/proc/new.safetensors"), ("/proc/new.safetensors",)),
    "variant": (("init", "--variant", "M", "-o", "new.safetensors"), ("--variant",)),
    "seed": (("init", "--seed", "-1", "-o", "new.safetensors"), ("--seed",)),
    "frames": (("init", "--frames", "244", "-o", "new.safetensors"), ("--frames", "244")),
    "count of no frames": (("count", "--frames", "0"), ("--frames",)),
}


@pytest.fixture
def refused(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., None]:
    """Run a command that must be refused."""

    def run(tool: object, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
        monkeypatch.chdir(workspace)
        before = tree(workspace)
        result = CliRunner().invoke(tool, arguments)  # type: ignore[arg-type]
        lines = result.stderr.splitlines()
        assert result.exit_code == 2, result.output
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("Error: ")
        assert "Traceback" not in result.output
        assert "not expected" not in lines[0], "an exception nobody thought of"
        for word in words:
            assert word in lines[0]
        assert tree(workspace) == before
        assert capfd.readouterr().err == "", "a native library wrote past Python"

    return run


@pytest.mark.parametrize("name", REQUESTS)
def test_pmexport_refuses(name: str, refused: Callable[..., None]) -> None:
    refused(pmexport, *REQUESTS[name])


@pytest.mark.parametrize("name", INIT_REQUESTS)
def test_posemamba_refuses(name: str, refused: Callable[..., None]) -> None:
    refused(posemamba, *INIT_REQUESTS[name])


@pytest.mark.parametrize(
    "arguments", [CHECK, EXPORT], ids=["check", "export that would be checked"]
)
@pytest.mark.parametrize("library", ["missing", "broken"])
def test_custom_op_library(
    library: str,
    arguments: tuple[str, ...],
    refused: Callable[..., None],
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "gone.so" if library == "missing" else "text.onnx"
    monkeypatch.setenv("POSEMAMBA_ORT_LIB", str(workspace / name))
    refused(pmexport, arguments, (name, "pip install ."))


def test_hostile_names_stay_on_one_line(refused: Callable[..., None]) -> None:
    refused(pmexport, ("check", "a\nb\x1b[31m.onnx", *CKPT), ("does not exist",))
