"""Our own newline-delimited JSON, for pipes and for detectors of one's own.

A line is a frame, ``{"frame": 7, "timestamp": 0.2, "people": [{"person": 0, "keypoints": ...}]}``,
or one person of it, ``{"frame": 7, "person": 0, "keypoints": [...]}``. ``keypoints`` are x, y and
confidence, flat or a list a point, in pixels; ``frame`` counts up by itself where it is left out. A
first line ``{"size": [1920, 1080], "rate": 30, "layout": "coco17"}`` may say what the tool knows.
Lines of any other format's frames are read too, and bare lists of points, of a person or several.
"""

from __future__ import annotations

from array import array

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats.base import FrameFormat, detection, take_size
from posemamba_runtime.keypoints.layouts import BY_COUNT
from posemamba_runtime.keypoints.people import Detection
from posemamba_runtime.keypoints.points import keys_of, to_points
from posemamba_runtime.keypoints.recording import Detections
from posemamba_runtime.keypoints.source import Json
from posemamba_runtime.text import printable

ABOUT = ("metadata", "meta", "info", "video_info", "video")
"""Where an object may hold what is known of the recording."""

_FACTS = {"size", "image_size", "resolution", "width", "height", "rate", "fps", "frame_rate"}
_HEADER = {*_FACTS, *ABOUT, "layout", "format", "version"}


def is_header(value: object) -> bool:
    """Whether a line is about the recording and holds nobody."""
    return isinstance(value, dict) and bool(value) and set(value) <= _HEADER


def says_facts(value: object) -> bool:
    """Whether an object has some of a header's facts, and beside them no place for people."""
    if not isinstance(value, dict) or not _FACTS & set(value):
        return False
    return all(isinstance(value[key], str | int | float) for key in value if key not in _HEADER)


def is_bare(value: object) -> bool:
    """One person's points and nothing else: flat, or a list a point."""
    if not isinstance(value, list) or len(value) < min(BY_COUNT):
        return False
    if len(value) in BY_COUNT and all(isinstance(p, list) and len(p) in (2, 3) for p in value):
        return not any(isinstance(number, list) for number in value[0])
    flat = len(value) in {count * columns for count in BY_COUNT for columns in (2, 3)}
    return flat and all(isinstance(number, int | float | type(None)) for number in value)


def _is_frame(value: Json) -> bool:
    if isinstance(value, list):
        return is_bare(value) or (bool(value) and all(map(is_bare, value)))
    if not isinstance(value, dict) or "image_id" in value:
        return False
    if isinstance(value.get("keypoints"), list | dict | array):
        return True
    people = value.get("people", value.get("persons"))
    return isinstance(people, list) and all(
        isinstance(person, dict) and "keypoints" in person for person in people
    )


def _read_frame(value: Json, found: Detections) -> list[Detection]:
    if isinstance(value, list):
        return [Detection(to_points(one)) for one in ([value] if is_bare(value) else value)]
    take_size(value, found)
    people = value.get("people", value.get("persons"))
    if people is None:
        return detection(value, value["keypoints"], found)
    result: list[Detection] = []
    for person in people:
        if not isinstance(person, dict) or "keypoints" not in person:
            has = keys_of(person) if isinstance(person, dict) else printable(person, 20)
            raise InputError(f"a person has {has}, not 'keypoints'")
        result += detection(person, person["keypoints"], found)
    return result


LINES = FrameFormat("ndjson", "newline-delimited JSON", _is_frame, _read_frame)
