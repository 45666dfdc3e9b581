"""What the numbers of a recording mean: found or not, pixels or fractions, confidence or depth.

A keypoint was not found where x or y is NaN, infinite or exactly 0 (detectors zero what they are
not sure of, some one coordinate alone, whatever confidence they write), where both are negative,
and where the confidence is NaN, 0 or below the limit. A recording that cannot mean what it would
have to is refused: silence here is a wrong skeleton later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.layouts import LAYOUTS, layout_of_count
from posemamba_runtime.keypoints.people import Floats32, Ints, Person
from posemamba_runtime.keypoints.recording import Detections, Floats

Bools = npt.NDArray[np.bool_]

_FRACTION_LIMIT = 3.0
"""The middle one of the coordinates: fractions of the image lie near 0 to 1, pixels far above."""

_OUTSIDE = 0.1
_FEW = 0.1
_MANY = 1 / 3
_LARGEST_CONFIDENCE = 20.0  # SimCC scores reach 10
_LARGEST_PIXEL = 1e6
_NORMALISED_CANVAS = 1000


@dataclass(frozen=True)
class Judged:
    """Everybody in every frame, a row each.

    Attributes:
        values: (rows, joints, 3) pixels of ``canvas`` and confidence, NaN where not found.
        numbers: (rows,) frame numbers, ascending.
        persons: (rows,) the file's ids.
        size: of the image; None where only the canvas is known.
        fractions: the file's x and y were fractions of the image.
    """

    values: Floats32
    numbers: Ints
    persons: list[Person]
    layout: str
    size: tuple[int, int] | None
    canvas: tuple[int, int]
    fractions: bool


def judge(
    found: Detections,
    *,
    size: tuple[int, int] | None,
    min_confidence: float,
    layout: str | None,
) -> Judged:
    """Settle layout, units and what was found; remarks go to ``found.notes``.

    Raises:
        InputError: nobody, or numbers that cannot be what they claim; without the file's name.
    """
    if not len(found.people):
        reasons = "".join(f"; {count} {what} left out" for what, count in found.left_out.items())
        raise InputError(
            f"no person in any of {len(found.people.frames())} frames: nothing to lift{reasons}"
        )
    _refuse_mixed_people(found)
    numbers, persons, values = found.people.take()
    name = _layout(found, values, layout)
    values = values[:, : len(LAYOUTS[name].joints)]
    if found.size is not None and size is not None and found.size != size:
        raise InputError(
            f"the file says {found.size[0]}x{found.size[1]} pixels, --size {size[0]}x{size[1]}: "
            "leave --size out"
        )
    size = found.size or size
    there = placed(values, normalised=found.units == "normalised")
    if not there.any():
        raise InputError(
            'every keypoint of every frame is (0, 0), negative or NaN, which means "not found": '
            "was the detector run on the right video?"
        )
    if found.people.confident:
        _judge_confidence(values[..., 2][there], min_confidence)
    seen = there & confident(values[..., 2], min_confidence)
    canvas, fractions = _scale(values, numbers, there, found, size)
    values[~seen] = np.nan
    return Judged(
        values,
        numbers,
        persons,
        name,
        size,
        canvas,
        fractions,
    )


def _refuse_mixed_people(found: Detections) -> None:
    mixed = found.people.mixed
    if mixed is not None:
        one, other = found.label(mixed.frame), found.label(mixed.other_frame)
        raise InputError(
            f"{one} has people of {mixed.keypoints} keypoints and {other} of "
            f"{mixed.other_keypoints}: keep one detector's output in a recording"
        )


def _layout(found: Detections, values: Floats, given: str | None) -> str:
    count = values.shape[1]
    if given is None and found.layout is not None:
        if count < len(LAYOUTS[found.layout].joints):
            raise InputError(
                f"{count} keypoints a person, where {LAYOUTS[found.layout].title} has "
                f"{len(LAYOUTS[found.layout].joints)}: say the order with --layout"
            )
        return found.layout
    name = layout_of_count(count, given)
    if given is not None or count != 25:
        return name
    return _body_25_or_25b(values)


def _body_25_or_25b(values: Floats) -> str:
    """BODY_25's neck and middle hip lie between shoulders and hips; BODY_25B has limbs there."""
    points = np.where(values[..., :2] == 0, np.nan, values[..., :2])
    with np.errstate(invalid="ignore", over="ignore"):  # the size is judged later
        extent = np.nanmax(points, 1, initial=-np.inf) - np.nanmin(points, 1, initial=np.inf)
        scale = np.linalg.norm(extent, axis=-1)
    scale[~(np.isfinite(scale) & (scale > 0))] = np.nan

    def apart(middle: int, left: int, right: int) -> Floats:
        between = (points[:, left] + points[:, right]) / 2
        distance: Floats = np.linalg.norm(points[:, middle] - between, axis=-1) / scale
        return distance

    evidence = {
        "body25": np.concatenate([apart(1, 2, 5), apart(8, 9, 12)]),
        "body25b": np.concatenate([apart(17, 5, 6)]),
    }
    known = {name: values[np.isfinite(values)] for name, values in evidence.items()}
    errors = {name: float(np.median(values)) for name, values in known.items() if len(values)}
    if not errors:
        raise InputError("25 keypoints may be BODY_25 or BODY_25B: say --layout body25 or body25b")
    best = min(errors, key=lambda name: errors[name])
    if errors[best] > _FEW:
        raise InputError(
            "25 keypoints whose neck is not between the shoulders, neither as BODY_25 nor as "
            "BODY_25B: say --layout body25 or body25b"
        )
    return best


def placed(values: Floats, *, normalised: bool) -> Bools:
    """Which of (rows, joints, 3) have coordinates of a place in the image: (rows, joints)."""
    x, y = values[..., 0], values[..., 1]
    with np.errstate(invalid="ignore"):
        there: Bools = np.isfinite(x) & np.isfinite(y)
        if normalised:  # 0 is the image's middle line, and a quarter of the image is negative
            there &= ~((x == 0) & (y == 0))
        else:
            there &= (x != 0) & (y != 0) & ~((x < 0) & (y < 0))
    return there


def confident(confidence: Floats, limit: float) -> Bools:
    """Where a confidence says that the keypoint was found."""
    return np.isfinite(confidence) & (confidence > 0) & (confidence >= limit)


def _judge_confidence(confidence: Floats, limit: float) -> None:
    """Refuse a third number that is no confidence, or one that finds nobody."""
    known = confidence[np.isfinite(confidence)]
    advice = "leave the third number out if the detector gives no confidence"
    if not len(known) or not known.any():
        raise InputError(f"every confidence is 0, so no keypoint counts as found: {advice}")
    low, high = float(known.min()), float(known.max())
    if low < -0.2 or float((known < 0).mean()) > _FEW:
        raise InputError(
            f"the third number of a keypoint reaches {low:g}: a depth, not a confidence; {advice}"
        )
    whole = bool((known == np.round(known)).all())
    if high > _LARGEST_CONFIDENCE or (low > 1 and not whole):
        raise InputError(
            f"the third number of a keypoint lies between {low:g} and {high:g}: a depth or a "
            f"percentage, not a confidence from 0 to 1; {advice}"
        )
    if high < limit or not (known[known > 0] >= limit).any():
        raise InputError(
            f"no keypoint has a confidence of {limit:g} or more, the highest is {high:g}: lower "
            f"--min-confidence, or {advice}"
        )


def _scale(
    values: Floats32,
    numbers: Ints,
    placed: Bools,
    found: Detections,
    size: tuple[int, int] | None,
) -> tuple[tuple[int, int], bool]:
    """Bring x and y to pixels, in place; the size they refer to, and if they were fractions."""
    points = values[..., :2][placed]
    largest = float(np.abs(points).max())
    if largest > _LARGEST_PIXEL:
        raise InputError(f"a coordinate reaches {largest:g}: no image is that large")
    if found.units == "normalised":
        return _from_normalised(values, points, size), False
    middle = float(np.median(np.abs(points)))
    fractions = found.units == "fractions" or (
        middle <= _FRACTION_LIMIT and found.units != "pixels" and size != (1, 1)
    )
    if found.units == "pixels" and middle <= _FRACTION_LIMIT and largest <= 10:
        raise InputError(
            f"coordinates reach {largest:g} where pixels are expected: these are fractions of the "
            "image; multiply them by its width and height"
        )
    if not fractions:
        _refuse_mixed_units(values, numbers, placed, found)
    if fractions and float((points < 0).any(axis=-1).mean()) > _FEW:
        raise InputError(
            "coordinates lie between -1 and 1: give pixels (OpenPose: --keypoint_scale 0) or "
            "fractions of the image from 0 to 1"
        )
    if size is None:
        unit = "fractions of the image" if fractions else "pixels"
        raise InputError(
            f"holds {unit} and does not say the image's size: give --size WxH, such as "
            "--size 1920x1080"
        )
    if fractions:
        values[..., :2] *= size
        found.notes.append(f"fractions of the image, scaled to {size[0]}x{size[1]} pixels")
        return size, True
    _judge_size(points, size, found)
    return size, False


def _judge_size(points: Floats, size: tuple[int, int], found: Detections) -> None:
    """Refuse a size that the points exceed by far; detectors do guess on beyond an image's edge."""
    share = points / np.array(size)
    outside = float(((share < -_OUTSIDE) | (share > 1 + _OUTSIDE)).any(axis=-1).mean())
    far_outside = float((share > 2).any(axis=-1).mean())
    reach = points.max(axis=0)
    where = f"({reach[0]:.0f}, {reach[1]:.0f})"
    if outside > _MANY or far_outside > _FEW / 2:
        raise InputError(
            f"keypoints reach {where}, far outside an image of {size[0]}x{size[1]}: give the size "
            "of the video the detector saw"
        )
    if outside > _FEW:
        found.notes.append(
            f"{outside:.0%} of the keypoints lie outside the image of {size[0]}x{size[1]}, up to "
            f"{where}: is that its size?"
        )


def _refuse_mixed_units(values: Floats32, numbers: Ints, placed: Bools, found: Detections) -> None:
    """A frame of fractions among frames of pixels would be a person the size of a dot."""
    reach = np.where(placed[..., None], np.abs(values[..., :2]), 0.0).max(axis=(1, 2))
    dots = np.flatnonzero((reach <= _FRACTION_LIMIT / 2) & (placed.sum(axis=1) > 2))
    if len(dots):
        frame = found.label(int(numbers[dots[0]]))
        raise InputError(
            f"the coordinates in {frame} look like fractions of the image, "
            "where those of other frames are pixels: write one unit"
        )


def _from_normalised(
    values: Floats, points: Floats, size: tuple[int, int] | None
) -> tuple[int, int]:
    """The network's units, ``p / width * 2 - [1, height / width]``, to pixels of some canvas."""
    largest = float(np.abs(points).max())
    if largest > 10:
        raise InputError(
            f"a coordinate reaches {largest:g} where normalised ones stay near 1: these are "
            "pixels; save numbers 'width' and 'height' beside them"
        )
    if (points >= 0).all() and (points <= 1).all():
        raise InputError(
            "all coordinates lie between 0 and 1, as fractions of the image do; normalised ones "
            "have the image's middle at 0: save pixels with numbers 'width' and 'height'"
        )
    if size is None:
        # Nothing but drawings depends on it. As high as it takes for y to stay positive.
        high = max(1.0, np.ceil(-float(points[:, 1].min())))
        size = (_NORMALISED_CANVAS, int(_NORMALISED_CANVAS * high))
    values[..., :2] += [1.0, size[1] / size[0]]
    values[..., :2] *= size[0] / 2.0
    return size
