"""MediaPipe's pose landmarks, as people save them: MediaPipe writes no file itself.

A frame is 33 landmarks ``{"x", "y", "z", "visibility"}``, the same as lists of 3 to 5 numbers, a
list of such people (the task API), or an object that has them under ``pose_landmarks``,
``poseLandmarks``, ``landmarks`` or ``landmark``; null or an empty list where nobody was found. x
and y are fractions of the image; ``z`` is a depth and never taken for a confidence; world landmarks
are metres and refused.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats.base import ID_KEYS, FrameFormat, take_size
from posemamba_runtime.keypoints.people import Detection
from posemamba_runtime.keypoints.points import first, person_id, to_numbers, to_points
from posemamba_runtime.keypoints.recording import Detections, Floats
from posemamba_runtime.keypoints.source import Json

_COUNT = 33
_LANDMARKS = ("pose_landmarks", "poseLandmarks", "landmarks", "landmark")
_WORLD = ("pose_world_landmarks", "poseWorldLandmarks", "worldLandmarks", "world_landmarks")
_COLUMNS = (3, 4, 5)  # x, y, z, visibility, presence


def _is_point(value: object) -> bool:
    if isinstance(value, Mapping):
        return "x" in value and "y" in value
    return isinstance(value, list) and len(value) in _COLUMNS and not isinstance(value[0], list)


def _is_person(value: object) -> bool:
    return isinstance(value, list) and len(value) == _COUNT and all(map(_is_point, value))


def _is_frame(value: Json) -> bool:
    if isinstance(value, dict):
        return any(key in value for key in (*_LANDMARKS, *_WORLD))
    if isinstance(value, list) and value and all(map(_is_person, value)):
        return True
    return _is_person(value)


def _read_frame(value: Json, found: Detections) -> list[Detection]:
    who = None
    if isinstance(value, dict):
        take_size(value, found)
        who = person_id(first(value, ID_KEYS))
    people = _people(value)
    return [Detection(_points(person), who if len(people) == 1 else None) for person in people]


def _people(value: Json) -> list[Json]:
    """Landmark lists of everybody in a frame."""
    while isinstance(value, dict):
        inner = first(value, _LANDMARKS)
        if inner is None and any(key in value for key in _LANDMARKS):
            return []  # null: nobody
        if inner is None and not any(key in value for key in _WORLD):
            return [value]  # landmarks by name
        if inner is None:
            raise InputError(
                "holds world landmarks alone, which are metres in 3D: save 'pose_landmarks'"
            )
        value = inner
    if not isinstance(value, list):
        raise InputError("landmarks are no list of 33 points")
    if value and isinstance(value[0], dict) and first(value[0], _LANDMARKS) is not None:
        return [person for item in value for person in _people(item)]
    if not value or all(isinstance(person, list) and _is_person(person) for person in value):
        return value
    if value and isinstance(value[0], list) and value[0] and isinstance(value[0][0], list | dict):
        counts = sorted({len(person) for person in value if isinstance(person, list)})
        raise InputError(f"people of {counts} landmarks: MediaPipe's pose has {_COUNT}")
    if len(value) == 4 * _COUNT and all(isinstance(number, int | float) for number in value):
        return [value]
    if len(value) != _COUNT:
        raise InputError(f"{len(value)} landmarks: MediaPipe's pose has {_COUNT}")
    return [value]


def _points(person: Json) -> Floats:
    if isinstance(person, dict) or isinstance(person[0], int | float | Mapping):
        return to_points(person)
    values = to_numbers(person)
    if values.ndim != 2:
        raise InputError("landmarks are no plain lists of numbers")
    if values.shape[1] == 3:  # x, y, z
        return values[:, :2]
    return np.ascontiguousarray(values[:, [0, 1, 3]])


MEDIAPIPE = FrameFormat("mediapipe", "MediaPipe", _is_frame, _read_frame)
