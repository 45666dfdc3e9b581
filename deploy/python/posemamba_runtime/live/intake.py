"""One frame of JSON at a time to keypoints in pixels with a person's id.

Unlike a recording, a stream has no whole to look at: layout, units and the image's size are settled
by the first frame that shows somebody, and a later frame that does not fit is refused alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.frames import FrameReader
from posemamba_runtime.keypoints.judge import confident, judge, placed
from posemamba_runtime.keypoints.layouts import LAYOUTS
from posemamba_runtime.keypoints.people import Detection
from posemamba_runtime.keypoints.recording import Detections, Floats
from posemamba_runtime.keypoints.source import Json
from posemamba_runtime.keypoints.times import DEFAULT_RATE
from posemamba_runtime.keypoints.tracker import Tracker

_PATIENCE = 300
"""Frames of people without a keypoint that was found, before that is taken for a mistake."""


_MOST_NAMES, _LONGEST_NAME = 100_000, 256
"""People of a stream whose ids are texts; each is remembered."""

_SLOWEST_S = 4.0
_SLOW_STEPS = 3
"""Seconds from a frame to the next that no camera takes; 4 ms are 250 frames a second."""


class Seen(NamedTuple):
    """One person in one frame: values (joints, 3) pixels and confidence, NaN where not found."""

    frame: int
    timestamp: float
    person: int
    values: Floats


@dataclass(frozen=True)
class Settled:
    """What the first frame with somebody decided.

    Attributes:
        scale: of x and y, to pixels.
        rate: frames a second.
        keypoints: that a person has; the layout's, or more behind them.
    """

    layout: str
    size: tuple[int, int]
    scale: tuple[float, float]
    rate: float
    keypoints: int


class Intake:
    """Reads frames and keeps nothing of them.

    Args:
        wanted: format; None looks.
        size: of the image in pixels, where the stream does not tell.
        rate: frames a second; None: what the stream says of itself.
        default_rate: where it does not say either.
    """

    def __init__(
        self,
        *,
        wanted: str | None,
        size: tuple[int, int] | None,
        layout: str | None,
        min_confidence: float,
        rate: float | None,
        default_rate: float = DEFAULT_RATE,
    ) -> None:
        self._reader = FrameReader(wanted)
        self._size = size
        self._layout = layout
        self._limit = min_confidence
        self._rate = rate
        self._default_rate = default_rate
        self._tracker = Tracker()
        self._names: dict[str, int] = {}
        self._highest = -1
        self._follows = False
        self._waited = 0
        self._before: tuple[int, float] | None = None
        self._slow_steps: int | None = 0
        self.settled: Settled | None = None

    def take(self, document: Json) -> Iterator[Seen]:
        """The people of one frame.

        Raises:
            InputError: no frame, or one that does not fit the first.
        """
        found = self._reader.found
        try:
            taken = self._reader.read(document)
        finally:
            found.left_out.clear()
        if taken is None or not taken.people:
            return
        frame, people, timestamp = taken
        if self.settled is None:
            if self._waited < _PATIENCE and not any(self._shows(person) for person in people):
                self._waited += 1  # an empty room is no reason to stop
                return
            self.settled = self._settle(people)
        seconds = frame / self.settled.rate if timestamp is None else timestamp
        if timestamp is not None:
            self._judge_time(frame, timestamp)
        rows = [self._values(person, self.settled) for person in people]
        ids = self._ids(frame, people, rows)
        for who, values in zip(ids, rows, strict=True):
            if who >= 0:
                yield Seen(frame, seconds, who, values)

    def _judge_time(self, frame: int, timestamp: float) -> None:
        """Refuse milliseconds that claim to be seconds, until one step is that of a camera.

        One long step alone may be an empty room of a source that writes frames with people only.
        """
        before, self._before = self._before, (frame, timestamp)
        if self._slow_steps is None or before is None or frame <= before[0]:
            return
        step = (timestamp - before[1]) / (frame - before[0])
        self._slow_steps = self._slow_steps + 1 if step > _SLOWEST_S else None
        if self._slow_steps is not None and self._slow_steps >= _SLOW_STEPS:
            raise InputError(
                f"timestamps go up by {step:g} a frame: write seconds, or call them 'timestamp_ms'"
            )

    def _shows(self, person: Detection) -> bool:
        """Whether a keypoint of the person was found."""
        values = person.values
        sure = confident(values[:, 2], self._limit) if values.shape[1] == 3 else True
        return bool((placed(values[None], normalised=False)[0] & sure).any())

    def _settle(self, people: list[Detection]) -> Settled:
        found = self._reader.found
        one = Detections(layout=found.layout, size=found.size)
        one.people.add(0, people)
        judged = judge(one, size=self._size, min_confidence=self._limit, layout=self._layout)
        width, height = judged.canvas
        scale = (float(width), float(height)) if judged.fractions else (1.0, 1.0)
        found.size = judged.canvas  # a header or frame that says another one is refused from now on
        rate = self._rate or found.rate or self._default_rate
        return Settled(judged.layout, judged.canvas, scale, rate, len(people[0].values))

    def _values(self, person: Detection, settled: Settled) -> Floats:
        joints = len(LAYOUTS[settled.layout].joints)
        if len(person.values) != settled.keypoints:
            raise InputError(
                f"{len(person.values)} keypoints a person, where the frames before have "
                f"{settled.keypoints}"
            )
        values = np.ones((joints, 3))
        values[:, : person.values.shape[1]] = person.values[:joints]
        found = placed(values[None], normalised=False)[0]
        found &= confident(values[:, 2], self._limit)
        values[:, :2] *= settled.scale
        values[~found] = np.nan
        return values

    def _ids(self, frame: int, people: list[Detection], rows: list[Floats]) -> list[int]:
        """A number for each person; from the first doubt on by position, as in recordings."""
        given = [person.person for person in people]
        if not self._follows and (None in given or len(set(given)) < len(given)):
            self._follows = True
            self._tracker = Tracker(self._highest + 1)  # nobody gets a number that was another's
        if self._follows:
            return self._tracker.follow(frame, rows)
        if not self._names and all(isinstance(who, int) for who in given):
            numbers = [who for who in given if isinstance(who, int)]
            self._highest = max(self._highest, *numbers)
            return numbers
        return [self._number(str(who)) for who in given]

    def _number(self, name: str) -> int:
        if len(name) > _LONGEST_NAME or len(self._names) >= _MOST_NAMES:
            raise InputError(
                f"a person's id has {len(name)} letters, after {len(self._names)} other names of "
                f"people: at most {_LONGEST_NAME} and {_MOST_NAMES}"
            )
        number = self._names.setdefault(name, self._highest + 1)
        self._highest = max(self._highest, number)
        return number
