"""One camera or recording: keypoints go in, poses come out when a step has lifted them."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from ctypes import POINTER, byref, c_double, c_float, c_int32, c_void_p
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from posemamba_runtime import _library
from posemamba_runtime._structs import JOINTS, PoseStruct, floats, real, whole
from posemamba_runtime.errors import BadArgument, Result

_EVERYBODY = -1


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
    """How far a pose comes behind its keypoints; seconds are NaN where no rate is known."""

    frames: int
    seconds: float


class Stream(_library.Handle):
    """Made by :meth:`posemamba_runtime.Lifter.stream`; iterating gives the poses that are ready.

    Its methods may be called from several threads, with the frames of one person in order of time.
    """

    def __init__(self, lifter: object, library: ctypes.CDLL, pointer: c_void_p) -> None:
        self._lifter = lifter  # a lifter that is freed would refuse its streams
        self._library = library
        super().__init__(pointer, library.pm_stream_close)

    def push(
        self,
        values: npt.ArrayLike,
        frame: int,
        timestamp: float | None = None,
        person: int = 0,
    ) -> None:
        """One person in one frame.

        Args:
            values: (points, 2) pixels, or (points, 3) with a confidence. NaN, infinities, (0, 0),
                a negative pair and a confidence of 0 or below the stream's mean "not found".
            frame: its number, larger than this person's last; one that is left out is filled in.
            timestamp: seconds; None: ``frame`` divided by the stream's rate, if it has one.
            person: who it is.

        Raises:
            Error: another number of points, coordinates that are no pixels of the image, or time
                that runs backwards.
        """
        points = floats("values", values)
        if points.ndim != 2:
            raise BadArgument(f"values is {points.shape}, it must be (points, 2) or (points, 3)")
        code = self._library.pm_stream_push(
            self._pointer,
            whole("frame", frame, 64),
            math.nan if timestamp is None else real("timestamp", timestamp),
            whole("person", person),
            points.ctypes.data_as(POINTER(c_float)),
            *points.shape,
        )
        _library.check(code)

    def poll(self) -> Pose | None:
        """The next pose that is ready; None: there is none."""
        struct = PoseStruct()
        struct.struct_size = ctypes.sizeof(PoseStruct)
        code = self._library.pm_stream_poll(self._pointer, byref(struct))
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
        """The poses that are ready now; it ends where :meth:`poll` gives None."""
        while (pose := self.poll()) is not None:
            yield pose

    @property
    def ready(self) -> int:
        """How many poses :meth:`poll` would give now."""
        poses = c_int32()
        _library.check(self._library.pm_stream_ready(self._pointer, byref(poses)))
        return poses.value

    def flush(self) -> None:
        """No more frames come: what is pending becomes due at the next step."""
        _library.check(self._library.pm_stream_flush(self._pointer))

    def end(self, person: int) -> None:
        """Somebody has left: what is pending of this person becomes due at the next step."""
        _library.check(self._library.pm_stream_end(self._pointer, whole("person", person)))

    def reset(self, person: int | None = None) -> None:
        """Forget a person, with all that was not polled yet; None: everybody."""
        identity = _EVERYBODY if person is None else whole("person", person)
        _library.check(self._library.pm_stream_reset(self._pointer, identity))

    @property
    def delay(self) -> Delay:
        """How long after its own frame a pose can be had at most, resampling and smoothing
        included."""
        frames, seconds = c_int32(), c_double()
        code = self._library.pm_stream_delay(self._pointer, byref(frames), byref(seconds))
        _library.check(code)
        return Delay(frames.value, seconds.value)
