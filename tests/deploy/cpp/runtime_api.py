"""The C interface by ctypes, declared here again and not taken from the Python package."""

from __future__ import annotations

import ctypes as c
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SUCCESS, BAD_ARGUMENT, BAD_MODEL, MISSING, MISMATCH, BACKEND_FAILED, NO_MEMORY, NOT_READY = range(8)


class LifterOptions(c.Structure):
    _fields_ = (
        ("struct_size", c.c_uint32),
        ("backend", c.c_char_p),
        ("runtime_library", c.c_char_p),
        ("op_library", c.c_char_p),
        ("device", c.c_int32),
        ("threads", c.c_int32),
        ("cuda_graph", c.c_int32),
        ("allow_fallback", c.c_int32),
        ("tf32", c.c_int32),
    )


class StreamOptions(c.Structure):
    _fields_ = (
        ("struct_size", c.c_uint32),
        ("keypoints", c.c_char_p),
        ("width", c.c_int32),
        ("height", c.c_int32),
        ("window", c.c_int32),
        ("hop", c.c_int32),
        ("policy", c.c_char_p),
        ("lag", c.c_int32),
        ("rate", c.c_double),
        ("model_rate", c.c_double),
        ("min_confidence", c.c_float),
        ("max_persons", c.c_int32),
        ("flip", c.c_int32),
        ("smoothing", c.c_float),
        ("height_m", c.c_float),
        ("max_gap", c.c_int32),
    )


class RawPose(c.Structure):
    _fields_ = (
        ("struct_size", c.c_uint32),
        ("person", c.c_int32),
        ("frame", c.c_int64),
        ("timestamp", c.c_double),
        ("joints", c.c_float * 3 * 17),
        ("filled", c.c_uint32),
    )


class RuntimeFailure(Exception):
    """A code other than PM_SUCCESS, and its sentence."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence


@dataclass
class Pose:
    person: int
    frame: int
    timestamp: float
    joints: Floats  # (17, 3)
    filled: int


def _arguments(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: str(value).encode() if isinstance(value, str | Path) else value
        for key, value in values.items()
    }


class Runtime:
    """The functions of a built library."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lib = lib = c.CDLL(str(path))
        for name in ("pm_last_error", "pm_version", "pm_build_info", "pm_lifter_info"):
            getattr(lib, name).restype = c.c_char_p
        void, i32, i64 = c.c_void_p, c.c_int32, c.c_int64
        lib.pm_lifter_info.argtypes = [void]
        lib.pm_lifter_open.argtypes = [c.c_char_p, void, void]
        lib.pm_lifter_close.argtypes = lib.pm_stream_close.argtypes = [void]
        lib.pm_lifter_lift.argtypes = [void, void, i64, i64, void]
        lib.pm_lifter_step.argtypes = [void, void]
        lib.pm_stream_open.argtypes = [void, void, void]
        lib.pm_stream_push.argtypes = [void, i64, c.c_double, i32, void, i32, i32]
        lib.pm_stream_poll.argtypes = lib.pm_stream_ready.argtypes = [void, void]
        lib.pm_stream_flush.argtypes = [void]
        lib.pm_stream_end.argtypes = lib.pm_stream_reset.argtypes = [void, i32]
        lib.pm_stream_delay.argtypes = [void, void, void]

    def last_error(self) -> str:
        text: bytes = self.lib.pm_last_error()
        return text.decode()

    def check(self, code: int) -> None:
        if code != SUCCESS:
            raise RuntimeFailure(code, self.last_error())

    def open(self, model: Path | str, **options: Any) -> Lifter:
        values = LifterOptions()
        self.lib.pm_lifter_default_options(c.byref(values))
        for key, value in _arguments(options).items():
            setattr(values, key, value)
        handle = c.c_void_p()
        self.check(self.lib.pm_lifter_open(str(model).encode(), c.byref(values), c.byref(handle)))
        return Lifter(self, handle)


class Lifter:
    def __init__(self, runtime: Runtime, handle: c.c_void_p) -> None:
        self.runtime = runtime
        self.handle = handle

    @property
    def info(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.runtime.lib.pm_lifter_info(self.handle))
        return value

    def lift(self, keypoints_2d: Floats) -> Floats:
        values = np.ascontiguousarray(keypoints_2d, dtype=np.float32)
        poses = np.empty((*values.shape[:3], 3), dtype=np.float32)
        code = self.runtime.lib.pm_lifter_lift(
            self.handle, values.ctypes.data, values.shape[0], values.shape[1], poses.ctypes.data
        )
        self.runtime.check(code)
        return poses

    def step(self) -> int:
        windows = c.c_int32()
        self.runtime.check(self.runtime.lib.pm_lifter_step(self.handle, c.byref(windows)))
        return windows.value

    def stream(self, **options: Any) -> Stream:
        values = StreamOptions()
        self.runtime.lib.pm_stream_default_options(c.byref(values))
        for key, value in _arguments(options).items():
            setattr(values, key, value)
        handle = c.c_void_p()
        self.runtime.check(
            self.runtime.lib.pm_stream_open(self.handle, c.byref(values), c.byref(handle))
        )
        return Stream(self.runtime, handle)

    def close(self) -> None:
        self.runtime.lib.pm_lifter_close(self.handle)


class Stream:
    def __init__(self, runtime: Runtime, handle: c.c_void_p) -> None:
        self.runtime = runtime
        self.handle = handle

    def push(
        self, frame: int, values: npt.ArrayLike, person: int = 0, timestamp: float = float("nan")
    ) -> None:
        points = np.ascontiguousarray(values, dtype=np.float32)
        code = self.runtime.lib.pm_stream_push(
            self.handle, frame, timestamp, person, points.ctypes.data, *points.shape
        )
        self.runtime.check(code)

    def poll(self) -> Pose | None:
        raw = RawPose()
        code = self.runtime.lib.pm_stream_poll(self.handle, c.byref(raw))
        if code == NOT_READY:
            return None
        self.runtime.check(code)
        joints = np.array(raw.joints, dtype=np.float32)
        return Pose(raw.person, raw.frame, raw.timestamp, joints, raw.filled)

    def poses(self) -> Iterator[Pose]:
        while (pose := self.poll()) is not None:
            yield pose

    def ready(self) -> int:
        count = c.c_int32()
        self.runtime.check(self.runtime.lib.pm_stream_ready(self.handle, c.byref(count)))
        return count.value

    def flush(self) -> None:
        self.runtime.check(self.runtime.lib.pm_stream_flush(self.handle))

    def end(self, person: int) -> None:
        self.runtime.check(self.runtime.lib.pm_stream_end(self.handle, person))

    def reset(self, person: int = -1) -> None:
        self.runtime.check(self.runtime.lib.pm_stream_reset(self.handle, person))

    def delay(self) -> tuple[int, float]:
        frames, seconds = c.c_int32(), c.c_double()
        self.runtime.check(
            self.runtime.lib.pm_stream_delay(self.handle, c.byref(frames), c.byref(seconds))
        )
        return frames.value, seconds.value

    def close(self) -> None:
        self.runtime.lib.pm_stream_close(self.handle)
