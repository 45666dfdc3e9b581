"""A model, opened once and shared by every stream."""

from __future__ import annotations

import json
import os
from ctypes import POINTER, byref, c_float, c_int32, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba_runtime import _library
from posemamba_runtime._structs import (
    JOINTS,
    Floats,
    LifterOptions,
    StreamOptions,
    default_options,
    fill,
    floats,
    text,
)
from posemamba_runtime.errors import BadArgument
from posemamba_runtime.stream import Stream


def _here(path: str | os.PathLike[str] | None) -> str | None:
    """A file of the working folder by its whole name: the loader searches its own path for a name
    without a folder."""
    if path is None:
        return None
    return str(Path(path).absolute()) if Path(path).exists() else os.fspath(path)


class Lifter(_library.Handle):
    """An exported model or an engine; its methods may be called from any thread.

    Args:
        path: ``M.onnx`` or ``E.engine``.
        backend: "auto", "onnxruntime-cpu", "onnxruntime-cuda", "tensorrt", "tensorrt-lean" or
            "tensorrt-rtx".
        runtime_library: ``libonnxruntime.so``, ``libnvinfer.so``, ...; None: the one in the wheel
            that pip installed, else where the system finds it.
        op_library: custom-op library or plugin; None: the package's own.
        device: number of the GPU.
        threads: on the CPU: inside each operator for one window, a window each for many; 0: one for
            each core.
        cuda_graph: record the work of each size once and replay it; None: the library's default.
        allow_fallback: take ONNX Runtime on the CPU where the back end is not to be had.
        tf32: let onnxruntime-cuda round the inputs of float32 products to 10 bits, which is faster.

    Raises:
        Error: the file, or what it needs, cannot be opened; the sentence says what to do.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        backend: str = "auto",
        *,
        runtime_library: str | os.PathLike[str] | None = None,
        op_library: str | os.PathLike[str] | None = None,
        device: int = 0,
        threads: int = 0,
        cuda_graph: bool | None = None,
        allow_fallback: bool = False,
        tf32: bool = False,
    ) -> None:
        self._library = _library.load()
        name = os.fspath(path)
        file = text("path", name)
        options = default_options(self._library, LifterOptions)
        fill(options, {"backend": backend})
        family = _library.family(name, backend)
        runtime = _here(runtime_library) or _library.runtime_library(family)
        if runtime is not None and backend != "onnxruntime-cpu":
            _library.preload_cuda(runtime)
        if runtime is None and (backend, family) == ("auto", "tensorrt"):
            _library.preload_lean()
        fill(
            options,
            {
                "runtime_library": runtime,
                "op_library": _here(op_library) or _library.op_library(family),
                "device": device,
                "threads": threads,
                "cuda_graph": cuda_graph,
                "allow_fallback": allow_fallback,
                "tf32": tf32,
            },
        )
        pointer = c_void_p()
        _library.check(self._library.pm_lifter_open(file, byref(options), byref(pointer)))
        super().__init__(pointer, self._library.pm_lifter_close)
        self._info = self._library.pm_lifter_info(pointer)

    @property
    def info(self) -> dict[str, Any]:
        """Model, precision, frames, the back end really used, and the libraries' paths and
        versions."""
        found: dict[str, Any] = json.loads(self._info)
        return found

    def lift(self, keypoints_2d: npt.ArrayLike) -> Floats:
        """The network and nothing else.

        Args:
            keypoints_2d: (batch, frames, 17, 2) or (frames, 17, 2): Human3.6M joints, normalised by
                the image width as the model was trained.

        Returns:
            float32 of the same shape with 3 in place of 2.

        Raises:
            Error: another shape, a point that is not finite, or the back end failed.
        """
        clips = floats("keypoints_2d", keypoints_2d)
        if clips.ndim not in (3, 4) or clips.shape[-2:] != (JOINTS, 2):
            raise BadArgument(
                f"keypoints_2d is {clips.shape}, it must be (batch, frames, {JOINTS}, 2) or "
                f"(frames, {JOINTS}, 2)"
            )
        poses = np.empty((*clips.shape[:-1], 3), np.float32)
        batch = clips.shape[0] if clips.ndim == 4 else 1
        code = self._library.pm_lifter_lift(
            self._pointer,
            clips.ctypes.data_as(POINTER(c_float)),
            batch,
            clips.shape[-3],
            poses.ctypes.data_as(POINTER(c_float)),
        )
        _library.check(code)
        return poses

    def step(self) -> int:
        """Lift every window that is due in this lifter's streams, as one batch; how many it was.

        Raises:
            BackendFailed: the back end failed, and what was due stays due; or the network gave NaN
                or infinity for a window, which has none and is not due again; the rest is lifted.
        """
        lifted = c_int32()
        _library.check(self._library.pm_lifter_step(self._pointer, byref(lifted)))
        return lifted.value

    def stream(
        self,
        keypoints: str = "coco17",
        size: tuple[int, int] = (1920, 1080),
        *,
        window: int = 0,
        hop: int = 1,
        policy: str = "last",
        lag: int = 0,
        rate: float = 0,
        model_rate: float = 0,
        min_confidence: float | None = None,
        max_persons: int | None = None,
        flip: bool = False,
        smoothing: float = 0,
        height_m: float = 0,
        max_gap: int = 0,
    ) -> Stream:
        """A camera or a recording, with any number of persons in it.

        Args:
            keypoints: what its points are: "h36m17", "coco17", "coco18", "body25", "body25b",
                "halpe26", "wholebody133" or "mediapipe33" (multiply its fractions by the size).
            size: width and height in pixels of the image they refer to.
            window: frames the network sees at once; 0: as many as the model takes.
            hop: frames from one window to the next.
            policy: which frame of a window is handed out: "last", the newest, without delay; "lag",
                the frame ``lag`` before it; "center"; "blend", every frame, from overlapping
                windows averaged without a seam.
            rate: frames a second of the input; 0: unknown.
            model_rate: frames a second the network was trained on; windows are resampled to it.
            min_confidence: points below it were not found; None: the library's default.
            max_persons: at a time; None: the library's default.
            flip: average with the mirrored clip.
            smoothing: beta of a One-Euro filter; 0: none.
            height_m: a person's height, for poses in metres; 0: the network's units.
            max_gap: frames of the input after which somebody who was away starts anew; 0: the
                window's, at least 30.

        Raises:
            Error: a value is out of range.
        """
        try:
            width, height = size
        except (TypeError, ValueError):
            raise BadArgument(f"size is {size!r}, it must be (width, height)") from None
        options = default_options(self._library, StreamOptions)
        fill(
            options,
            {
                "keypoints": keypoints,
                "width": width,
                "height": height,
                "window": window,
                "hop": hop,
                "policy": policy,
                "lag": lag,
                "rate": rate,
                "model_rate": model_rate,
                "min_confidence": min_confidence,
                "max_persons": max_persons,
                "flip": flip,
                "smoothing": smoothing,
                "height_m": height_m,
                "max_gap": max_gap,
            },
        )
        opened = c_void_p()
        _library.check(self._library.pm_stream_open(self._pointer, byref(options), byref(opened)))
        return Stream(self, self._library, opened)
