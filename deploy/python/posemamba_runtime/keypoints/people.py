"""Everybody in every frame, a row each, in arrays that grow: a recording may be an hour long."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays

Floats = npt.NDArray[np.floating]
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Person = int | str | None

_ROWS = 1024  # of the first block; each later one has as many as all before it
_LARGEST = float(np.finfo(np.float32).max)


class Detection(NamedTuple):
    """One person in one frame.

    Attributes:
        values: (keypoints, 2) x and y or (keypoints, 3) with confidence, as the file has them.
        person: the file's id of the person, where it has one.
    """

    values: Floats
    person: Person = None


class Mixed(NamedTuple):
    """Two frames whose people have different numbers of keypoints."""

    frame: int
    keypoints: int
    other_frame: int
    other_keypoints: int


@dataclass(frozen=True)
class Persons:
    """The file's ids of many rows, told apart by small numbers: an hour repeats a few ids.

    Attributes:
        places: (rows,) of each row's id among ``ids``.
        ids: that occur; None: no id.
    """

    places: Ints
    ids: tuple[Person, ...]

    @property
    def given(self) -> tuple[Person, ...]:
        """The ids that rows have."""
        return tuple(self.ids[place] for place in np.unique(self.places).tolist())


class People:
    """Frames in the order they come, each with any number of people.

    Attributes:
        confident: somebody came with confidences.
        mixed: the first two frames that do not fit each other; rows that do not fit are dropped.
    """

    def __init__(self) -> None:
        self.confident = False
        self.mixed: Mixed | None = None
        self._looked_at = array("q")
        self._times = array("d")  # of each frame that was looked at; none until one has a time
        self._numbers = array("q")
        self._places = array("q")  # of a row's id among the ids
        self._ids: dict[Person, int] = {}
        self._blocks: list[Floats32] = []  # full, but for the last
        self._free = 0  # rows left in the last block

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def looked_at(self) -> int:
        """How many frames there were; one that came twice counts twice."""
        return len(self._looked_at)

    def frames(self) -> Ints:
        """Numbers of all frames, those that show nobody too, ascending."""
        numbers: Ints = np.array(self._looked_at, np.int64)
        return numbers if (np.diff(numbers) > 0).all() else np.unique(numbers)

    def timed(self) -> tuple[Ints, npt.NDArray[np.float64]]:
        """Frames that have a time, ascending, and their seconds: the last that came of each."""
        numbers = np.frombuffer(self._looked_at, np.int64)[: len(self._times)]
        times = np.frombuffer(self._times, np.float64)
        known = np.flatnonzero(~np.isnan(times))
        numbers, times = numbers[known], times[known]
        if not (np.diff(numbers) > 0).all():
            order = np.argsort(numbers, kind="stable")
            numbers, times = numbers[order], times[order]
            last = np.diff(numbers, append=-1) != 0
            numbers, times = numbers[last], times[last]
        return numbers, times

    @property
    def empty_frames(self) -> int:
        """How many frames show nobody."""
        numbers = np.frombuffer(self._numbers, np.int64)
        steps = np.diff(numbers)
        shown = len(np.unique(numbers)) if (steps < 0).any() else int((steps > 0).sum()) + 1
        return len(self.frames()) - (shown if len(numbers) else 0)

    def add(
        self, frame: int, people: Sequence[Detection] = (), timestamp: float | None = None
    ) -> None:
        """A frame that was looked at, and its time in seconds where it has one."""
        if timestamp is not None:
            self._times.extend([np.nan] * (len(self._looked_at) - len(self._times)))
            self._times.append(timestamp)
        self._looked_at.append(frame)
        for values, person in people:
            if self._fits(frame, values.shape):
                _fill(self._room(len(values), 1), values[None])
                self._numbers.append(frame)
                self._places.append(self._place(person))

    def add_clip(self, values: Floats, person: Person) -> None:
        """Somebody in frames 0, 1, ...: (frames, keypoints, 2 or 3)."""
        self._looked_at.extend(range(len(values)))
        if not self._fits(0, values.shape[1:]):
            return
        self._numbers.extend(range(len(values)))
        self._places.extend([self._place(person)] * len(values))
        for start in range(0, len(values), _ROWS):
            rest = values[start : start + _ROWS]
            while len(rest):
                room = self._room(rest.shape[1], len(rest))
                _fill(room, rest[: len(room)])
                rest = rest[len(room) :]
            long_arrays.release(values)

    def renumber(self, numbers: Sequence[int]) -> None:
        """Frame ``n`` becomes frame ``numbers[n]``."""
        table = np.array(numbers, np.int64)
        self._looked_at = array("q", table[np.frombuffer(self._looked_at, np.int64)].tobytes())
        self._numbers = array("q", table[np.frombuffer(self._numbers, np.int64)].tobytes())

    def take(self) -> tuple[Ints, Persons, Floats32]:
        """Frame number, person and (keypoints, 3) of each row, ascending by frame.

        They are handed over: who takes them again gets nobody. A confidence that nobody gave is 1.
        """
        numbers = np.array(self._numbers, np.int64)
        places = np.array(self._places, np.int64)
        if self._blocks:
            self._blocks[-1] = self._blocks[-1][: len(self._blocks[-1]) - self._free]
            values = long_arrays.joined(self._blocks)
        else:
            values = np.empty((0, 0, 3), np.float32)
        self._blocks, self._free = [], 0
        if (np.diff(numbers) < 0).any():
            order = np.argsort(numbers, kind="stable")
            numbers, places = numbers[order], places[order]
            values = long_arrays.taken(values, order)
        return numbers, Persons(places, tuple(self._ids)), values

    def _place(self, person: Person) -> int:
        return self._ids.setdefault(person, len(self._ids))

    def _room(self, keypoints: int, most: int) -> Floats32:
        """The next rows to be filled, at most so many."""
        if not self._free:
            if self._blocks:
                long_arrays.release(self._blocks[-1])
            self._free = max(_ROWS, sum(map(len, self._blocks)))
            self._blocks.append(long_arrays.empty((self._free, keypoints, 3), np.float32))
        block = self._blocks[-1]
        start = len(block) - self._free
        rows = block[start : start + most]
        self._free -= len(rows)
        if start // _ROWS < (start + len(rows)) // _ROWS:
            long_arrays.release(block)
        return rows

    def _fits(self, frame: int, shape: tuple[int, ...]) -> bool:
        self.confident = self.confident or shape[1] == 3
        if not self._blocks or shape[0] == self._blocks[0].shape[1]:
            return True
        if self.mixed is None:
            self.mixed = Mixed(self._numbers[0], self._blocks[0].shape[1], frame, shape[0])
        return False


def _fill(rows: Floats32, values: Floats) -> None:
    """(n, keypoints, 2 or 3) into (n, keypoints, 3)."""
    columns = values.shape[-1]
    with np.errstate(over="ignore"):
        rows[..., :columns] = values
    if columns == 2:
        rows[..., 2] = 1.0
    if np.isinf(rows).any():  # no image has a coordinate that large: judged, not taken for "none"
        beyond = np.isinf(rows[..., :columns]) & np.isfinite(values)
        rows[..., :columns][beyond] = np.copysign(_LARGEST, values[beyond])


def areas(values: Floats) -> Floats:
    """(rows,) of the boxes around what was found."""
    found = np.isfinite(values[..., :1])
    high = np.where(found, values[..., :2], -np.inf).max(axis=1)
    low = np.where(found, values[..., :2], np.inf).min(axis=1)
    areas: Floats = np.prod(np.where(np.isfinite(high - low), high - low, 0.0), axis=-1)
    return areas
