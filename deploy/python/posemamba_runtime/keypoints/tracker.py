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
    """Ids for the people of one frame after the other.

    Args:
        first: the lowest that is given.
    """

    def __init__(self, first: int = 0) -> None:
        self._known: list[_Known] = []
        self._next = first

    def follow(self, frame: int, people: Sequence[Floats]) -> list[int]:
        """The id of each person.

        Args:
            frame: number, higher than those before.
            people: (joints, 3) each, NaN where not found.
        """
        self._known = [known for known in self._known if frame - known.frame <= REENTRY]
        ids = [-1] * len(people)
        if self._known and people:
            cost = _costs(self._known, frame, np.stack(people))
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


def _costs(known: Sequence[_Known], frame: int, people: Floats) -> Floats:
    """(known, people) 0: the same place; 1: nothing in common."""
    gone = np.array([frame - one.frame for one in known])
    movement = np.stack([one.movement for one in known]) * np.minimum(gone, REENTRY // 2)[:, None]
    expected = np.stack([one.places for one in known]) + movement[:, None]  # (known, joints, 2)
    size = np.array([one.size for one in known])
    reach = np.maximum((_REACH + _REACH_A_FRAME * (gone - 1)) * size, 1e-9)[:, None, None]
    distance = np.linalg.norm(people[None, :, :, :2] - expected[:, None], axis=-1)
    shares = np.minimum(np.where(np.isfinite(distance), distance, np.inf), reach) / reach
    wanted = np.isfinite(expected[..., 0])[:, None]  # a joint never seen says nothing
    apart = (shares * wanted).sum(-1) / np.maximum(wanted.sum(-1), 1)
    overlap = _overlaps(_boxes(expected)[:, None], _boxes(people[..., :2])[None])
    costs: Floats = (1 - _OVERLAP) * apart + _OVERLAP * (1 - overlap)
    return costs


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


def _boxes(places: Floats) -> Floats:
    """(..., 2, 2) lowest and highest x and y of (..., joints, 2); of nobody, an empty box."""
    found = np.isfinite(places[..., :1])
    low = np.where(found, places, np.inf).min(axis=-2)
    high = np.where(found, places, -np.inf).max(axis=-2)
    some = np.isfinite(low) & np.isfinite(high)
    return np.stack([np.where(some, low, 0.0), np.where(some, high, 0.0)], axis=-2)


def _overlaps(one: Floats, other: Floats) -> Floats:
    """Intersection over union of boxes."""
    corner = np.minimum(one[..., 1, :], other[..., 1, :])
    shared = np.maximum(corner - np.maximum(one[..., 0, :], other[..., 0, :]), 0.0).prod(-1)
    whole = (one[..., 1, :] - one[..., 0, :]).prod(-1)
    whole = whole + (other[..., 1, :] - other[..., 0, :]).prod(-1) - shared
    overlaps: Floats = np.where(whole > 0, shared / np.maximum(whole, 1e-12), 0.0)
    return overlaps


def _size(places: Floats) -> float:
    low, high = _boxes(places)
    return float(np.linalg.norm(high - low))
