"""The GPU back ends through stand-ins: every call they make, and every failure of it.

Nothing here proves that a GPU computes the right thing; that the right calls are made in the right
order with the right sizes, and that each one that fails becomes a code and a sentence.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from driven import Drive, assert_lifted, assert_refused
from runtime_api import BACKEND_FAILED, BAD_ARGUMENT, BAD_MODEL, MISMATCH, MISSING

PLAN = b"ftrt" + bytes(252)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "E.engine"
    path.write_bytes(PLAN)
    return path


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "libposemamba_trt.so"
    path.write_bytes(b"the stand-in of TensorRT loads nothing")
    return path


def sidecar(path: Path, **changes: Any) -> None:
    facts: dict[str, Any] = {
        "schema_version": 1,
        "engine": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        "tensorrt": {"flavour": "tensorrt", "version": "10.3.0"},
        "plugin": {"version": "1"},
        "targets": ["sm87"],
        "options": {"version_compat": False, "hardware_compat": None},
        "precision": {"got": "fp16"},
        "model": {"variant": "S", "max_frames": 27},
    }
    for key, value in changes.items():
        facts[key] = {**facts[key], **value} if isinstance(value, dict) else value
    path.with_name(f"{path.name}.json").write_text(json.dumps(facts))


@pytest.mark.parametrize("graph", [0, 1])
@pytest.mark.parametrize("profiles", [1, 3])
@pytest.mark.parametrize("version", ["10.3.0", "10.16.1", "11.0.0", "11.4.0"])
def test_tensorrt(
    version: str,
    profiles: int,
    graph: int,
    engine: Path,
    plugin: Path,
    drive: Drive,
) -> None:
    """In the virtual tables of both majors; a place that is wrong ends the program."""
    words = f"version={version};profiles={profiles};batch=3"
    result = drive(engine, "tensorrt", f"op_library={plugin}", f"cuda_graph={graph}", trt=words)
    assert_lifted(result)
    assert result.info["backend"] == "tensorrt"
    assert result.info["runtime_version"] == version
    assert result.info["batch"] == {"min": 1, "max": 3}
    assert result.info["device"] == "Stand-in GPU"
    assert result.info["cuda_graph"] is bool(graph)


@pytest.mark.parametrize("backend", ["auto", "tensorrt-rtx"])
def test_tensorrt_rtx(
    backend: str,
    tmp_path: Path,
    plugin: Path,
    stand_ins: Path,
    drive: Drive,
) -> None:
    engine = tmp_path / "rtx.engine"
    engine.write_bytes(b"vtrt" + bytes(252))
    words = (f"op_library={plugin}", f"runtime_library={stand_ins / 'libnvinfer.so'}")
    result = drive(engine, backend, *words, trt="version=1.7.1")
    assert_lifted(result)
    assert result.info["backend"] == "tensorrt-rtx"
    old = drive(engine, backend, *words, trt="version=1.4.0")
    assert_refused(old, MISMATCH, "TensorRT-RTX 1.4.0", "TensorRT-RTX 1.7 to 1.x")
    other = drive(engine, "tensorrt", *words)
    assert_refused(other, MISMATCH, "is an engine of TensorRT-RTX", "use backend tensorrt-rtx")


def test_tensorrts_engine_in_rtx(engine: Path, drive: Drive) -> None:
    refused = drive(engine, "tensorrt-rtx")
    assert_refused(refused, MISMATCH, "is an engine of TensorRT, which TensorRT-RTX cannot run")


@pytest.mark.parametrize("compatible", [True, False])
def test_auto_takes_the_lean_runtime(
    compatible: bool,
    engine: Path,
    plugin: Path,
    stand_ins: Path,
    tmp_path: Path,
    drive: Drive,
) -> None:
    """Where TensorRT is not there and the engine is made for it; what was chosen is told."""
    folder = tmp_path / "lean"
    folder.mkdir()
    shutil.copy(stand_ins / "libnvinfer.so.10", folder / "libnvinfer_lean.so.10")
    shutil.copy(stand_ins / "libcuda.so.1", folder)
    sidecar(engine, options={"version_compat": compatible})
    result = drive(engine, "auto", f"op_library={plugin}", folder=folder)
    if compatible:
        assert_lifted(result)
        assert result.info["backend"] == "tensorrt-lean"
        assert "libnvinfer.so) was not found" in result.info["why"]
    else:
        assert_refused(result, MISSING, "libnvinfer.so")


def test_a_sidecar_configures(engine: Path, plugin: Path, drive: Drive) -> None:
    sidecar(engine)
    result = drive(engine, "auto", f"op_library={plugin}")
    assert_lifted(result)
    assert result.info["precision"] == "fp16"
    assert result.info["variant"] == "S"


SIDECARS: dict[str, tuple[dict[str, Any], str, int, str]] = {
    "other bytes": ({"engine": {"sha256": "0" * 64}}, "", MISMATCH, "SHA-256"),
    "other release": (
        {"tensorrt": {"version": "10.14.1"}}, "", MISMATCH, "was built by TensorRT 10.14.1, ",
    ),
    "other GPU": ({"targets": ["sm90", "sm100"]}, "", MISMATCH, "for sm90, sm100, the GPU"),
    "other plugin": ({"plugin": {"version": "3"}}, "", MISMATCH, "needs version 3 of the plugin"),
    "other schema": ({"schema_version": 2}, "", MISMATCH, "schema 2"),
    "other normalisation": ({"model": {"normalisation": "none"}}, "", MISMATCH, "normalisation"),
    "other joints": ({"model": {"joint_names": ["nose"]}}, "", MISMATCH, "order of joints"),
    "no frames": ({"model": {"max_frames": 0}}, "", BAD_MODEL, "max_frames"),
}  # fmt: skip


@pytest.mark.parametrize("name", SIDECARS)
def test_what_a_sidecar_refuses(
    name: str,
    engine: Path,
    plugin: Path,
    drive: Drive,
) -> None:
    changes, words, code, part = SIDECARS[name]
    sidecar(engine, **changes)
    result = drive(engine, "tensorrt", f"op_library={plugin}", trt=words)
    assert_refused(result, code, "E.engine", part)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', "\x00", "[" * 100])
def test_sidecars_that_are_none(text: str, engine: Path, drive: Drive) -> None:
    engine.with_name("E.engine.json").write_text(text)
    assert_refused(drive(engine, "tensorrt"), BAD_MODEL, "E.engine.json")


TENSORRT_FAILURES = {
    "registry_load_library": MISMATCH,
    "getPluginRegistry": BACKEND_FAILED,
    "createInferRuntime": BACKEND_FAILED,
    "runtime_deserialize": MISMATCH,
    "engine_create_context": BACKEND_FAILED,
    "context_set_profile": BACKEND_FAILED,
    "context_set_input_shape": BACKEND_FAILED,
    "context_set_address": BACKEND_FAILED,
    "context_enqueue": BACKEND_FAILED,
}


@pytest.mark.parametrize("version", ["10.3.0", "11.1.0"])
@pytest.mark.parametrize("name", TENSORRT_FAILURES)
def test_tensorrt_failures(
    name: str,
    version: str,
    engine: Path,
    plugin: Path,
    drive: Drive,
) -> None:
    words = f"version={version};profiles=2;fail={name}"
    for graph in (0, 1):
        result = drive(engine, "tensorrt", f"op_library={plugin}", f"cuda_graph={graph}", trt=words)
        assert_refused(result, TENSORRT_FAILURES[name])
        if name not in ("getPluginRegistry", "registry_load_library"):
            assert f"stand-in: {name} says no" in result.sentence


ENGINES = {
    "version=9.3.0": (MISMATCH, "knows TensorRT 10.3 to 11.x"),
    "version=10.2.0": (MISMATCH, "10.2.0"),
    "version=12.0.0": (MISMATCH, "later release of this library"),
    "plugins=missing": (MISMATCH, "no plugin CrossSelectiveScan"),
    "tensors=3": (BAD_MODEL, "3 tensors"),
    "rank=3": (BAD_MODEL, "[batch][frames][17][2]"),
    "joints=16": (BAD_MODEL, "[batch][frames][17][2]"),
    "channels=3": (BAD_MODEL, "reads 3 numbers of each joint, this library gives it x and y alone"),
    "type=1": (BAD_MODEL, "of type float"),
    "profiles=0": (BAD_MODEL, "no optimization profile"),
    "frames=9": (BAD_ARGUMENT, "takes 1 to 9"),
    "min_frames=20": (BAD_ARGUMENT, "takes 20 to 27"),
}


@pytest.mark.parametrize("words", ENGINES)
def test_engines_that_do_not_fit(
    words: str,
    engine: Path,
    plugin: Path,
    drive: Drive,
) -> None:
    code, part = ENGINES[words]
    assert_refused(drive(engine, "tensorrt", f"op_library={plugin}", trt=words), code, part)


@pytest.mark.parametrize("content", [b"", b"ftrt", b"no engine at all" * 10, b"ftrt-broken" * 9])
def test_broken_engines(content: bytes, tmp_path: Path, drive: Drive) -> None:
    path = tmp_path / "broken.engine"
    path.write_bytes(content)
    sidecars = path.with_name("broken.engine.json")
    sidecars.write_text("{}")  # an engine by its sidecar, whatever its bytes
    assert_refused(drive(path, "tensorrt"), BAD_MODEL)
    sidecars.unlink()
    if content.startswith(b"ftrt") or not content:
        code = MISMATCH if content.startswith(b"ftrt-") else BAD_MODEL
        assert_refused(drive(path, "tensorrt"), code, "broken.engine")


def test_an_engine_without_its_plugin(engine: Path, drive: Drive) -> None:
    sidecar(engine)
    assert_refused(drive(engine, "tensorrt"), MISSING, "libposemamba_trt.so", "looked in")


CUDA_FAILURES = {
    "cuInit": MISSING,
    "cuDeviceGetCount": MISSING,
    **dict.fromkeys(
        (
            *("cuDriverGetVersion", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute"),
            *("cuDevicePrimaryCtxRetain", "cuCtxPushCurrent_v2", "cuMemAlloc_v2", "cuMemHostAlloc"),
            *("cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2", "cuStreamCreate"),
            "cuStreamSynchronize",
        ),
        BACKEND_FAILED,
    ),
}
GRAPH_FAILURES = (
    "cuStreamBeginCapture_v2",
    "cuStreamEndCapture",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
)


@pytest.mark.parametrize("name", CUDA_FAILURES)
def test_cuda_failures(
    name: str,
    engine: Path,
    plugin: Path,
    any_model: Path,
    drive: Drive,
) -> None:
    in_tensorrt = drive(engine, "tensorrt", f"op_library={plugin}", cuda=f"fail={name}")
    in_ort = drive(any_model, "onnxruntime-cuda", cuda=f"fail={name}", ort="providers=cuda")
    for result in (in_tensorrt, in_ort):
        assert_refused(result, CUDA_FAILURES[name], "GPU")


@pytest.mark.parametrize("name", GRAPH_FAILURES)
def test_graph_failures(name: str, engine: Path, plugin: Path, drive: Drive) -> None:
    words = (f"op_library={plugin}", "cuda_graph=1")
    assert_refused(drive(engine, "tensorrt", *words, cuda=f"fail={name}"), BACKEND_FAILED)


def test_a_run_that_cannot_be_captured(engine: Path, plugin: Path, drive: Drive) -> None:
    """What was recorded until then is given back."""
    words = (f"op_library={plugin}", "cuda_graph=1")
    refused = drive(engine, "tensorrt", *words, trt="fail=captured_enqueue")
    assert_refused(refused, BACKEND_FAILED, "cannot be captured as a CUDA graph")


def test_no_silent_fallback(any_model: Path, drive: Drive) -> None:
    """A GPU that is not there is named; only on request, and said so, the CPU takes over."""
    refused = drive(any_model, "onnxruntime-cuda", ort="providers=cuda", cuda="devices=0")
    assert_refused(refused, MISSING, "finds no GPU")
    taken = drive(
        any_model, "onnxruntime-cuda", "allow_fallback=1", ort="providers=cuda", cuda="devices=0"
    )
    assert_lifted(taken)
    assert taken.info["backend"] == "onnxruntime-cpu"
    assert taken.info["why"].startswith("fallback from onnxruntime-cuda: ")
    chosen = drive(any_model, "auto", ort="providers=cuda", cuda="devices=0")
    assert chosen.info["backend"] == "onnxruntime-cpu"
    assert "finds no GPU" in chosen.info["why"]
    broken = "providers=cuda;fail=SessionOptionsAppendExecutionProvider_CUDA_V2"
    assert_refused(drive(any_model, "auto", ort=broken), MISSING, "CUDA provider")


def test_device_that_is_not_there(any_model: Path, drive: Drive) -> None:
    result = drive(
        any_model, "onnxruntime-cuda", "device=3", ort="providers=cuda", cuda="devices=2"
    )
    assert_refused(result, BAD_ARGUMENT, "device is 3, there are 2 GPUs")


@pytest.mark.parametrize(
    ("backend", "library"),
    [
        ("tensorrt", "libnvinfer.so"),
        ("tensorrt-lean", "libnvinfer_lean.so"),
        ("tensorrt-rtx", "libtensorrt_rtx.so"),
    ],
)
def test_libraries_that_are_not_there(
    backend: str,
    library: str,
    engine: Path,
    tmp_path: Path,
    drive: Drive,
) -> None:
    if backend == "tensorrt-rtx":
        engine.write_bytes(b"vtrt" + bytes(252))
    result = drive(engine, backend, folder=tmp_path / "nothing")
    assert_refused(result, MISSING, library, "looked in", "nothing", "runtime_library")


def test_ort_that_is_not_there(any_model: Path, tmp_path: Path, drive: Drive) -> None:
    result = drive(any_model, "auto", folder=tmp_path / "nothing")
    assert_refused(result, MISSING, "libonnxruntime.so", "looked in", "pip install onnxruntime")
