"""One camera or recording: keypoints go in, poses come out when a step has lifted them."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator
from ctypes import POINTER, byref, c_double, c_float, c_int32
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from posemamba_runtime import _library
from posemamba_runtime._handle import Handle
from posemamba_runtime._structs import JOINTS, PoseStruct, floats, real, whole
from posemamba_runtime.errors import BadArgument, Result

EVERYBODY = -1


@dataclass(frozen=True, eq=False)
class Pose:
    """One person in one frame.

    Attributes:
        person: as it was pushed.
        frame: as it was pushed.
        timestamp: seconds, as it was pushed.
        joints: (17, 3) float32, Human3.6M order; x right, y down, z away from the camera, the
            pelvis at the origin; metres where the stream has a ``height_m``, else network units.
        filled: (17,) joint filled in, not seen.
    """

    person: int
    frame: int
    timestamp: float
    joints: npt.NDArray[np.float32]
    filled: npt.NDArray[np.bool_]


class Delay(NamedTuple):
    """How far a pose comes behind its keypoints."""

    frames: int
    seconds: float


class Stream:
    """Made by :meth:`posemamba_runtime.Lifter.stream`; iterating gives the poses that are ready.

    Its methods may be called from several threads, with the frames of one person in order of time.
    """

    def __init__(self, library: ctypes.CDLL, handle: Handle, rate: float) -> None:
        self._library = library
        self._handle = handle
        self._rate = rate
        self._finalizer = weakref.finalize(self, handle.close)

    def push(
        self,
        values: npt.ArrayLike,
        frame: int,
        timestamp: float | None = None,
        person: int = 0,
    ) -> None:
        """One person in one frame.

        Args:
            values: (points, 2) pixels, or (points, 3) with a confidence. NaN, (0, 0), a negative
                pair and a confidence below the stream's mean "not found".
            frame: its number; one that is left out was dropped.
            timestamp: seconds; None: ``frame`` divided by the stream's rate.
            person: who it is.

        Raises:
            Error: another number of points, an infinite one, or time that runs backwards.
        """
        points = floats("values", values)
        if points.ndim != 2:
            raise BadArgument(f"values is {points.shape}, it must be (points, 2) or (points, 3)")
        number = whole("frame", frame, 64)
        if timestamp is None and not self._rate > 0:
            raise BadArgument("push needs a timestamp, or a stream opened with a rate")
        seconds = number / self._rate if timestamp is None else real("timestamp", timestamp)
        identity = whole("person", person)
        with self._handle as pointer:
            code = self._library.pm_stream_push(
                pointer,
                number,
                seconds,
                identity,
                points.ctypes.data_as(POINTER(c_float)),
                *points.shape,
            )
            _library.check(code)

    def poll(self) -> Pose | None:
        """The next pose that is ready; None: there is none."""
        struct = PoseStruct()
        struct.struct_size = ctypes.sizeof(PoseStruct)
        with self._handle as pointer:
            code = self._library.pm_stream_poll(pointer, byref(struct))
            if code == Result.NOT_READY:
                return None
            _library.check(code)
        bits = struct.filled
        return Pose(
            person=struct.person,
            frame=struct.frame,
            timestamp=struct.timestamp,
            joints=np.ctypeslib.as_array(struct.joints).copy(),
            filled=np.array([bits >> joint & 1 for joint in range(JOINTS)], np.bool_),
        )

    def __iter__(self) -> Iterator[Pose]:
        while (pose := self.poll()) is not None:
            yield pose

    def flush(self) -> None:
        """No more frames come: what is pending becomes due at the next step."""
        with self._handle as pointer:
            _library.check(self._library.pm_stream_flush(pointer))

    def reset(self, person: int | None = None) -> None:
        """Forget a person, as if never seen; None: everybody."""
        identity = EVERYBODY if person is None else whole("person", person)
        with self._handle as pointer:
            _library.check(self._library.pm_stream_reset(pointer, identity))

    @property
    def delay(self) -> Delay:
        """How far poses come behind their keypoints, smoothing included."""
        frames, seconds = c_int32(), c_double()
        with self._handle as pointer:
            code = self._library.pm_stream_delay(pointer, byref(frames), byref(seconds))
            _library.check(code)
        return Delay(frames.value, seconds.value)

    def close(self) -> None:
        """Close it; calls inside are waited for. A second time does nothing."""
        self._handle.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
