"""Keypoints out of the many ways to write them: flat lists, pairs, triples, objects of x and y."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.layouts import BY_COUNT
from posemamba_runtime.keypoints.order import place_named
from posemamba_runtime.keypoints.recording import Floats
from posemamba_runtime.keypoints.source import Json
from posemamba_runtime.text import printable

MAX_KEYPOINTS = 1000
_CONFIDENCE = (
    *("confidence", "score", "visibility", "visible", "conf", "c", "v"),
    *("likelihood", "probability", "prob", "p", "presence"),
)
_NAMES = ("name", "part", "label", "joint")
_BESIDE = (
    *("keypoint_scores", "keypoints_scores", "keypoint_score", "kp_score", "scores"),
    *("confidences", "confidence", "score", "conf", "visibility", "likelihood"),
)
"""Lists of confidences that stand beside keypoints of x and y alone."""

_LANDMARKS, _LANDMARK_COLUMNS = 33, [0, 1, 3]  # MediaPipe's x, y, z, visibility


def first(value: Mapping[str, Json], keys: Sequence[str]) -> Json:
    """The value of the first key that has one, else None: programs write null for what they do not
    know, and the next key may."""
    return next((value[key] for key in keys if value.get(key) is not None), None)


def to_points(value: object) -> Floats:
    """One person's keypoints.

    Args:
        value: ``[x, y, c, x, y, c, ...]``, ``[x, y, x, y, ...]`` (told apart by the numbers of
            keypoints that layouts have), ``[[x, y], ...]``, ``[[x, y, c], ...]``,
            ``[{"x": ..., "y": ..., "confidence": ...}, ...]`` or ``{"x": [...], "y": [...]}``;
            MediaPipe's 33 of x, y, z and visibility; points with names, or an object of them by
            name: they are put into the order of the layout that has these names.

    Returns:
        (keypoints, 2 or 3) float64; None is NaN. (0, 3) for None, an empty list or object.

    Raises:
        InputError: anything else, without the file's name.
    """
    if value is None or value == {}:
        return np.empty((0, 3))
    if isinstance(value, Mapping):
        return _columns(value)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InputError(f"keypoints are {_kind(value)}, not a list of numbers")
    if not value:
        return np.empty((0, 3))
    if all(isinstance(point, Mapping) for point in value):
        points = np.stack([_object(point) for point in value])
        names = [first(point, _NAMES) for point in value]
        given = [name for name in names if isinstance(name, str)]
        return _in_order(given, points) if len(given) == len(points) else points
    array = to_numbers(value)
    if array.ndim == 3 and len(array) == 1:  # a person in a list
        array = array[0]
    if array.ndim == 1:
        return _flat(array)
    if array.shape == (_LANDMARKS, 4):
        return np.ascontiguousarray(array[:, _LANDMARK_COLUMNS])
    if array.ndim != 2 or array.shape[1] not in (2, 3):
        raise InputError(
            f"keypoints of shape {array.shape}: expected (keypoints, 2 or 3), x, y and confidence"
        )
    return _limited(array)


def to_numbers(value: object) -> Floats:
    """A list of numbers, or of lists of one length, as an array; None is NaN.

    Raises:
        InputError: text, lists of several lengths, numbers beyond float64.
    """
    try:
        array = np.asarray(value)
        if array.dtype == object:  # None among the numbers, or worse
            array = np.asarray(value, dtype=np.float64) if _plain(value) else array
    except (ValueError, OverflowError, TypeError):
        raise InputError("keypoints are no plain list of numbers") from None
    if array.dtype.kind not in "fiub":
        raise InputError(f"keypoints hold {_culprit(value)} where numbers are expected")
    result: Floats = array.astype(np.float64)
    return result


def _plain(value: object) -> bool:
    """Whether nothing but numbers and None is in nested lists."""
    if isinstance(value, list | tuple):
        return all(_plain(item) for item in value)
    return value is None or isinstance(value, int | float)


def _culprit(value: object) -> str:
    if isinstance(value, list | tuple):
        wrong = next((item for item in value if not _plain(item)), None)
        return _culprit(wrong)
    return _kind(value)


def _kind(value: object) -> str:
    if isinstance(value, str):
        return f"text ('{printable(value, 20)}')"
    names = {dict: "an object", bool: "true or false", type(None): "null", list: "lists"}
    return names.get(type(value), f"'{printable(value, 20)}'")


def _flat(array: Floats) -> Floats:
    count = array.size
    if count == _LANDMARKS * 4:
        return np.ascontiguousarray(array.reshape(-1, 4)[:, _LANDMARK_COLUMNS])
    for columns in (3, 2):
        if count % columns == 0 and count // columns in BY_COUNT:
            return array.reshape(-1, columns)
    if count % 3 == 0:
        return _limited(array.reshape(-1, 3))
    known = ", ".join(str(number) for number in BY_COUNT)
    raise InputError(
        f"{count} numbers a person are neither triples (x, y, confidence) nor pairs of "
        f"{known} keypoints"
    )


def _limited(array: Floats) -> Floats:
    if len(array) > MAX_KEYPOINTS:
        raise InputError(f"{len(array)} keypoints a person: at most {MAX_KEYPOINTS} are read")
    return array


def _in_order(names: Sequence[str], points: Floats) -> Floats:
    """Points (n, 2 or 3) by name as their layout has them; NaN for a joint without one."""
    _, order = place_named(names)
    arranged = points[order]
    arranged[[place < 0 for place in order]] = np.nan
    return arranged


def with_confidences(person: Mapping[str, Json], points: Floats) -> Floats:
    """(keypoints, 3) where a person has a list of confidences beside points of x and y.

    Raises:
        InputError: not one confidence a keypoint; three numbers beside them.
    """
    key = next((key for key in _BESIDE if isinstance(person.get(key), list)), None)
    if key is None:
        return points
    column = to_numbers(person[key])
    column = column[0] if column.ndim == 2 and len(column) == 1 else column
    if key != _BESIDE[0] and (points.shape[1] == 3 or column.size == 1):
        return points  # the box's, or the same once more
    if points.shape[1] == 3:
        raise InputError(
            f"'keypoints' have three numbers beside '{key}': these are 3D poses; give the 2D "
            "predictions"
        )
    if column.shape != (len(points),):
        raise InputError(f"{len(points)} keypoints, but '{key}' of shape {column.shape}")
    return np.column_stack([points, column])


def _object(point: Mapping[str, Json]) -> Floats:
    if "x" not in point and isinstance(point.get("position"), Mapping):
        point = {**point, **point["position"]}  # PoseNet's
    if "x" not in point or "y" not in point:
        raise InputError(f"a keypoint has {keys_of(point)}, not 'x' and 'y'")
    unsaid = None if any(key in point for key in _CONFIDENCE) else 1.0
    confidence = first(point, _CONFIDENCE)
    return to_numbers([point["x"], point["y"], unsaid if confidence is None else confidence])


def _columns(value: Mapping[str, Json]) -> Floats:
    if "x" not in value and value and all(isinstance(v, list | dict) for v in value.values()):
        points = [_one(point, name) for name, point in value.items()]
        if len({len(point) for point in points}) > 1:
            raise InputError(f"keypoints {keys_of(value)}, ... are not written alike")
        return _in_order(list(value), np.stack(points))
    if "x" not in value or "y" not in value:
        raise InputError(f"keypoints have {keys_of(value)}, not 'x' and 'y'")
    columns = [value["x"], value["y"]]
    columns += [value[key] for key in _CONFIDENCE if value.get(key) is not None][:1]
    numbers = [to_numbers(column) for column in columns]
    if any(column.ndim != 1 or column.shape != numbers[0].shape for column in numbers):
        raise InputError("keypoints have lists 'x' and 'y' of different lengths")
    return _limited(np.stack(numbers, axis=-1))


def _one(point: object, name: str) -> Floats:
    """x, y and perhaps a confidence of the keypoint of a name."""
    if isinstance(point, Mapping):
        return _object(point)
    numbers = to_numbers(point)
    if numbers.shape not in ((2,), (3,)):
        raise InputError(f"keypoint '{printable(name, 20)}' is no x, y and confidence")
    return numbers


def keys_of(value: Mapping[str, Json]) -> str:
    """The first four keys of an object, quoted, for a message; 'nothing' of an empty one."""
    names = ", ".join(f"'{printable(key, 20)}'" for key in list(value)[:4])
    return names or "nothing"


def person_id(value: object) -> int | str | None:
    """An id as files have it: a number, a text, or either in a list; None where there is none.

    OpenPose writes [-1] for nobody, AlphaPose a number or (nested) lists of one.
    """
    while isinstance(value, list | tuple) and len(value) >= 1:
        value = value[0]
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return value if 0 <= value < 2**31 else None
    if isinstance(value, str) and value.strip():
        text = value.strip()
        number = text.isascii() and text.isdigit() and len(text) < 10
        return int(text) if number else text
    return None
