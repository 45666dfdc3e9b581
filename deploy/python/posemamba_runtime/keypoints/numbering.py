"""Which frame a document is, and when: what it says itself, or its people say of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import TypeVar

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.names import MAX_FRAME
from posemamba_runtime.keypoints.points import first
from posemamba_runtime.keypoints.source import Json
from posemamba_runtime.text import printable

T = TypeVar("T")

NUMBER_KEYS = (
    *("frame", "frame_id", "frame_idx", "frame_index", "frame_number", "frame_num", "frame_no"),
    *("frameId", "frameIdx", "frameIndex", "frameNumber", "frameNum", "frameNo", "image_id"),
)
TIME_KEYS = {
    **dict.fromkeys(("timestamp", "time", "ts", "time_s", "timestamp_s", "seconds"), 1.0),
    **dict.fromkeys(("timestamp_ms", "timestampMs", "time_ms", "timeMs", "ts_ms"), 1e-3),
    **dict.fromkeys(("timestamp_us", "timestampUs", "time_us"), 1e-6),
    **dict.fromkeys(("timestamp_ns", "timestampNs", "time_ns"), 1e-9),
}
_IMAGE_KEYS = (
    *("image", "image_name", "img_name", "img", "image_path", "img_path", "image_file"),
    *("file_name", "filename", "file", "path", "frame_name", "imageName", "fileName"),
)
_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm")
_DIGIT = re.compile("[0-9]")
_CLOCK = re.compile(r"(?:([0-9]+):)?([0-9]+):([0-9]+(?:[.,][0-9]*)?)")
_MOST_SECONDS = 1e19  # nanoseconds since 1970 are less

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
    numbers = {_told(_own_number, person) for person in _people_of(document)} - {None}
    if len(numbers) > 1:
        shown = ", ".join(sorted(str(number) for number in numbers)[:3])
        raise InputError(f"has people of several frames ({shown}) in one: write a frame a line")
    return numbers.pop() if numbers else None


def image_of(document: object) -> str | None:
    """The name of the image that a frame without a number was found in, where it tells one."""
    for entry in (document, *_people_of(document)[:1]):
        if not isinstance(entry, Mapping):
            continue
        name = first(entry, NUMBER_KEYS)
        if isinstance(name, str):
            return name
        for key in _IMAGE_KEYS:
            name = entry.get(key)
            if isinstance(name, str) and name.lower().endswith(_IMAGES) and _DIGIT.search(name):
                return name
    return None


def time_of(document: object) -> float | None:
    """Seconds: its own, or those of the first of its people."""
    own = _time(document) if isinstance(document, Mapping) else None
    if own is not None:
        return own
    return next((_told(_time, person) for person in _people_of(document)[:1]), None)


def _told(read: Callable[[Mapping[str, Json]], T | None], person: Mapping[str, Json]) -> T | None:
    """What a person says of the frame; None where these words mean something else."""
    try:
        return read(person)
    except InputError:
        return None


def several_frames(document: object) -> list[Json] | None:
    """The list of people in an object, where they are of more than one frame; else None."""
    if not isinstance(document, Mapping) or first(document, NUMBER_KEYS) is not None:
        return None
    people = _people_of(document)
    keys = (*NUMBER_KEYS, *TIME_KEYS)
    told = {str([person.get(key) for key in keys]) for person in people}
    return list(people) if len(told) > 1 else None


def _people_of(document: object) -> Sequence[Mapping[str, Json]]:
    """Objects of people in a frame, however it holds them; nothing where they are no objects."""
    people = document
    if isinstance(document, Mapping):
        lists = [document.get(key) for key in (*PEOPLE_KEYS, *FRAME_LISTS)]
        people = next((entry for entry in lists if isinstance(entry, list)), None)
    if isinstance(people, list) and all(isinstance(person, Mapping) for person in people):
        return people
    return []


def is_about(document: Mapping[str, Json]) -> bool:
    """Whether it holds a frame's number and time alone."""
    return set(document) <= {*NUMBER_KEYS, *TIME_KEYS}


def _time(document: Mapping[str, Json]) -> float | None:
    """Seconds, where a frame says them."""
    for key, scale in TIME_KEYS.items():
        value = document.get(key)
        if value is None:
            continue
        seconds = _seconds(value) if isinstance(value, str) else value
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise InputError(f"'{key}' is '{printable(value, 30)}', not a number of seconds")
        if not abs(seconds) <= _MOST_SECONDS:  # NaN, too; whole numbers may be beyond any float
            raise InputError(f"'{key}' is {printable(value, 30)}, not a number of seconds")
        return seconds * scale
    return None


def _seconds(text: str) -> float | None:
    """``0.033``, ``00:01:02.5`` or a date with a time; None for others."""
    with suppress(ValueError):
        return float(text)
    clock = _CLOCK.fullmatch(text.strip())
    if clock:
        hours, minutes, seconds = clock.groups(default="0")
        return 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds.replace(",", "."))
    with suppress(ValueError, OverflowError):
        date = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    return None


def _own_number(document: object) -> int | None:
    value = first(document, NUMBER_KEYS) if isinstance(document, Mapping) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and _DIGIT.search(value):
        text = value.strip()
        if not (text.isascii() and text.isdigit()):
            return None  # a name, whose number is told when all names are known
        value = int(text[-40:])
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX_FRAME:
        raise InputError(f"the frame number is '{printable(value, 20)}', not a whole number from 0")
    return value
