"""Who is who from frame to frame, where the detector gives no ids.

Each known person is expected where the last frames' movement leads; people and detections are
paired at the least total cost of joint distance and box overlap. Somebody who was hidden or missed
for up to ``REENTRY`` frames is still expected, ever less exactly; after that the id is not used
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posemamba_runtime.keypoints.assignment import assign
from posemamba_runtime.keypoints.recording import Floats

REENTRY = 30
"""Frames: a second of most videos."""

_REACH = 0.25  # of the person's size: a joint farther off says "somebody else" and no more
_REACH_A_FRAME = 0.03
_OVERLAP = 0.3  # share of the boxes in the cost
_TOO_FAR = 0.9
_MEMORY = 0.7  # of the movement


@dataclass
class _Known:
    """Somebody seen before: last places of the joints (joints, 2), movement in pixels a frame."""

    person: int
    frame: int
    places: Floats
    movement: Floats
    size: float


class Tracker:
    """Ids for the people of one frame after the other."""

    def __init__(self) -> None:
        self._known: list[_Known] = []
        self._next = 0

    def follow(self, frame: int, people: Sequence[Floats]) -> list[int]:
        """The id of each person.

        Args:
            frame: number, higher than those before.
            people: (joints, 3) each, NaN where not found.
        """
        self._known = [known for known in self._known if frame - known.frame <= REENTRY]
        ids = [-1] * len(people)
        if self._known and people:
            cost = np.array([[_cost(known, frame, p) for p in people] for known in self._known])
            for row, column in assign(cost):
                if cost[row, column] <= _TOO_FAR:
                    known = self._known[row]
                    ids[column] = known.person
                    _update(known, frame, people[column])
        for index, person in enumerate(people):
            if ids[index] < 0 and np.isfinite(person[:, 0]).any():
                ids[index] = self._next
                places = person[:, :2].copy()
                self._known.append(_Known(self._next, frame, places, np.zeros(2), _size(places)))
                self._next += 1
        return ids


def _expected(known: _Known, frame: int) -> Floats:
    places: Floats = known.places + known.movement * min(frame - known.frame, REENTRY // 2)
    return places


def _cost(known: _Known, frame: int, person: Floats) -> float:
    """0: the same place; 1: nothing in common."""
    expected = _expected(known, frame)
    wanted = np.isfinite(expected[:, 0])
    reach = (_REACH + _REACH_A_FRAME * (frame - known.frame - 1)) * known.size
    distance = np.linalg.norm(person[wanted, :2] - expected[wanted], axis=-1)
    shares = np.minimum(np.where(np.isfinite(distance), distance, np.inf), reach) / max(reach, 1e-9)
    overlap = _overlap(_box(expected), _box(person[:, :2]))
    return float((1 - _OVERLAP) * shares.mean() + _OVERLAP * (1 - overlap))


def _update(known: _Known, frame: int, person: Floats) -> None:
    found = np.isfinite(person[:, 0])
    both = found & np.isfinite(known.places[:, 0])
    if both.any():
        step = np.median(person[both, :2] - known.places[both], axis=0) / max(
            1, frame - known.frame
        )
        known.movement = _MEMORY * known.movement + (1 - _MEMORY) * step
    known.places[found] = person[found, :2]
    known.size = max(_size(person[:, :2]), 0.9 * known.size)
    known.frame = frame


def _box(places: Floats) -> Floats:
    """(2, 2) lowest and highest x and y; of nobody, an empty box."""
    found = places[np.isfinite(places[:, 0])]
    return np.stack([found.min(0), found.max(0)]) if len(found) else np.zeros((2, 2))


def _overlap(one: Floats, other: Floats) -> float:
    """Intersection over union of two boxes."""
    shared = np.prod(np.maximum(np.minimum(one[1], other[1]) - np.maximum(one[0], other[0]), 0.0))
    whole = np.prod(one[1] - one[0]) + np.prod(other[1] - other[0]) - shared
    return float(shared / whole) if whole > 0 else 0.0


def _size(places: Floats) -> float:
    low, high = _box(places)
    return float(np.linalg.norm(high - low))
