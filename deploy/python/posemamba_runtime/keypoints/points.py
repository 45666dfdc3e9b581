"""Keypoints out of the many ways to write them: flat lists, pairs, triples, objects of x and y."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from posemamba_runtime.keypoints.errors import InputError, printable
from posemamba_runtime.keypoints.layouts import BY_COUNT
from posemamba_runtime.keypoints.recording import Floats

MAX_KEYPOINTS = 1000
_CONFIDENCE = ("confidence", "score", "visibility", "visible", "conf", "c", "v")


def to_points(value: object) -> Floats:
    """One person's keypoints.

    Args:
        value: ``[x, y, c, x, y, c, ...]``, ``[x, y, x, y, ...]`` (told apart by the numbers of
            keypoints that layouts have), ``[[x, y], ...]``, ``[[x, y, c], ...]``,
            ``[{"x": ..., "y": ..., "confidence": ...}, ...]`` or ``{"x": [...], "y": [...]}``.

    Returns:
        (keypoints, 2 or 3) float64; None is NaN. (0, 3) for an empty list.

    Raises:
        InputError: anything else, without the file's name.
    """
    if isinstance(value, Mapping):
        return _columns(value)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InputError(f"keypoints are {_kind(value)}, not a list of numbers")
    if not value:
        return np.empty((0, 3))
    if all(isinstance(point, Mapping) for point in value):
        return np.stack([_object(point) for point in value])
    array = to_numbers(value)
    if array.ndim == 1:
        return _flat(array)
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


def _object(point: Mapping[str, Any]) -> Floats:
    if "x" not in point or "y" not in point:
        raise InputError(f"a keypoint has {_keys(point)}, not 'x' and 'y'")
    confidence = next((point[key] for key in _CONFIDENCE if key in point), 1.0)
    return to_numbers([point["x"], point["y"], confidence])


def _columns(value: Mapping[str, Any]) -> Floats:
    if "x" not in value or "y" not in value:
        raise InputError(f"keypoints have {_keys(value)}, not 'x' and 'y'")
    columns = [value["x"], value["y"]]
    columns += [value[key] for key in _CONFIDENCE if value.get(key) is not None][:1]
    numbers = [to_numbers(column) for column in columns]
    if any(column.ndim != 1 or column.shape != numbers[0].shape for column in numbers):
        raise InputError("keypoints have lists 'x' and 'y' of different lengths")
    return _limited(np.stack(numbers, axis=-1))


def _keys(value: Mapping[str, Any]) -> str:
    names = ", ".join(f"'{printable(key, 20)}'" for key in list(value)[:4])
    return names or "nothing"


def keys_of(value: Mapping[str, Any]) -> str:
    """The first keys of an object, for a message."""
    return _keys(value)


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
