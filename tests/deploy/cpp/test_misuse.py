"""Everything that can be wrong is a code and one sentence with a fix, and the process lives on."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import recording
from runtime_api import (
    BACKEND_FAILED,
    BAD_ARGUMENT,
    BAD_MODEL,
    MISMATCH,
    MISSING,
    NOT_READY,
    Lifter,
    LifterOptions,
    Runtime,
    RuntimeFailure,
    Stream,
    StreamOptions,
)

PIXELS = recording(1, 1)[0]
SIZE: dict[str, Any] = {"keypoints": "h36m17", "width": 1920, "height": 1080}


def assert_sentence(failure: RuntimeFailure, code: int, *parts: str) -> None:
    assert failure.code == code, failure
    for part in parts:
        assert part in failure.sentence, failure.sentence
    assert "\n" not in failure.sentence
    assert 20 < len(failure.sentence) < 900
    assert ":" in failure.sentence  # what is wrong: what mends it


def fails(action: Callable[[], object], code: int, *parts: str) -> None:
    with pytest.raises(RuntimeFailure) as raised:
        action()
    assert_sentence(raised.value, code, *parts)


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
    runtime: Runtime, ort_library: Path, model_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(model_file.read_bytes()[:100_000])
    fails(lambda: runtime.open(path, runtime_library=ort_library), BAD_MODEL, "half.onnx")


def test_missing_op_library_in_the_real_runtime(
    runtime: Runtime, ort_library: Path, model_file: Path
) -> None:
    fails(
        lambda: runtime.open(model_file, runtime_library=ort_library),
        MISSING, "libposemamba_ort.so, which was not found; looked in", "op_library",
    )  # fmt: skip


OPEN: dict[str, tuple[dict[str, Any], int, str]] = {
    "backend": ({"backend": "cuda"}, BAD_ARGUMENT, "use one of auto, onnxruntime-cpu"),
    "device": ({"device": -1}, BAD_ARGUMENT, "device is -1"),
    "threads": ({"threads": -2}, BAD_ARGUMENT, "threads is -2"),
    "cuda_graph": ({"cuda_graph": 2}, BAD_ARGUMENT, "cuda_graph"),
    "allow_fallback": ({"allow_fallback": -1}, BAD_ARGUMENT, "allow_fallback"),
    "runtime absent": ({"runtime_library": "/no/libonnxruntime.so"}, MISSING, "cannot be loaded"),
    "op library absent": ({"op_library": "/no/ops.so"}, MISSING, "'/no/ops.so' does not exist"),
    "model to tensorrt": ({"backend": "tensorrt"}, BAD_ARGUMENT, "no TensorRT engine"),
    "model to lean": ({"backend": "tensorrt-lean"}, BAD_ARGUMENT, "backend auto"),
    "no cuda provider": ({"backend": "onnxruntime-cuda"}, MISSING, "onnxruntime-cpu"),
}


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
    "channels=3": (BAD_MODEL, "channels 3"),
    "joints=16": (BAD_MODEL, "joints 16"),
    "type=10": (BAD_MODEL, "type 10"),
    "rank=3": (BAD_MODEL, "3 dimensions"),
    "no_tensor=1": (BAD_MODEL, "is no tensor"),
    "fail=CreateSession;code=7": (BAD_MODEL, "is no ONNX model, or is truncated"),
    "fail=CreateSession;code=3": (MISSING, "cannot be read"),
    "fail=CreateSession;message=posemamba:CrossSelectiveScan is not a registered op": (
        MISSING, "looked in",
    ),
    "meta.schema_version=2": (MISMATCH, "schema 2"),
    "meta.schema_version={": (BAD_MODEL, "is not JSON"),
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
    stand_in_words: pytest.MonkeyPatch,
) -> None:
    code, part = SESSIONS[words]
    stand_in_words.setenv("STAND_IN_ORT", words)
    library = stand_ins / "libonnxruntime.so"
    options = {"backend": "onnxruntime-cpu", "runtime_library": library}
    fails(lambda: runtime.open(any_model, **options), code, part)


STREAMS: dict[str, tuple[dict[str, Any], str]] = {
    "keypoints": ({"keypoints": "coco19"}, "use one of coco17, body25"),
    "keypoints NULL": ({"keypoints": None}, "keypoints is 'NULL'"),
    "no size": ({"width": 0, "height": 0}, "0 x 0"),
    "no height": ({"height": 0}, "1920 x 0"),
    "negative width": ({"width": -5}, "-5 x 1080"),
    "huge width": ({"width": 1 << 20}, "1048576"),
    "window negative": ({"window": -1}, "window is -1"),
    "window too long": ({"window": 28}, "takes 1 to 27 frames"),
    "hop negative": ({"hop": -1}, "hop is -1"),
    "hop of blend": ({"policy": "blend", "hop": 14}, "at most 13"),
    "policy": ({"policy": "newest"}, "use last, center, lag or blend"),
    "policy NULL": ({"policy": None}, "policy is 'NULL'"),
    "lag of last": ({"lag": 3}, "only policy 'lag' uses"),
    "lag too long": ({"policy": "lag", "lag": 27}, "give 0 to 26"),
    "lag negative": ({"policy": "lag", "lag": -1}, "lag is -1"),
    "rate": ({"rate": -30.0}, "rate is -30"),
    "rate NaN": ({"rate": float("nan")}, "rate is nan"),
    "model_rate": ({"model_rate": float("inf")}, "model_rate is inf"),
    "min_confidence": ({"min_confidence": float("nan")}, "min_confidence is nan"),
    "smoothing": ({"smoothing": -1.0}, "smoothing is -1"),
    "height_m": ({"height_m": 180.0}, "height_m is 180"),
    "flip": ({"flip": 2}, "flip is 2"),
    "no persons": ({"max_persons": 0}, "max_persons is 0"),
    "many persons": ({"max_persons": 257}, "give 1 to 256"),
    "max_gap": ({"max_gap": -1}, "max_gap is -1"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_stream_options(name: str, stand_in_lifter: Lifter) -> None:
    options, part = STREAMS[name]
    fails(lambda: stand_in_lifter.stream(**{**SIZE, **options}), BAD_ARGUMENT, part)


def _with(index: Any, value: Any) -> Any:  # noqa: ANN401
    values = np.array(PIXELS)
    values[index] = value
    return values


PUSHES: dict[str, tuple[Callable[[Stream], None], str]] = {
    "16 joints": (lambda s: s.push(9, PIXELS[:16]), "16 keypoints were pushed, h36m17 has 17"),
    "0 joints": (lambda s: s.push(9, PIXELS[:0]), "0 keypoints"),
    "4 columns": (lambda s: s.push(9, np.ones((17, 4))), "columns is 4"),
    "1 column": (lambda s: s.push(9, np.ones((17, 1))), "columns is 1"),
    "person": (lambda s: s.push(9, PIXELS, -1), "person is -1"),
    "frame again": (lambda s: s.push(5, PIXELS), "frame 5 of person 0 follows frame 5"),
    "frame backwards": (lambda s: s.push(-7, PIXELS), "push frames in order of time"),
    "time backwards": (lambda s: s.push(6, PIXELS, 0, 0.9), "timestamp 0.900000 of frame 6"),
    "time infinite": (lambda s: s.push(6, PIXELS, 0, float("inf")), "timestamp is infinite"),
    "fractions": (lambda s: s.push(6, PIXELS / [1920, 1080]), "multiply x by the width"),
    "normalised": (lambda s: s.push(6, PIXELS / 960 - [1, 0.56]), "as fractions do"),
    "far outside": (lambda s: s.push(6, _with((3, 0), 4e4)), "keypoint 3 is at (40000,"),
    "another image": (lambda s: s.push(6, PIXELS + 4000), "give the size of the image"),
}


@pytest.mark.parametrize("name", PUSHES)
def test_pushes(name: str, stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE)
    stream.push(5, PIXELS, 0, 1.0)
    action, part = PUSHES[name]
    fails(lambda: action(stream), BAD_ARGUMENT, part)
    assert stand_in_lifter.step() == 1  # nothing was changed
    assert [pose.frame for pose in stream.poses()] == [5]
    stream.close()


@pytest.mark.parametrize("values", [float("nan"), float("inf"), -float("inf"), 0.0, -1.0], ids=str)
def test_points_that_are_none_are_no_mistake(values: float, stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE)
    stream.push(0, np.full((17, 2), values))
    stream.push(1, PIXELS)
    assert stand_in_lifter.step() == 1
    assert [pose.frame for pose in stream.poses()] == [1]
    stream.close()


@pytest.mark.parametrize(
    ("options", "time", "part"),
    [
        ({"smoothing": 0.5}, float("nan"), "smoothing needs it"),
        ({"smoothing": 0.5}, 1.0, "is not after 1.000000"),
        ({"rate": 30.0, "model_rate": 60.0}, 1.0, "is not after 1.000000"),
    ],
)
def test_times_that_are_needed(
    options: dict[str, Any], time: float, part: str, stand_in_lifter: Lifter
) -> None:
    stream = stand_in_lifter.stream(**SIZE, **options)
    stream.push(0, PIXELS, 0, 1.0)
    fails(lambda: stream.push(1, PIXELS, 0, time), BAD_ARGUMENT, part)
    stream.close()


CLIP = np.zeros((1, 5, 17, 2), dtype=np.float32)
LIFTS: dict[str, tuple[Any, str]] = {
    "no clip": (CLIP[:0], "batch is 0"),
    "no frame": (CLIP[:, :0], "has 0 frames"),
    "long clip": (np.zeros((1, 28, 17, 2)), "has 28 frames"),
    "NaN": (np.where(np.arange(2) == 1, np.nan, CLIP), "is nan at clip 0, frame 0, joint 0"),
    "infinity": (np.where(np.arange(17)[:, None] == 4, np.inf, CLIP), "is inf at clip 0"),
    "pixels": (CLIP + 500, "normalise pixels"),
}


@pytest.mark.parametrize("name", LIFTS)
def test_lift(name: str, stand_in_lifter: Lifter) -> None:
    values, part = LIFTS[name]
    fails(lambda: stand_in_lifter.lift(values), BAD_ARGUMENT, part)


def test_who_is_not_there(stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE)
    fails(lambda: stream.end(3), BAD_ARGUMENT, "person 3 is not in this stream")
    fails(lambda: stream.reset(-2), BAD_ARGUMENT, "person is -2")
    stream.reset(7)
    assert stream.poll() is None
    assert "no pose is due" in stream.runtime.last_error()


def test_after_close(runtime: Runtime, any_model: Path, stand_ins: Path) -> None:
    lifter = runtime.open(any_model, runtime_library=stand_ins / "libonnxruntime.so")
    closed, open_still = lifter.stream(**SIZE), lifter.stream(**SIZE)
    open_still.push(0, PIXELS)
    lifter.step()
    closed.close()
    fails(closed.flush, BAD_ARGUMENT, "was closed")
    fails(lambda: closed.push(0, PIXELS), BAD_ARGUMENT, "was closed")
    closed.close()
    lifter.close()
    fails(lifter.step, BAD_ARGUMENT, "was closed")
    fails(lambda: lifter.stream(**SIZE), BAD_ARGUMENT, "was closed")
    fails(lambda: open_still.push(1, PIXELS), BAD_ARGUMENT, "lifter of this stream was closed")
    assert [pose.frame for pose in open_still.poses()] == [0]
    lifter.close()
    again = runtime.open(any_model, runtime_library=stand_ins / "libonnxruntime.so")
    fails(lifter.step, BAD_ARGUMENT, "was closed")  # the new one is another handle
    again.close()


@pytest.mark.parametrize("function", ["Run", "CreateTensorWithDataAsOrtValue"])
def test_a_run_that_fails_keeps_what_was_due(
    function: str, stand_in_lifter: Lifter, stand_in_words: pytest.MonkeyPatch
) -> None:
    stream = stand_in_lifter.stream(**SIZE, window=13)
    for frame in range(3):
        stream.push(frame, PIXELS)
    stand_in_words.setenv("STAND_IN_ORT", f"fail={function};message=out of luck")
    if function == "Run":
        fails(stand_in_lifter.step, BACKEND_FAILED, "out of luck", "any.onnx")
    stand_in_words.delenv("STAND_IN_ORT")
    assert stand_in_lifter.step() == 3
    assert [pose.frame for pose in stream.poses()] == [0, 1, 2]
    stream.close()


def test_a_network_that_gives_nan(
    stand_in_lifter: Lifter, stand_in_words: pytest.MonkeyPatch
) -> None:
    stream = stand_in_lifter.stream(**SIZE)
    stream.push(0, PIXELS)
    stand_in_words.setenv("STAND_IN_ORT", "nan=1")
    fails(stand_in_lifter.step, BACKEND_FAILED, "NaN or infinity in 1 of 1 windows")
    stand_in_words.delenv("STAND_IN_ORT")
    stream.push(1, PIXELS)
    assert stand_in_lifter.step() == 1
    assert [pose.frame for pose in stream.poses()] == [1]
    stream.close()


def test_a_model_that_names_no_frames(
    runtime: Runtime, any_model: Path, stand_ins: Path, stand_in_words: pytest.MonkeyPatch
) -> None:
    stand_in_words.setenv("STAND_IN_ORT", "max_frames=0")
    lifter = runtime.open(any_model, runtime_library=stand_ins / "libonnxruntime.so")
    fails(lambda: lifter.stream(**SIZE), BAD_MODEL, "does not say how many frames", "set window")
    lifter.stream(**SIZE, window=500)


def test_a_file_of_fixed_frames_takes_no_other_window(
    runtime: Runtime, any_model: Path, stand_ins: Path, stand_in_words: pytest.MonkeyPatch
) -> None:
    stand_in_words.setenv("STAND_IN_ORT", "frames=27")
    lifter = runtime.open(any_model, runtime_library=stand_ins / "libonnxruntime.so")
    fails(lambda: lifter.stream(**SIZE, window=9), BAD_ARGUMENT, "exactly 27 frames")


def test_there_are_sixty_cases() -> None:
    tables = (FILES, OPEN, SESSIONS, STREAMS, PUSHES, LIFTS)
    assert sum(len(table) for table in tables) >= 60
    assert NOT_READY  # its sentences are tested where the waiting is
