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

from posemamba_runtime import long_arrays
from posemamba_runtime.keypoints.errors import InputError, left_out
from posemamba_runtime.keypoints.layouts import LAYOUTS
from posemamba_runtime.keypoints.order import settle_layout
from posemamba_runtime.keypoints.people import Floats32, Ints, Persons
from posemamba_runtime.keypoints.recording import Detections, Floats
from posemamba_runtime.text import counted

Bools = npt.NDArray[np.bool_]

_FRACTION_LIMIT = 3.0
"""The middle one of the coordinates: fractions of the image lie near 0 to 1, pixels far above."""

_OUTSIDE = 0.1
_CORNER = 0.2  # of the image: percent of its sides look so, and a size that is far too large
_FEW = 0.1
_FLAT = 2.0  # times as far aside as below: somebody lies, or x and y have changed places
_BEYOND = 0.25  # of the image: as far as detectors guess on
_MANY = 1 / 3
_LARGEST_CONFIDENCE = 20.0  # SimCC scores reach 10
_SURE = 1.5  # OpenPose exceeds 1 by a little
_LARGEST_PIXEL = 1e6
_NORMALISED_CANVAS = 1000
_MOST_ROWS = 20_000  # by which units are judged, evenly over the recording


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
    persons: Persons
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
        reasons = "".join(
            f"; {left_out(count, what)} left out" for what, count in found.left_out.items()
        )
        looked_at = counted(len(found.people.frames()), "frame")
        raise InputError(f"no person in {looked_at}: nothing to lift{reasons}")
    _refuse_mixed_people(found)
    numbers, persons, values = found.people.take()
    name = settle_layout(found, values, layout)
    values = values[:, : len(LAYOUTS[name].joints)]
    size = None if size is None else (int(size[0]), int(size[1]))  # a list or an array, too
    if found.size is not None and size is not None and found.size != size:
        raise InputError(
            f"the file says {found.size[0]}x{found.size[1]} pixels, --size {size[0]}x{size[1]}: "
            "leave --size out"
        )
    size = found.size or size
    there = _placed(values, normalised=found.units == "normalised")
    if not there.any():
        raise InputError(
            'every keypoint of every frame is (0, 0), negative or NaN, which means "not found": '
            "was the detector run on the right video?"
        )
    if found.people.confident:
        _judge_confidence(values, there, min_confidence, found)
    canvas, fractions = _scale(values, numbers, there, found, size)
    for rows in long_arrays.pieces(values):
        seen = there[rows] & confident(values[rows, :, 2], min_confidence)
        values[rows][~seen] = np.nan
    _remark_upside_down(values, name, found)
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


def _placed(values: Floats, *, normalised: bool) -> Bools:
    there: Bools = np.empty(values.shape[:2], np.bool_)
    for rows in long_arrays.pieces(values):
        there[rows] = placed(values[rows], normalised=normalised)
    return there


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


@dataclass
class _Confidences:
    """What is to be known of all the finite ones of a recording, a part of it at a time."""

    count: int = 0
    below_zero: int = 0
    enough: int = 0  # above 0, and at the limit or more
    low: float = np.inf
    high: float = -np.inf
    whole: bool = True

    def add(self, known: Floats, limit: float) -> None:
        if not len(known):
            return
        self.count += len(known)
        self.below_zero += int((known < 0).sum())
        self.enough += int((known[known > 0] >= limit).sum())
        self.low = min(self.low, float(known.min()))
        self.high = max(self.high, float(known.max()))
        self.whole = self.whole and bool((known == np.round(known)).all())


def _judge_confidence(values: Floats32, there: Bools, limit: float, found: Detections) -> None:
    """Refuse a third number that is no confidence, or one that finds nobody."""
    all_of_them = _Confidences()
    for rows in long_arrays.pieces(values):
        confidence = values[rows, :, 2][there[rows]]
        all_of_them.add(confidence[np.isfinite(confidence)], limit)
    advice = "leave the third number out if the detector gives no confidence"
    low, high, whole = all_of_them.low, all_of_them.high, all_of_them.whole
    if not all_of_them.count or low == high == 0:
        raise InputError(f"every confidence is 0, so no keypoint counts as found: {advice}")
    if low < -0.2 or all_of_them.below_zero > _FEW * all_of_them.count:
        raise InputError(
            f"the third number of a keypoint reaches {low:g}: a depth, not a confidence; {advice}"
        )
    if high > _LARGEST_CONFIDENCE or (low > 1 and not whole):
        raise InputError(
            f"the third number of a keypoint lies between {low:g} and {high:g}: a depth or a "
            f"percentage, not a confidence from 0 to 1; {advice}"
        )
    if not all_of_them.enough:
        raise InputError(
            f"no keypoint has a confidence of {limit:g} or more, the highest is {high:g}: lower "
            f"--min-confidence, or {advice}"
        )
    if high > _SURE and not whole:
        found.notes.append(
            f"the third number of a keypoint lies between {low:g} and {high:g}, taken as a "
            "confidence: leave it out if it is a depth"
        )


def _remark_upside_down(values: Floats, layout: str, found: Detections) -> None:
    """Somebody who stands on their head all the time is a y that counts from the bottom."""
    joints = LAYOUTS[layout].joints

    def middle(points: Floats, part: str) -> Floats:
        places = [joints.index(f"{side}_{part}") for side in ("left", "right")]
        both: Floats = points[:, places, :2].mean(axis=1)
        return both

    known = upside_down = lying = 0
    for rows in long_arrays.pieces(values):
        aside, lower = (middle(values[rows], "hip") - middle(values[rows], "shoulder")).T
        known += int(np.isfinite(lower).sum())  # who lies down has the hips beside the shoulders
        upside_down += int((lower < -np.abs(aside)).sum())
        lying += int((np.abs(aside) > _FLAT * np.abs(lower)).sum())
    if known and upside_down / known > 1 - _FEW:
        found.notes.append(
            "everybody's shoulders are below the hips: y has to go down from the image's top edge"
        )
    if known and lying / known > 1 - _FEW:
        found.notes.append("everybody lies on their side: is x written before y?")


def _scale(
    values: Floats32,
    numbers: Ints,
    placed: Bools,
    found: Detections,
    size: tuple[int, int] | None,
) -> tuple[tuple[int, int], bool]:
    """Bring x and y to pixels, in place; the size they refer to, and if they were fractions."""
    every = -(-len(values) // _MOST_ROWS)
    points = long_arrays.thinned(values, every)[..., :2][placed[::every]]
    if not len(points):  # those few rows show nobody
        points = values[..., :2][placed]
    reach = _reach(values, placed)
    largest = float(reach.max())
    if largest > _LARGEST_PIXEL:
        raise InputError(f"a coordinate reaches {largest:g}: no image is that large")
    if found.units == "normalised":
        return _from_normalised(values, placed, points, largest, size, found), False
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
        _refuse_mixed_units(reach, numbers, placed, found)
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
    if (np.ptp(points, axis=0) == 0).all() and placed.sum() > len(values):
        raise InputError(
            "every keypoint of every frame is in one place: were they written before the detector "
            "had run?"
        )
    if fractions:
        for rows in long_arrays.pieces(values):
            values[rows, :, :2] *= size
        found.notes.append(f"fractions of the image, scaled to {size[0]}x{size[1]} pixels")
        return size, True
    _judge_size(points, size, found)
    return size, False


def _judge_size(points: Floats, size: tuple[int, int], found: Detections) -> None:
    """Refuse a size that the points exceed by far; detectors do guess on beyond an image's edge."""
    share = points / np.array(size)
    outside = float(((share < -_OUTSIDE) | (share > 1 + _OUTSIDE)).any(axis=-1).mean())
    far_outside = float((share > 2).any(axis=-1).mean())
    where = _farthest(points, size)
    if outside > _MANY or far_outside > _FEW / 2:
        raise InputError(
            f"keypoints reach {where}, far outside an image of {size[0]}x{size[1]}: give the size "
            f"of the video the detector saw.{_turned(points, size)}"
        )
    if (share.max(axis=0) < _CORNER).all():
        found.notes.append(
            f"all keypoints lie within {where} of the image of {size[0]}x{size[1]}, in its upper "
            "left corner: is that its size, and are they pixels?"
        )
    if outside > _FEW:
        found.notes.append(
            f"{outside:.0%} of the keypoints lie outside the image of {size[0]}x{size[1]}, up to "
            f"{where}: is that its size?{_turned(points, size)}"
        )


def _farthest(points: Floats, size: tuple[int, int]) -> str:
    """The largest x and y; where more lies on the other side of the image's corner, the least."""
    low, high = points.min(axis=0), points.max(axis=0)
    beyond = low if (low / size).min() < -max(0.0, (high / size).max() - 1) else high
    return f"({beyond[0]:.0f}, {beyond[1]:.0f})"


def _turned(points: Floats, size: tuple[int, int]) -> str:
    """A hint where all would fit an image of width and height the other way round."""
    turned = (points >= 0) & (points <= (size[1], size[0]))
    fits = bool(turned.all()) and size[0] != size[1]
    return f" Or are width and height swapped, {size[1]}x{size[0]}?" if fits else ""


def _reach(values: Floats32, placed: Bools) -> Floats32:
    """(rows,) the largest x or y of a person, some rows at a time."""
    reach = np.zeros(len(values), np.float32)
    for rows in long_arrays.pieces(values):
        points = np.where(placed[rows, :, None], np.abs(values[rows, :, :2]), np.float32(0))
        reach[rows] = points.max(axis=(1, 2), initial=0)
    return reach


def _refuse_mixed_units(reach: Floats32, numbers: Ints, placed: Bools, found: Detections) -> None:
    """A frame of fractions among frames of pixels would be a person the size of a dot."""
    dots = np.flatnonzero((reach <= _FRACTION_LIMIT / 2) & (placed.sum(axis=1) > 2))
    if len(dots):
        frame = found.label(int(numbers[dots[0]]))
        raise InputError(
            f"the coordinates in {frame} look like fractions of the image, "
            "where those of other frames are pixels: write one unit"
        )


def _lowest(values: Floats, there: Bools) -> float:
    """The least y, or 0."""
    return min(
        float(values[rows, :, 1].min(where=there[rows], initial=0.0))
        for rows in long_arrays.pieces(values)
    )


def _from_normalised(
    values: Floats,
    there: Bools,
    points: Floats,
    largest: float,
    size: tuple[int, int] | None,
    found: Detections,
) -> tuple[int, int]:
    """The network's units, ``p / width * 2 - [1, height / width]``, to pixels of some canvas."""
    if largest > 10:
        raise InputError(
            f"a coordinate reaches {largest:g} where normalised ones stay near 1: these are "
            "pixels; save numbers 'width' and 'height' beside them"
        )
    beside = ((points < 0) | (points > 1)).any(axis=-1)  # fractions of what is beyond the edge
    if beside.mean() < _FEW / 2 and (points >= -_BEYOND).all() and (points <= 1 + _BEYOND).all():
        every = "nearly all" if beside.any() else "all"
        raise InputError(
            f"{every} coordinates lie between 0 and 1, as fractions of the image do; normalised "
            "ones have the image's middle at 0: save pixels with numbers 'width' and 'height'"
        )
    if size is None:
        # Nothing but drawings depends on it. As high as it takes for y to stay positive.
        high = max(1.0, np.ceil(-_lowest(values, there)))
        size = (_NORMALISED_CANVAS, int(_NORMALISED_CANVAS * high))
    else:
        _judge_size((points + np.array([1.0, size[1] / size[0]])) * (size[0] / 2.0), size, found)
    for rows in long_arrays.pieces(values):
        values[rows, :, :2] += [1.0, size[1] / size[0]]
        values[rows, :, :2] *= size[0] / 2.0
    return size
