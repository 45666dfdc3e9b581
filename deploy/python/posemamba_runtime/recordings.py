"""A whole recording through a model: completed, lifted stretch by stretch, put together.

recording = keypoints.read("openpose_folder", size=(1920, 1080))
motion = lift_recording(Lifter("S.onnx"), recording)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.errors import BadArgument
from posemamba_runtime.keypoints.complete import Completed, Stretch, complete
from posemamba_runtime.keypoints.recording import Recording
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.stream import Stream

Poses = npt.NDArray[np.float32]

_PUSHES_A_STEP, _WINDOWS_A_STEP = 512, 8
"""Frames that wait for one step, and windows if those are more: enough for every core to have some,
and memory that stays flat."""

_HOP = 0.75
"""Of a window, from one blended window to the next: a quarter is lifted twice. On two motions of
1,000 frames that the bundled network never saw, its error is 0.0271 network units at this hop,
0.0274 at half a window and 0.0277 at seven eighths: the same, within what the cut itself changes.
"""


class Lifts(Protocol):
    """What is needed of a :class:`posemamba_runtime.Lifter`."""

    @property
    def info(self) -> dict[str, Any]: ...

    def step(self) -> int: ...

    def stream(
        self,
        keypoints: str,
        size: tuple[int, int],
        *,
        window: int,
        hop: int,
        policy: str,
        rate: float,
        flip: bool,
        smoothing: float,
        height_m: float,
    ) -> Stream: ...


@dataclass(frozen=True)
class LiftOptions:
    """How a recording is lifted; see :meth:`posemamba_runtime.Lifter.stream`.

    Attributes:
        window: frames the network sees at once; 0: as many as the model takes.
        hop: frames from one window to the next; 0: three quarters of a window where they are
            blended, else 1.
        height_m: a person's height, for poses in metres; 0: the network's units.
        units: "m" or "mm" with a height, "network" without; "" takes the first that fits.

    Raises:
        BadArgument: units that the poses would not have.
    """

    window: int = 0
    hop: int = 0
    policy: str = "blend"
    flip: bool = False
    smoothing: float = 0.0
    height_m: float = 0.0
    units: str = ""

    def __post_init__(self) -> None:
        fitting = ("m", "mm") if self.height_m else ("network",)
        if self.units not in ("", *fitting):
            given = f"height_m={self.height_m:g}" if self.height_m else "no height_m"
            raise BadArgument(f"units is '{self.units}' with {given}: give {' or '.join(fitting)}")
        object.__setattr__(self, "units", self.units or fitting[0])


@dataclass(frozen=True)
class Lifted:
    """The motion, and what was done about what was not seen.

    Attributes:
        placed: person to the limbs that no frame shows and that were placed.
        lost: person, reason and number of frames that could not be lifted.
    """

    motion: Motion
    placed: dict[int, tuple[str, ...]]
    lost: tuple[tuple[int, str, int], ...]


Progress = Callable[[int, int], None]
"""Called with the frames lifted so far, and all of them."""


@dataclass(frozen=True)
class Prepared:
    """A recording whose gaps are filled: what is left is the network's work.

    Attributes:
        recording: without its tracks, which nobody needs any more.
        people: ids of those who can be lifted, and their keypoints.
        lost: person, reason and number of frames that cannot be.
    """

    recording: Recording
    people: tuple[tuple[int, Completed], ...]
    lost: tuple[tuple[int, str, int], ...]

    @property
    def frames(self) -> int:
        """Poses there will be."""
        return sum(len(part.frames) for _, whole in self.people for part in whole.stretches)


def prepare(recording: Recording) -> Prepared:
    """Fill what was not found.

    Raises:
        BadArgument: nobody can be lifted, with the reason.
    """
    completed = [(track, complete(track, recording.layout)) for track in recording.tracks]
    lost = tuple((track.person, *reason) for track, whole in completed for reason in whole.lost)
    people = tuple((track.person, whole) for track, whole in completed if whole.stretches)
    if not people:
        raise BadArgument(_nobody(recording, lost))
    return Prepared(replace(recording, tracks=()), people, lost)


def lift_recording(
    lifter: Lifts,
    recording: Recording,
    options: LiftOptions = LiftOptions(),
) -> Lifted:
    """Lift everybody in a recording.

    Raises:
        BadArgument: nobody can be lifted, with the reason.
        Error: the model failed.
    """
    return lift_prepared(lifter, prepare(recording), options)


def lift_prepared(
    lifter: Lifts,
    prepared: Prepared,
    options: LiftOptions,
    *,
    model: str = "",
    progress: Progress = lambda done, total: None,
) -> Lifted:
    """The network's part of :func:`lift_recording`."""
    recording, total = prepared.recording, prepared.frames
    done = 0

    def advance(frames: int) -> None:
        nonlocal done
        done += frames
        progress(done, total)

    tracks = tuple(
        _lift_person(lifter, recording, person, whole, options, advance)
        for person, whole in prepared.people
    )
    motion = Motion(
        tracks,
        recording.rate,
        options.units,
        recording.size,
        recording.source,
        model,
        pictures=recording.pictures,
    )
    placed = {person: whole.placed for person, whole in prepared.people if whole.placed}
    return Lifted(motion, placed, prepared.lost)


def _nobody(recording: Recording, lost: tuple[tuple[int, str, int], ...]) -> str:
    if not lost:
        return f"{recording.source}: nobody is left to lift"
    person, reason, _ = max(lost, key=lambda entry: entry[2])
    who = f"person {person}: " if len(recording.tracks) > 1 else ""
    return (
        f"{recording.source}: {who}{reason}, and the network needs them: use frames that show "
        "them, or lower --min-confidence"
    )


def _lift_person(
    lifter: Lifts,
    recording: Recording,
    person: int,
    whole: Completed,
    options: LiftOptions,
    advance: Callable[[int], None],
) -> Track:
    frames = long_arrays.joined([stretch.frames for stretch in whole.stretches])
    poses: Poses = long_arrays.empty((len(frames), 17, 3), np.float32)
    for rows in long_arrays.pieces(poses):
        poses[rows] = np.nan
    size, down = _room(recording.canvas, whole)
    window, hop = _windows(lifter, options)
    with lifter.stream(
        "h36m17",
        size,
        window=window,
        hop=hop,
        policy=options.policy,
        rate=recording.rate,
        flip=options.flip,
        smoothing=options.smoothing,
        height_m=options.height_m,
    ) as stream:
        for stretch in whole.stretches:
            at_once = max(_PUSHES_A_STEP, _WINDOWS_A_STEP * hop)
            for number, joints in _lift_stretch(lifter, stream, stretch, down, at_once, advance):
                place = int(np.searchsorted(frames, number))
                poses[place] = joints
                if place % long_arrays.ROWS == 0:
                    long_arrays.release(poses)
    got = np.empty(len(poses), np.bool_)
    for rows in long_arrays.pieces(poses):
        if options.units == "mm":
            poses[rows] *= 1000.0
        got[rows] = np.isfinite(poses[rows, 0, 0])
    timestamps = long_arrays.joined([stretch.timestamps for stretch in whole.stretches])
    filled = long_arrays.joined([stretch.filled for stretch in whole.stretches])
    lifted = np.flatnonzero(got)
    return Track(
        person,
        long_arrays.taken(frames, lifted),
        long_arrays.taken(timestamps, lifted),
        long_arrays.taken(poses, lifted),
        long_arrays.taken(filled, lifted),
        long_arrays.taken(whole.keypoints_2d, lifted),
    )


def _lift_stretch(
    lifter: Lifts,
    stream: Stream,
    stretch: Stretch,
    down: float,
    at_once: int,
    advance: Callable[[int], None],
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    total = len(stretch.points)
    for start in range(0, total, at_once):
        end = min(start + at_once, total)
        points = (stretch.points[start:end] + np.array([0.0, down])).astype(np.float32)
        for index in range(start, end):
            frame, time = int(stretch.frames[index]), float(stretch.timestamps[index])
            stream.push(points[index - start], frame, time)
        if end == total:
            stream.flush()
        lifter.step()
        for pose in stream:
            yield pose.frame, pose.joints
        long_arrays.release(stretch.points)
        advance(end - start)


def _room(canvas: tuple[int, int], whole: Completed) -> tuple[tuple[int, int], float]:
    """An image in which no point is above the edge, and how far down the points move in it.

    A negative pair means "not found" to the stream, but here everything is placed: a head may well
    stick out of the picture. An image higher by twice what the points move down has them at the
    same normalised place.
    """
    lowest = min(
        float(stretch.points[rows, :, 1].min())
        for stretch in whole.stretches
        for rows in long_arrays.pieces(stretch.points)
    )
    down = math.ceil(max(0.0, 1.0 - lowest))
    return (canvas[0], canvas[1] + 2 * down), float(down)


def _windows(lifter: Lifts, options: LiftOptions) -> tuple[int, int]:
    """Window and hop as the stream takes them."""
    if options.hop or options.policy != "blend":
        return options.window, options.hop or 1
    return options.window, max(1, int(_HOP * (options.window or longest_window(lifter))))


def window_limits(lifter: Lifts) -> tuple[int, int | None]:
    """Frames of the model's shortest and longest window; None where it does not say, as those of
    other tools."""
    frames = lifter.info["frames"]
    return int(frames["min"]), None if frames["max"] is None else int(frames["max"])


def longest_window(lifter: Lifts, instead: str = "--window") -> int:
    """Frames of it.

    Args:
        instead: what to give where the model does not say.

    Raises:
        BadArgument: it does not.
    """
    longest = window_limits(lifter)[1]
    if longest is None:
        raise BadArgument(
            f"'{lifter.info['model']}' does not say how many frames it takes: give {instead}, or "
            "export it with 'pmexport onnx'"
        )
    return longest
