"""Our own clips in ``.npz`` files: arrays of Human3.6M joints.

(frames, 17, 2), or (clips, frames, 17, 2), in the network's units; pixels where the file also holds
the numbers ``width`` and ``height``. A third column is a confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from posemamba_runtime import long_arrays
from posemamba_runtime.keypoints.archive import Member
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats.base import set_size
from posemamba_runtime.keypoints.recording import Detections, Floats
from posemamba_runtime.text import nearest, printable

T = TypeVar("T")

_LIMIT = 10.0
"""Normalised coordinates lie around -2 to 2; what is beyond this is pixels or worse."""

MOST_AT_ONCE = 64
"""Clips that are lifted as one recording where none is named."""

_SHOWN = 4
_MUCH = 3
_FRAMES_TO_TELL = 1000
_GOES_ON = 0.1  # of a person's size
_MOST_PEOPLE = 10  # that a file of several people has, of far more frames


def read_clips(
    members: Mapping[str, Member], clip: str | None, at_once: int = MOST_AT_ONCE
) -> Detections:
    """The clips of the file, each one a track of its own.

    Args:
        clip: the one to take, where the file holds several.
        at_once: how many are taken where none is named.

    Raises:
        InputError: without the file's name.
    """
    found = Detections(layout="h36m17")
    arrays = dict(members)
    if {"poses_3d", "rotations", "rest_offsets"} <= arrays.keys():
        raise InputError("holds the poses that 'lift' wrote: give the keypoints they were made of")
    if {"keypoints_2d", "mm_per_unit", "names"} <= arrays.keys():  # a clip set, for training
        for key in ("mm_per_unit", "names", "origin"):
            arrays.pop(key, None)
    if "fps" in arrays or "rate" in arrays:
        key = "fps" if "fps" in arrays else "rate"
        found.rate = _number(arrays.pop(key), key)
        if not 0 < found.rate < 1e6:
            raise InputError(f"a rate of {found.rate:g} frames a second is none")
    sides = {key: arrays.pop(key) for key in ("width", "height") if key in arrays}
    if len(sides) == 1:
        raise InputError(f"holds only '{next(iter(sides))}': give both width and height")
    if sides:
        set_size([_number(member, key) for key, member in sides.items()], found)
    if not arrays:
        raise InputError("holds no keypoints: save them as keypoints_2d (frames, 17, 2)")
    for key in [key for key in arrays if "3d" in key.casefold()]:
        del arrays[key]
        found.leave_out(f"array of 3D poses, '{printable(key)}'")
    if not arrays:
        raise InputError("holds 3D poses alone: save 2D keypoints as keypoints_2d (frames, 17, 2)")
    clips: dict[str, Floats] = {}
    for key, member in arrays.items():
        clips.update(_clips(member, printable(key), found))
    chosen = choose(clips, clip, at_once)
    largest = max(map(_largest, chosen.values()))
    whole = any(m.array is not None and m.array.dtype.kind != "f" for m in arrays.values())
    found.units = "pixels" if sides or whole or largest > _LIMIT else "normalised"
    for index, (name, values) in enumerate(chosen.items()):
        add_clip(found, index, name, values)
    return found


def choose(clips: Mapping[str, T], wanted: str | None, at_once: int) -> dict[str, T]:
    """The clip of a name, or all of them where they are few.

    Raises:
        InputError: no such clip, none at all, or too many to be lifted as one recording.
    """
    names = ", ".join(f"'{printable(name, 40)}'" for name in list(clips)[:_SHOWN])
    names += ", ..." if len(clips) > _SHOWN else ""
    if not clips:
        raise InputError("holds no keypoints of anybody")
    if wanted is not None:
        if wanted not in clips:
            near = nearest(wanted, clips)
            raise InputError(f"no clip '{printable(wanted)}'{near}: it has {names}")
        return {wanted: clips[wanted]}
    if len(clips) > at_once:
        raise InputError(f"holds {len(clips)} clips ({names}): name one with --clip")
    return dict(clips)


def add_clip(found: Detections, index: int, name: str, values: Floats) -> None:
    """Every frame of an array (frames, joints, 2 or 3) as a detection of person ``index``."""
    found.names[index] = name
    found.people.add_clip(values, index)


def _largest(values: Floats) -> float:
    """x or y of (frames, joints, 2 or 3), whatever its sign."""
    parts = (values[rows, :, :2] for rows in long_arrays.pieces(values))
    return max(float(np.nanmax(np.abs(part), initial=0.0)) for part in parts)


def _number(member: Member, key: str) -> float:
    array = member.array
    if array is None or array.size != 1 or array.dtype.kind not in "fiu":
        raise InputError(f"'{key}' is no number: give one positive number")
    value = float(array.item())
    return value if not value.is_integer() else int(value)


def _clips(member: Member, key: str, found: Detections) -> dict[str, Floats]:
    array = member.array
    if array is None:
        raise InputError(
            f"array '{key}' holds Python objects, which are never loaded: save plain float32 arrays"
        )
    shape = array.shape
    if array.dtype.kind not in "fiu":
        raise InputError(f"array '{key}' is of type {array.dtype}: save numbers as float32")
    if array.ndim not in (3, 4):
        raise InputError(
            f"array '{key}' has shape {shape}: expected (frames, 17, 2) or (clips, frames, 17, 2)"
        )
    if shape[-2] != 17:
        raise InputError(f"array '{key}' has {shape[-2]} joints: expected the 17 of Human3.6M")
    if shape[-1] not in (2, 3):
        raise InputError(f"array '{key}' has {shape[-1]} values a joint: expected x and y")
    if 0 in shape:
        raise InputError(f"array '{key}' has shape {shape}: give at least one frame")
    if array.ndim == 4:
        _refuse_people_in_time(array, key)
    if array.ndim == 4 and _is_one_motion(array):
        found.notes.append(f"array '{key}' of shape {shape}: the frames of one person")
        array = array[:, 0]
    if array.ndim == 3:
        return {key: array}
    return {f"{key}[{index}]": clip for index, clip in enumerate(array)}


def _is_one_motion(array: Floats) -> bool:
    """(frames, 1, ...): clips of a frame each do not go on from one to the next."""
    if array.shape[1] != 1 or len(array) < _MUCH:
        return False
    points = array[:_FRAMES_TO_TELL, 0, :, :2].astype(np.float64)
    known = np.isfinite(points) & (points != 0)
    ways = np.abs(np.diff(points, axis=0))[known[1:] & known[:-1]]
    sizes = np.where(known, points, -np.inf).max(1) - np.where(known, points, np.inf).min(1)
    sizes = sizes[np.isfinite(sizes)]
    return len(ways) > 0 and float(np.median(ways)) < _GOES_ON * float(np.median(sizes))


def _refuse_people_in_time(array: Floats, key: str) -> None:
    """(frames, people, ...) would be lifted as a clip of each frame: people move little from one
    frame to the next, and are far from each other. Copies of one motion are so too: many clips of
    few frames alone are doubted."""
    first, second = array.shape[:2]
    if 1 in (first, second) or second > _MOST_PEOPLE or first <= 3 * second:
        return
    along, across = (float(np.nanmedian(np.abs(np.diff(array, axis=axis)))) for axis in (1, 0))
    if 0 < _MUCH * across < along:
        raise InputError(
            f"array '{key}' of shape {array.shape} moves along its second axis as people do from "
            "one to the other, not as frames do: save (people, frames, 17, 2), or each clip under "
            "a name of its own"
        )
