"""Everybody in every frame, a row each, in arrays that grow: a recording may be an hour long."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Person = int | str | None

_ROWS = 1024  # of a block
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
        self._numbers = array("q")
        self._persons: list[Person] = []
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
        return np.unique(np.array(self._looked_at, np.int64))

    @property
    def empty_frames(self) -> int:
        """How many frames show nobody."""
        return len(self.frames()) - len(np.unique(np.array(self._numbers, np.int64)))

    def add(self, frame: int, people: Sequence[Detection] = ()) -> None:
        """A frame that was looked at."""
        self._looked_at.append(frame)
        for values, person in people:
            if self._fits(frame, values.shape):
                if not self._free:
                    self._blocks.append(np.empty((_ROWS, len(values), 3), np.float32))
                    self._free = _ROWS
                _fill(self._blocks[-1][_ROWS - self._free], values)
                self._free -= 1
                self._numbers.append(frame)
                self._persons.append(person)

    def take(self) -> tuple[Ints, list[Person], Floats32]:
        """Frame number, person and (keypoints, 3) of each row, ascending by frame.

        They are handed over: who takes them again gets nobody. A confidence that nobody gave is 1.
        """
        numbers, persons = np.array(self._numbers, np.int64), self._persons
        count = self._blocks[0].shape[1] if self._blocks else 0
        values, start = np.empty((len(self), count, 3), np.float32), 0
        self._blocks.reverse()
        while self._blocks:  # one after the other is let go of
            block = self._blocks.pop()[: len(self) - start]
            values[start : start + len(block)] = block
            start += len(block)
        self._persons, self._free = [], 0
        if (np.diff(numbers) < 0).any():
            order = np.argsort(numbers, kind="stable")
            numbers, values = numbers[order], values[order]
            persons = [persons[row] for row in order]
        return numbers, persons, values

    def _fits(self, frame: int, shape: tuple[int, ...]) -> bool:
        self.confident = self.confident or shape[1] == 3
        if not self._blocks or shape[0] == self._blocks[0].shape[1]:
            return True
        if self.mixed is None:
            self.mixed = Mixed(self._numbers[0], self._blocks[0].shape[1], frame, shape[0])
        return False


def _fill(row: Floats32, values: Floats) -> None:
    """(keypoints, 2 or 3) into (keypoints, 3)."""
    columns = values.shape[1]
    with np.errstate(over="ignore"):
        row[:, :columns] = values
    if columns == 2:
        row[:, 2] = 1.0
    if np.isinf(row).any():  # no image has a coordinate that large: judged, not taken for "none"
        beyond = np.isinf(row[:, :columns]) & np.isfinite(values)
        row[:, :columns][beyond] = np.copysign(_LARGEST, values[beyond])
