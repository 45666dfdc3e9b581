"""Which joints a recording's keypoints are: by their names, their number, and where they lie.

Two layouts may have one number of joints. Then the points themselves are asked: BODY_25 and
BODY_25B differ in where neck and middle hip lie, OpenPose's 18 and trt_pose's in where the neck
does, COCO-17 and Human3.6M's 17 in what the first five joints are. A layout that the points
contradict is refused: it would be a twisted skeleton, silently.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from posemamba_runtime import long_arrays
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.layouts import BY_COUNT, LAYOUTS, layout_of_count
from posemamba_runtime.keypoints.recording import Detections, Floats
from posemamba_runtime.text import printable

_NEAR = 0.1
"""Of a person's size: a joint that lies between two others is nearer than this to their middle."""

_AWAY = 0.12
_HEAD = 0.25
"""Of a person's size: COCO's five joints of the face lie within this, unless it fills the image."""

_MOST_ROWS = 2000  # looked at, evenly over the recording

_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_LIMBS = tuple(
    f"{side}_{part}"
    for side in ("left", "right")
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
"""PoseTrack's 17 have COCO's limbs, and the head's bottom and top in place of its eyes. What stands
in the middle has many names, and Human3.6M's nose is a neck to some."""

_FEWEST = 8
"""Joints of COCO's that names must have where they have not all."""


def settle_layout(found: Detections, values: Floats, given: str | None) -> str:
    """The layout that the user gave, the file told, or the number of keypoints and the points tell.

    Args:
        values: (rows, keypoints, 3) as the file has them.

    Raises:
        InputError: no layout fits, or the points contradict it; without the file's name.
    """
    count = values.shape[1]
    if given is not None:
        return layout_of_count(count, given)
    if found.layout is not None and count < len(LAYOUTS[found.layout].joints):
        raise InputError(
            f"{count} keypoints a person, where {LAYOUTS[found.layout].title} has "
            f"{len(LAYOUTS[found.layout].joints)}: say the order with --layout"
        )
    name = found.layout or layout_of_count(count, None)
    points = _points(values)
    if found.layout is None and count == 25:
        return _body_25_or_25b(points)
    if found.layout is None and count == 18 and _has_its_neck_last(points):
        found.notes.append(
            "18 keypoints that lie as COCO-17's with a neck behind them, as trt_pose writes: say "
            "--layout coco18 if they are OpenPose's"
        )
        return "coco17"
    if count == 17:
        _refuse_the_other_17(points, name)
    return name


def place_named(names: Sequence[str]) -> tuple[str, list[int]]:
    """The layout that has the joints of these names, and where each of its joints is among them.

    Args:
        names: of a file's keypoints, in its order: ``left_eye``, ``leftEye``, ``l_eye``, ...

    Returns:
        the layout's name; for each of its joints a place in ``names``, -1 where it has none.

    Raises:
        InputError: they are no layout's, without the file's name.
    """
    known = [_joint_name(name) for name in names]
    layouts = [*BY_COUNT.get(len(names), ()), *(["h36m17"] if len(names) == 17 else [])]
    for layout in layouts:
        joints = _named(layout)
        telling = _LIMBS if layout == "h36m17" else (*_LIMBS, *_FACE)
        if all(known[place] == joint for place, joint in enumerate(joints) if joint in telling):
            return layout, list(range(len(joints)))
    for layout in (*layouts, "coco17"):
        joints = _named(layout)
        if set(joints) <= set(known):
            return layout, [known.index(joint) for joint in joints]
    joints = _named("coco17")
    if set(known) <= set(joints) and len(set(known)) >= _FEWEST:
        return "coco17", [known.index(joint) if joint in known else -1 for joint in joints]
    every = {joint for name in LAYOUTS for joint in _named(name)}
    if not every & set(known) and len(names) in BY_COUNT:  # kp0, kp1, ...: they tell no order
        return layout_of_count(len(names), None), list(range(len(names)))
    shown = ", ".join(f"'{printable(name, 20)}'" for name in names[:4])
    raise InputError(
        f"keypoints are named {shown}, ...: no layout read here has these; give those of COCO-17"
    )


def take_names(names: Sequence[str], found: Detections) -> None:
    """Layout and order from the names a file gives its keypoints.

    Raises:
        InputError: they are no layout's.
    """
    found.layout, order = place_named(names)
    found.order = None if order == list(range(len(names))) else order


def _joint_name(text: str) -> str:
    """``leftEye``, ``eye_l`` and ``LEFT EYE`` are ``left_eye``; a foot of 17 joints is an ankle."""
    words = [word.lower() for word in _WORDS.findall(text)]
    side = next((_SIDES[word] for word in words if word in _SIDES), None)
    rest = "_".join(word for word in words if word not in _SIDES)
    rest = "ankle" if rest == "foot" else rest
    return rest if side is None else f"{side}_{rest}"


def _named(layout: str) -> list[str]:
    return [_joint_name(joint) for joint in LAYOUTS[layout].joints]


def _points(values: Floats) -> Floats:
    """(rows, keypoints, 2) of some of the rows, NaN where a detector zeroed what it missed."""
    step = -(-len(values) // _MOST_ROWS)
    some = long_arrays.thinned(values, step)[..., :2].astype(np.float64)
    some[(some == 0).all(axis=-1) | ~np.isfinite(some).all(axis=-1)] = np.nan
    return some


def _extent(points: Floats) -> Floats:
    """(rows,) diagonal of the box around the points that are there; NaN for fewer than two."""
    with np.errstate(invalid="ignore", over="ignore"):  # the size is judged later
        high = np.nanmax(points, 1, initial=-np.inf)
        extent: Floats = np.linalg.norm(high - np.nanmin(points, 1, initial=np.inf), axis=-1)
    extent[~(np.isfinite(extent) & (extent > 0))] = np.nan
    return extent


def _apart(points: Floats, middle: int, left: int, right: int) -> Floats:
    """(rows,) how far a joint is from the middle of two others, as a share of the person's size."""
    between = (points[:, left] + points[:, right]) / 2
    distance: Floats = np.linalg.norm(points[:, middle] - between, axis=-1) / _extent(points)
    return distance


def _middle_one(values: Floats) -> float:
    """Median of what is known; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _body_25_or_25b(points: Floats) -> str:
    """BODY_25's neck and middle hip lie between shoulders and hips; BODY_25B has limbs there."""
    evidence = {
        "body25": np.concatenate([_apart(points, 1, 2, 5), _apart(points, 8, 9, 12)]),
        "body25b": _apart(points, 17, 5, 6),
    }
    errors = {name: _middle_one(values) for name, values in evidence.items()}
    errors = {name: error for name, error in errors.items() if np.isfinite(error)}
    if not errors:
        raise InputError("25 keypoints may be BODY_25 or BODY_25B: say --layout body25 or body25b")
    best = min(errors, key=lambda name: errors[name])
    if errors[best] > _NEAR:
        raise InputError(
            "25 keypoints whose neck is not between the shoulders, neither as BODY_25 nor as "
            "BODY_25B: say --layout body25 or body25b"
        )
    return best


def _has_its_neck_last(points: Floats) -> bool:
    """OpenPose's neck is the second of its 18; trt_pose's, as NVIDIA's programs have it, is the
    last, and the first five are a face."""
    second, last = (_middle_one(_apart(points, *each)) for each in ((1, 2, 5), (17, 5, 6)))
    if second <= last:
        return False
    # An arm above the head has its middle near the ear that is OpenPose's last.
    return 2 * last < second or _middle_one(_extent(points[:, :5]) / _extent(points)) < _HEAD


def _refuse_the_other_17(points: Floats, name: str) -> None:
    """Human3.6M's root, belly and neck lie between others; COCO has a face and elbows there.

    Only what no pose explains counts: joints in the middle of others, or a face where a pelvis and
    a leg would be.
    """
    head = _middle_one(_extent(points[:, :5]) / _extent(points))
    neck = _middle_one(_apart(points, 8, 11, 14))
    belly, root = _middle_one(_apart(points, 7, 0, 8)), _middle_one(_apart(points, 0, 1, 4))
    if name == "coco17" and head > _HEAD and max(neck, belly) < _NEAR and root < _NEAR / 2:
        other = "h36m17"
    elif name == "h36m17" and head < _HEAD and neck > _AWAY:
        other = "coco17"
    else:
        return
    raise InputError(
        f"17 keypoints that lie as {LAYOUTS[other].title}'s do, not as {LAYOUTS[name].title}'s: "
        f"say --layout {other}, or {name} if they are"
    )
