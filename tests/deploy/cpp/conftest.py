"""The runtime's library, its stand-ins and its test programs, built once a session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import onnxruntime
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from driven import Drive, Driven
from runtime_api import Lifter, Runtime
from runtime_build import build

from pmexport import custom_op_library
from pmexport.exporting.export import ExportOptions, export_onnx
from posemamba import load_checkpoint
from posemamba.checkpoint.bundled import demo_checkpoint
from posemamba.model.network import PoseMamba


@pytest.fixture(scope="session")
def built() -> Path:
    """The build folder of the plain library, stand-ins and programs."""
    return build("plain")


@pytest.fixture(scope="session")
def runtime(built: Path) -> Runtime:
    return Runtime(built / "libposemamba_runtime.so")


@pytest.fixture(scope="session")
def stand_ins(built: Path) -> Path:
    """Folder of the stand-in libraries."""
    return built / "tests" / "stand_ins"


@pytest.fixture(scope="session")
def any_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for stand-ins, which look at none."""
    path = tmp_path_factory.mktemp("stand-in") / "any.onnx"
    path.write_bytes(b"\x08\x08 a model")
    return path


@pytest.fixture
def stand_in_words(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in ("STAND_IN_ORT", "STAND_IN_TRT", "STAND_IN_CUDA", "POSEMAMBA_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture(scope="session")
def ort_library() -> Path:
    """libonnxruntime.so of the wheel."""
    (path,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*")
    return path


@pytest.fixture(scope="session")
def network() -> PoseMamba:
    """The demonstration network for streams: up to 81 frames."""
    return load_checkpoint(demo_checkpoint("streaming"))


@pytest.fixture(scope="session")
def model_file(network: PoseMamba, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "streaming.onnx"
    export_onnx(network, path, ExportOptions())
    return path


@pytest.fixture(scope="session")
def lifter(runtime: Runtime, model_file: Path, ort_library: Path) -> Lifter:
    """The demonstration network in ONNX Runtime on the CPU."""
    torch.set_num_threads(1)
    return runtime.open(
        model_file,
        backend="onnxruntime-cpu",
        runtime_library=ort_library,
        op_library=custom_op_library(),
        threads=1,
    )


@pytest.fixture(scope="session")
def stand_in_lifter(runtime: Runtime, stand_ins: Path, any_model: Path) -> Lifter:
    """The stand-in network, up to 27 frames: fast, and each pose depends on its whole window."""
    assert "STAND_IN_ORT" not in os.environ
    return runtime.open(
        any_model, backend="onnxruntime-cpu", runtime_library=stand_ins / "libonnxruntime.so"
    )


@pytest.fixture
def drive(built: Path, stand_ins: Path) -> Drive:
    def run(model: Path, backend: str, *words: str, trt: str = "", cuda: str = "", ort: str = "",
            folder: Path | None = None) -> Driven:  # fmt: skip
        environment = {
            **os.environ,
            "POSEMAMBA_LIBRARY_PATH": str(folder or stand_ins),
            "STAND_IN_TRT": trt,
            "STAND_IN_CUDA": cuda,
            "STAND_IN_ORT": ort,
        }
        command = [str(built / "tests" / "drive"), str(model), backend, *words]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return Driven(**json.loads(done.stdout))

    return run
