"""Models of a small checkpoint, and a TensorRT that builds nothing."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from absence import lacking
from click.testing import CliRunner, Result
from places import TINY as GOLDEN
from trt_machine import gpu

from pmexport.cli.main import cli
from pmexport.engine import module
from pmexport.format.operators import OPERATORS as EVERY_OPERATOR
from pmexport.libraries import plugin_path

FAKE = Path(__file__).parent / "fake"
FAKED = ("cuda", "pycuda", "fake_device", "tensorrt", "tensorrt_rtx", "tensorrt_lean_bindings")
BUILD = ("--onnx", "tiny.fp32.onnx", "-o", "e.engine", "--batch", "1:1:8", "--batch", "12",
         "--frames", "1:27:27", "--frames", "9")  # fmt: skip
BUILT: list[bytes] = []
"""The engine and its sidecar, once a test has built them."""
OPERATORS = {"CrossSelectiveScan": "1", "SelectiveScan": "1"}
"""Of the stand-in's plugin library: one that a model is given to as it was exported."""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny.fp32.onnx`` and ``tiny.fp16.onnx``: 2 x 2 blocks of 32, 27 frames."""
    folder, inputs = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("inputs")
    checkpoint = inputs / "tiny.pth.tr"
    shutil.copy(GOLDEN, checkpoint)
    for precision in ("fp32", "fp16"):
        target = folder / f"tiny.{precision}.onnx"
        arguments = ["onnx", "--ckpt", str(checkpoint), "--precision", precision]
        done = CliRunner().invoke(cli, [*arguments, "-o", str(target), "--no-check"])
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="session")
def rtx() -> None:
    """TensorRT-RTX itself and the plugin library."""
    missing = []
    if importlib.util.find_spec("tensorrt_rtx") is None:
        missing.append("tensorrt_rtx (pip install '.[tensorrt-rtx]')")
    if not plugin_path().is_file():
        missing.append(f"the plugin library ({plugin_path()})")
    if missing:
        lacking(f"not here: {' and '.join(missing)}", "TRT")


@pytest.fixture
def here(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with links to the models, and ``inputs/tiny.pth.tr``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inputs").mkdir()
    for path in models.iterdir():
        (tmp_path / path.name).symlink_to(path)
    shutil.copy(GOLDEN, tmp_path / "inputs" / "tiny.pth.tr")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path


@pytest.fixture
def fake(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Both TensorRTs, of the fake kind, a plugin library for them, and a Jetson Orin's GPU."""
    monkeypatch.syspath_prepend(str(FAKE))
    monkeypatch.setenv("PYTHONPATH", f"{FAKE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    library = tmp_path_factory.mktemp("plugin") / "libposemamba_trt.so"
    library.write_text(json.dumps(OPERATORS))
    monkeypatch.setenv("POSEMAMBA_TRT_LIB", str(library))
    gpu(monkeypatch, "sm87", "Orin")
    return library


@pytest.fixture
def whole(fake: Path) -> Path:
    """The same with a plugin library that has every operator."""
    fake.write_text(json.dumps(dict.fromkeys(EVERY_OPERATOR, "1")))
    return fake


@pytest.fixture
def engines(fake: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """TensorRT's modules and CUDA's in disguise, imported anew; call it to have them misbehave."""

    def misbehave(tensorrt: str = "", cuda: str = "") -> None:
        monkeypatch.setenv("FAKE_TENSORRT", tensorrt)
        monkeypatch.setenv("FAKE_CUDA", cuda)
        for name in list(sys.modules):
            if name.split(".")[0] in FAKED:
                monkeypatch.delitem(sys.modules, name)
        module.load_module.cache_clear()
        module._plugins_once.cache_clear()

    misbehave()
    return misbehave


@pytest.fixture
def trt(here: Path) -> Callable[..., Result]:
    """Run ``pmexport trt`` and expect an exit code."""

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, ["trt", *arguments])
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def engine(engines: Callable[..., None], trt: Callable[..., Result]) -> Path:
    """``e.engine`` for batch 1 to 8 with 1 to 27 frames, and for exactly 12 with 9."""
    files = (Path("e.engine"), Path("e.engine.json"))
    if not BUILT:
        trt(*BUILD)
        BUILT.extend(file.read_bytes() for file in files)
    for file, content in zip(files, BUILT, strict=True):
        file.write_bytes(content)
    return files[0]
