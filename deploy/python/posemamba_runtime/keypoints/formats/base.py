"""What a format is: how one frame of it looks, and who is in that frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.people import Detection
from posemamba_runtime.keypoints.points import first, person_id, to_points, with_confidences
from posemamba_runtime.keypoints.recording import Detections
from posemamba_runtime.keypoints.source import Json
from posemamba_runtime.text import printable

_CORNER = {"x", "y"}
ID_KEYS = ("person", "track_id", "track", "idx", "person_id", "id")


@dataclass(frozen=True)
class FrameFormat:
    """A format whose files are frames: one a file, a list, an object of names, or one a line.

    Attributes:
        name: as ``--format`` takes it.
        title: what people call it.
        is_frame: whether a JSON value looks like one frame of it.
        read_frame: the people in it; sizes, remarks and what is left out go into the second
            argument. Raises InputError without the file's name.
    """

    name: str
    title: str
    is_frame: Callable[[Json], bool]
    read_frame: Callable[[Json, Detections], list[Detection]]


def is_objects(value: object) -> bool:
    """A list of objects with one in it."""
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def detection(
    person: Mapping[str, Json], keypoints: object, found: Detections, ids: Sequence[str] = ID_KEYS
) -> list[Detection]:
    """The person, or nobody where the list of keypoints is empty (only hands were found)."""
    points = to_points(keypoints)
    if not len(points):
        found.leave_out("people without body keypoints")
        return []
    points = found.ordered(with_confidences(person, points))
    return [Detection(points, person_id(first(person, ids)))]


def take_size(value: Mapping[str, Json], found: Detections) -> None:
    """Width and height of the image out of the keys tools write them under; beside a corner they
    are a box's.

    Raises:
        InputError: not two positive numbers, or other ones than before.
    """
    if set(value) >= _CORNER:
        return
    for wide, high in (
        ("width", "height"),
        ("image_width", "image_height"),
        ("canvas_width", "canvas_height"),
        ("img_width", "img_height"),
        ("w", "h"),
    ):
        if value.get(wide) is not None and value.get(high) is not None:
            set_size((value[wide], value[high]), found)
            return
    for key in ("size", "image_size", "resolution"):
        if isinstance(value.get(key), list) and len(value[key]) == 2:
            set_size(value[key], found)
            return


def set_size(size: Sequence[object], found: Detections) -> None:
    """Remember the image's size; every frame has to have the same.

    Raises:
        InputError: see :func:`take_size`.
    """
    numbers: list[int] = []
    for number in size:
        if (
            isinstance(number, bool)
            or not isinstance(number, int | float)
            or not 1 <= number < 2**20
        ):
            shown = " x ".join(printable(side, 20) for side in size)
            raise InputError(f"the image size {shown} is no width and height in pixels")
        numbers.append(round(number))
    pair = (numbers[0], numbers[1])
    if found.size is not None and found.size != pair:
        raise InputError(
            f"images of {found.size[0]}x{found.size[1]} and of {pair[0]}x{pair[1]} pixels in one "
            "recording: keep one camera in a file"
        )
    found.size = pair
