"""Frames in, poses out: a stream that outlives bad frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from posemamba_runtime.errors import BadArgument
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.lifter import Lifter
from posemamba_runtime.live.intake import Intake, Settled
from posemamba_runtime.live.sources import Item
from posemamba_runtime.live.steps import lift_due
from posemamba_runtime.stream import Pose, Stream
from posemamba_runtime.text import counted

_WARNINGS = 5  # told one by one; then counted


@dataclass
class Counts:
    """What came and went."""

    frames: int = 0
    refused: int = 0
    poses: int = 0


def run(
    lifter: Lifter,
    items: Iterable[Item],
    intake: Intake,
    open_stream: Callable[[Settled], Stream],
    sink: Callable[[Pose], None],
    warn: Callable[[str], None],
) -> Counts:
    """Lift until the frames end.

    Args:
        items: documents, and errors of those that cannot be read.
        open_stream: called once, when layout and size are settled.
        sink: takes every pose as soon as it is due.
        warn: takes one line about a frame that was passed over.

    Raises:
        Error: the first frame settles nothing, or the model fails.
    """
    counts = Counts()
    stream: Stream | None = None
    try:
        for item in items:
            counts.frames += 1
            try:
                if isinstance(item, InputError):
                    raise item
                for seen in intake.take(item):
                    if stream is None and intake.settled is not None:
                        stream = open_stream(intake.settled)
                    if stream is not None:
                        stream.push(
                            seen.values, seen.frame, timestamp=seen.timestamp, person=seen.person
                        )
            except BadArgument as error:
                if intake.settled is None and not isinstance(item, InputError):
                    raise  # the size is missing, or the format is unknown: nothing will come of it
                counts.refused += 1
                _warn(warn, counts.refused, str(error))
            if stream is not None:
                _hand_out(lifter, stream, sink, warn, counts)
    except KeyboardInterrupt:
        pass  # the usual end of a live stream
    if stream is not None:
        stream.flush()
        _hand_out(lifter, stream, sink, warn, counts)
        stream.close()
    if counts.refused > _WARNINGS:
        warn(f"{counted(counts.refused, 'frame')} passed over in all")
    return counts


def _hand_out(
    lifter: Lifter,
    stream: Stream,
    sink: Callable[[Pose], None],
    warn: Callable[[str], None],
    counts: Counts,
) -> None:
    _, lost = lift_due(lifter)
    if lost:
        counts.refused += 1
        _warn(warn, counts.refused, lost)
    for pose in stream:
        sink(pose)
        counts.poses += 1


def _warn(warn: Callable[[str], None], count: int, text: str) -> None:
    if count <= _WARNINGS:
        more = "; further ones are counted only" if count == _WARNINGS else ""
        warn(f"passed over: {text}{more}")
