"""Files, options and sessions that are wrong: a code and one sentence with a fix; nothing ends."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pytest
from runtime_api import (
    BACKEND_FAILED,
    BAD_ARGUMENT,
    BAD_MODEL,
    MISMATCH,
    MISSING,
    Lifter,
    LifterOptions,
    Runtime,
    StreamOptions,
)
from runtime_failures import fails
from stream_driving import recording

PIXELS = recording(1, 1)[0]
SIZE: dict[str, Any] = {"keypoints": "h36m17", "width": 1920, "height": 1080}

FILES: dict[str, tuple[bytes | None, int, str]] = {
    "absent.onnx": (None, MISSING, "No such file"),
    "empty.onnx": (b"", BAD_MODEL, "is empty"),
    "lfs.onnx": (b"version https://git-lfs.github.com/spec/v1\n", BAD_MODEL, "git lfs pull"),
    "page.onnx": (b"<!DOCTYPE html><html>", BAD_MODEL, "a web page"),
    "zip.pth": (b"PK\x03\x04....", BAD_MODEL, "pmexport onnx"),
    "pickle.bin": (b"\x80\x02}q", BAD_MODEL, "pickle"),
    "side.json": (b'{"schema_version": 1}', BAD_MODEL, "JSON"),
}


@pytest.mark.parametrize("name", FILES)
def test_files(name: str, runtime: Runtime, stand_ins: Path, tmp_path: Path) -> None:
    content, code, part = FILES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    fails(lambda: runtime.open(tmp_path / name), code, name, part)


def test_folder_and_device(runtime: Runtime, tmp_path: Path) -> None:
    fails(lambda: runtime.open(tmp_path), BAD_MODEL, "is a folder")
    fails(lambda: runtime.open("/dev/null"), BAD_MODEL, "no regular file")


@pytest.mark.parametrize("content", [b"\x08\x08 no model at all", b"\x00" * 100, b"onnx"], ids=len)
def test_corrupt_models_in_the_real_runtime(
    content: bytes, runtime: Runtime, ort_library: Path, tmp_path: Path
) -> None:
    path = tmp_path / "corrupt.onnx"
    path.write_bytes(content)
    fails(
        lambda: runtime.open(path, runtime_library=ort_library),
        BAD_MODEL, "corrupt.onnx", "is no ONNX model, or is truncated",
    )  # fmt: skip


def test_truncated_model_in_the_real_runtime(
    runtime: Runtime, ort_library: Path, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(model.read_bytes()[:100_000])
    fails(lambda: runtime.open(path, runtime_library=ort_library), BAD_MODEL, "half.onnx")


def test_missing_op_library_in_the_real_runtime(
    runtime: Runtime, ort_library: Path, model: Path
) -> None:
    fails(
        lambda: runtime.open(model, runtime_library=ort_library),
        MISSING, "libposemamba_ort.so, which was not found; looked in", "op_library",
    )  # fmt: skip


OPEN: dict[str, tuple[dict[str, Any], int, str]] = {
    "backend": ({"backend": "cuda"}, BAD_ARGUMENT, "use one of auto, onnxruntime-cpu"),
    "device": ({"device": -1}, BAD_ARGUMENT, "device is -1"),
    "threads": ({"threads": -2}, BAD_ARGUMENT, "threads is -2"),
    "cuda_graph": ({"cuda_graph": 2}, BAD_ARGUMENT, "cuda_graph"),
    "graph on the CPU": (
        {"backend": "onnxruntime-cpu", "cuda_graph": 1}, BAD_ARGUMENT, "has none",
    ),
    "allow_fallback": ({"allow_fallback": -1}, BAD_ARGUMENT, "allow_fallback"),
    "tf32": ({"tf32": 2}, BAD_ARGUMENT, "tf32 is 2"),
    "tf32 on the CPU": ({"backend": "onnxruntime-cpu", "tf32": 1}, BAD_ARGUMENT, "has none"),
    "tf32 where auto takes the CPU": ({"tf32": 1}, BAD_ARGUMENT, "has none"),
    "runtime absent": ({"runtime_library": "/no/libonnxruntime.so"}, MISSING, "cannot be loaded"),
    "op library absent": ({"op_library": "/no/ops.so"}, MISSING, "'/no/ops.so' does not exist"),
    "model to tensorrt": ({"backend": "tensorrt"}, BAD_ARGUMENT, "no TensorRT engine"),
    "model to lean": ({"backend": "tensorrt-lean"}, BAD_ARGUMENT, "backend auto"),
    "no cuda provider": ({"backend": "onnxruntime-cuda"}, MISSING, "onnxruntime-cpu"),
}  # fmt: skip


@pytest.mark.parametrize("name", OPEN)
def test_lifter_options(
    name: str, runtime: Runtime, any_model: Path, stand_ins: Path, stand_in_words: object
) -> None:
    options, code, part = OPEN[name]
    given = {"runtime_library": stand_ins / "libonnxruntime.so", **options}
    fails(lambda: runtime.open(any_model, **given), code, part)


def test_runtime_that_is_another_library(runtime: Runtime, any_model: Path) -> None:
    fails(
        lambda: runtime.open(any_model, runtime_library=runtime.path),
        MISMATCH, "has no function 'OrtGetApiBase'",
    )  # fmt: skip


def test_structs_that_nobody_filled(runtime: Runtime, any_model: Path, lifter: Lifter) -> None:
    handle = c.c_void_p()
    path = str(any_model).encode()

    def opened(options: object) -> Callable[[], None]:
        return lambda: runtime.check(runtime.lib.pm_lifter_open(path, options, c.byref(handle)))

    fails(opened(c.byref(LifterOptions())), BAD_ARGUMENT, "struct_size is 0", "default_options")
    newer = (LifterOptions * 2)()
    newer[0].struct_size = c.sizeof(newer)
    newer[1].device = 3
    fails(opened(c.byref(newer)), BAD_ARGUMENT, "fields that library 0.2.0 does not know")
    values = StreamOptions()
    fails(
        lambda: runtime.check(
            runtime.lib.pm_stream_open(lifter.handle, c.byref(values), c.byref(handle))
        ),
        BAD_ARGUMENT, "struct_size is 0", "pm_stream_default_options",
    )  # fmt: skip


def test_null_pointers(runtime: Runtime, stand_in_lifter: Lifter, any_model: Path) -> None:
    lib, lifter = runtime.lib, stand_in_lifter.handle
    stream = stand_in_lifter.stream(**SIZE)
    pixels = np.ascontiguousarray(PIXELS)
    handle = c.c_void_p()
    cases: dict[str, Callable[[], int]] = {
        "path is empty": lambda: lib.pm_lifter_open(None, None, c.byref(handle)),
        "out is NULL": lambda: lib.pm_lifter_open(str(any_model).encode(), None, None),
        "lifter is NULL": lambda: lib.pm_lifter_step(None, None),
        "lifter is NULL ": lambda: lib.pm_lifter_lift(None, pixels.ctypes.data, 1, 1, None),
        "keypoints_2d or poses_3d": lambda: lib.pm_lifter_lift(lifter, None, 1, 1, None),
        "pm_stream_options is NULL": lambda: lib.pm_stream_open(lifter, None, c.byref(handle)),
        "stream is NULL": lambda: lib.pm_stream_flush(None),
        "stream is NULL  ": lambda: lib.pm_stream_push(c.c_void_p(12345), 0, 0, 0, None, 17, 2),
        "values is NULL": lambda: lib.pm_stream_push(stream.handle, 0, 0.0, 0, None, 17, 2),
        "out is NULL ": lambda: lib.pm_stream_poll(stream.handle, None),
        "poses is NULL": lambda: lib.pm_stream_ready(stream.handle, None),
    }
    for part, call in cases.items():
        fails(lambda call=call: runtime.check(call()), BAD_ARGUMENT, part.strip())  # type: ignore[misc]
    lib.pm_lifter_close(None)
    lib.pm_stream_close(None)
    lib.pm_lifter_default_options(None)
    assert lib.pm_lifter_info(None) is None


SESSIONS: dict[str, tuple[int, str]] = {
    "version=1.15.2": (MISMATCH, "ONNX Runtime 1.15.2, 1.16 or later is needed"),
    "no_api=1": (MISMATCH, "or later is needed"),
    "inputs=2": (BAD_MODEL, "has 2 inputs"),
    "input=images": (BAD_MODEL, "'images'"),
    "output=logits": (BAD_MODEL, "'logits'"),
    "channels=1": (BAD_MODEL, "reads 1 numbers of each joint"),
    "channels=3": (BAD_MODEL, "reads 3 numbers of each joint, this library gives it x and y alone"),
    "channels=5": (BAD_MODEL, "reads 5 numbers of each joint"),
    "joints=16": (BAD_MODEL, "joints 16"),
    "type=10": (BAD_MODEL, "type float16"),
    "rank=3": (BAD_MODEL, "3 dimensions"),
    "no_tensor=1": (BAD_MODEL, "is no tensor"),
    "fail=CreateSession;code=7": (BAD_MODEL, "is no ONNX model, or is truncated"),
    "fail=CreateSession;code=3": (MISSING, "cannot be read"),
    "fail=CreateSession;message=posemamba:CrossSelectiveScan is not a registered op": (
        MISSING, "looked in",
    ),
    "meta.schema_version=2": (MISMATCH, "schema 2"),
    "meta.schema_version={": (BAD_MODEL, "is not JSON"),
    'meta.joint_names={"a": 1, "a": 2}': (BAD_MODEL, "a name for the second time"),
    "meta.max_frames=0": (BAD_MODEL, "takes no frames"),
    "meta.max_frames=many": (BAD_MODEL, "is not JSON"),
    "meta.normalisation=p / 255": (MISMATCH, "another normalisation"),
    "meta.joint_names=[\"nose\"]": (MISMATCH, "another order of joints"),
    **{
        f"fail={name}": (code, "stand-in says no")
        for name, code in {
            "CreateEnvWithCustomLogger": BACKEND_FAILED, "CreateSessionOptions": BACKEND_FAILED,
            "SetSessionLogSeverityLevel": BACKEND_FAILED, "CreateSession": BAD_MODEL,
            "SetSessionGraphOptimizationLevel": BACKEND_FAILED, "GetDimensions": BAD_MODEL,
            "SessionGetInputCount": BAD_MODEL, "SessionGetOutputName": BAD_MODEL,
            "SessionGetOutputTypeInfo": BAD_MODEL, "GetTensorElementType": BAD_MODEL,
            "SessionGetModelMetadata": BAD_MODEL, "CastTypeInfoToTensorInfo": BAD_MODEL,
            "ModelMetadataLookupCustomMetadataMap": BAD_MODEL, "CreateMemoryInfo": BACKEND_FAILED,
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("words", SESSIONS)
def test_sessions(
    words: str,
    runtime: Runtime,
    any_model: Path,
    stand_ins: Path,
    tmp_path: Path,
    stand_in_words: pytest.MonkeyPatch,
) -> None:
    code, part = SESSIONS[words]
    stand_in_words.setenv("STAND_IN_ORT", words)
    # A copy is another ONNX Runtime; of each a process keeps one environment for good.
    library = tmp_path / "libonnxruntime.so"
    copyfile(stand_ins / library.name, library)
    options = {"backend": "onnxruntime-cpu", "runtime_library": library}
    fails(lambda: runtime.open(any_model, **options), code, part)
