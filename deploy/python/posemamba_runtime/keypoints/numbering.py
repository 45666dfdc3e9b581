"""Which frame a document is, and when: what it says itself, or its people say of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from posemamba_runtime.keypoints.errors import InputError, printable
from posemamba_runtime.keypoints.formats.base import first
from posemamba_runtime.keypoints.names import MAX_FRAME

NUMBER_KEYS = ("frame", "frame_id", "frame_idx", "frame_index", "frame_number", "frame_num")
TIME_KEYS = {"timestamp": 1.0, "time": 1.0, "timestamp_ms": 1e-3, "timestampMs": 1e-3}

PEOPLE_KEYS = ("people", "persons", "instances", "bodies")
FRAME_LISTS = ("detections", "predictions", "results", "poses", "persons", "objects")
"""Where a frame that has a number of its own may have the list that is a frame to its detector."""


def number_of(document: object) -> int | None:
    """The frame's number: its own, or the one that all of its people have.

    Raises:
        InputError: no number of a frame, or people of several frames.
    """
    own = _own_number(document)
    if own is not None:
        return own
    numbers = {_own_number(person) for person in _people_of(document)}
    if len(numbers) > 1:
        shown = ", ".join(sorted(str(number) for number in numbers)[:3])
        raise InputError(f"has people of several frames ({shown}) in one: write a frame a line")
    return numbers.pop() if numbers else None


def time_of(document: object) -> float | None:
    """Seconds: its own, or those of the first of its people."""
    for entry in (document, *_people_of(document)[:1]):
        time = _time(entry) if isinstance(entry, Mapping) else None
        if time is not None:
            return time
    return None


def several_frames(document: object) -> list[Any] | None:
    """The list of people in an object, where they are of more than one frame; else None."""
    if not isinstance(document, Mapping) or first(document, NUMBER_KEYS) is not None:
        return None
    people = _people_of(document)
    keys = (*NUMBER_KEYS, *TIME_KEYS)
    told = {str([person.get(key) for key in keys]) for person in people}
    return list(people) if len(told) > 1 else None


def _people_of(document: object) -> Sequence[Mapping[str, Any]]:
    """Objects of people in a frame, however it holds them; nothing where they are no objects."""
    people = document
    if isinstance(document, Mapping):
        lists = [document.get(key) for key in (*PEOPLE_KEYS, *FRAME_LISTS)]
        people = next((entry for entry in lists if isinstance(entry, list)), None)
    if isinstance(people, list) and all(isinstance(person, Mapping) for person in people):
        return people
    return []


def is_about(document: Mapping[str, Any]) -> bool:
    """Whether it holds a frame's number and time alone."""
    return set(document) <= {*NUMBER_KEYS, *TIME_KEYS}


def _time(document: Mapping[str, Any]) -> float | None:
    """Seconds, where a frame says them."""
    for key, scale in TIME_KEYS.items():
        value = document.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"'{key}' is '{printable(value, 20)}', not a number of seconds")
        if not math.isfinite(value) or abs(value) > 1e15:
            raise InputError(f"'{key}' is {printable(value, 20)}, not a number of seconds")
        return value * scale
    return None


def _own_number(document: object) -> int | None:
    value = first(document, NUMBER_KEYS) if isinstance(document, Mapping) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and value.isascii() and value.strip().isdigit():
        value = int(value.strip()[-40:])
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX_FRAME:
        raise InputError(f"the frame number is '{printable(value, 20)}', not a whole number from 0")
    return value
