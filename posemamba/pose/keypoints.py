"""2D detector keypoints to the 17 Human3.6M joints, from one table of weighted means.

Every Human3.6M joint is a weighted mean of joints the detector has (weights sum to 1, so the
result moves with the person). Joints of the same name are taken as they are; a format's entry
lists only the five of the middle line - root, belly, neck, nose, head - that formats disagree on.

NumPy only. Pixels in, pixels out: normalise afterwards
(:func:`posemamba.pose.preprocess.normalize_2d`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError
from posemamba.skeleton import JOINT_NAMES, NUM_JOINTS
from posemamba.text import plural

Array = npt.NDArray[Any]
Weights = Mapping[str, float]


def _mean(*names: str) -> Weights:
    return {name: 1.0 / len(names) for name in names}


@dataclass(frozen=True)
class KeypointFormat:
    """A detector's joint order and how the Human3.6M joints follow from it.

    Attributes:
        title: what people call it.
        joints: the detector's joints in its order.
        middle: weights of the Human3.6M joints that are not simply a joint of the same name.
        middle_y: weights of the y coordinate where they differ from x's (COCO's rule only).
        stand_ins: for joints that a clip may never show, the joints whose mean takes their place;
            tried in this order.
    """

    title: str
    joints: tuple[str, ...]
    middle: Mapping[str, Weights]
    middle_y: Mapping[str, Weights] = field(default_factory=dict)
    stand_ins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def weights(self, joint: str) -> tuple[Weights, Weights]:
        """Weights of a Human3.6M joint's x and y over source joint names."""
        x = self.middle.get(joint, {joint: 1.0})
        return x, self.middle_y.get(joint, x)

    def sources(self, joint: str) -> tuple[str, ...]:
        """Source joints that a Human3.6M joint depends on."""
        x, y = self.weights(joint)
        return tuple(name for name in self.joints if name in x or name in y)

    @property
    def used(self) -> tuple[str, ...]:
        """Source joints that any Human3.6M joint depends on."""
        wanted = {name for joint in JOINT_NAMES for name in self.sources(joint)}
        return tuple(name for name in self.joints if name in wanted)


_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_COCO = (
    *_FACE,
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
_FEET = tuple(
    f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")
)
# COCO-WholeBody: the 17 of the body come first, then feet, 68 of the face, 21 of each hand.
_WHOLE_BODY = (
    *_COCO,
    *_FEET,
    *(f"face_{index}" for index in range(68)),
    *(f"{side}_hand_{index}" for side in ("left", "right") for index in range(21)),
)
_COCO_18 = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist"),
    *("left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
)
_BODY_25 = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist"),
    *("left_shoulder", "left_elbow", "left_wrist", "mid_hip"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
    *("left_big_toe", "left_small_toe", "left_heel"),
    *("right_big_toe", "right_small_toe", "right_heel"),
)
_BODY_25B = (
    *_COCO,
    *("upper_neck", "head_top"),
    *("left_big_toe", "left_small_toe", "left_heel"),
    *("right_big_toe", "right_small_toe", "right_heel"),
)
_HALPE = (
    *_COCO,
    *("head_top", "neck", "mid_hip"),
    *("left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe"),
    *("left_heel", "right_heel"),
)
_MEDIAPIPE = (
    *("nose", "left_eye_inner", "left_eye", "left_eye_outer"),
    *("right_eye_inner", "right_eye", "right_eye_outer", "left_ear", "right_ear"),
    *("mouth_left", "mouth_right"),
    *_COCO[5:11],
    *("left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb"),
    *_COCO[11:],
    *("left_heel", "right_heel", "left_foot_index", "right_foot_index"),
)

# From the side one ear and eye are hidden, from behind the nose.
_TWIN_EARS = {"left_ear": ("right_ear",), "right_ear": ("left_ear",)}
_TWIN_EYES = {"left_eye": ("right_eye",), "right_eye": ("left_eye",)}

_HIPS = _mean("left_hip", "right_hip")
_SHOULDERS = _mean("left_shoulder", "right_shoulder")
_HIPS_AND_SHOULDERS = _mean("left_hip", "right_hip", "left_shoulder", "right_shoulder")

#: Where a format has ears but no head top: as far above the ears as 0.86 times the way from the
#: shoulders to the ears. Fitted by least squares (0.864) to the 115 frames of the bundled clips'
#: BODY_25B source in which face, shoulders, neck and head top all have a confidence above 0.05;
#: the head top is then 6 % of the torso's length off on those frames.
_ABOVE_EARS = 0.86


def _above_ears(neck: Weights) -> Weights:
    ears = (1.0 + _ABOVE_EARS) / 2.0
    back = {name: -_ABOVE_EARS * weight for name, weight in neck.items()}
    return {"left_ear": ears, "right_ear": ears, **back}


# The rule of the authors' demonstration code. Its corrections of belly, neck and nose after the
# first assignment are linear too, so they are folded into the weights.
_COCO_MIDDLE: Mapping[str, Weights] = {
    "root": _HIPS,
    "belly": {
        **{"left_shoulder": 5 / 12, "right_shoulder": 5 / 12},
        **{"left_hip": 1 / 4, "right_hip": 1 / 4, "nose": -1 / 3},
    },
    "neck": _mean("left_shoulder", "right_shoulder", "nose"),
    "nose": {"nose": 3 / 4, "left_shoulder": 1 / 8, "right_shoulder": 1 / 8},
    "head": _mean("left_eye", "right_eye", "left_ear", "right_ear"),
}
_COCO_MIDDLE_Y: Mapping[str, Weights] = {
    "belly": _HIPS_AND_SHOULDERS,
    "neck": {
        **{"left_shoulder": 1 / 3, "right_shoulder": 1 / 3, "nose": 1.0},
        **{"left_eye": -1 / 3, "right_eye": -1 / 3},
    },
    "head": {"left_eye": 1.0, "right_eye": 1.0, "nose": -1.0},
}
_COCO_STAND_INS: Mapping[str, tuple[str, ...]] = {
    **_TWIN_EARS,
    **_TWIN_EYES,
    "nose": ("left_ear", "right_ear"),
}


def _coco(title: str, joints: tuple[str, ...]) -> KeypointFormat:
    return KeypointFormat(title, joints, _COCO_MIDDLE, _COCO_MIDDLE_Y, _COCO_STAND_INS)


#: Accepted names, see :func:`get_format`.
FORMATS: dict[str, KeypointFormat] = {
    "coco17": _coco("COCO-17", _COCO),
    "body25": KeypointFormat(
        "OpenPose BODY_25",
        _BODY_25,
        middle={
            "root": {"mid_hip": 1.0},
            "belly": _mean("mid_hip", "neck"),
            "head": _above_ears({"neck": 1.0}),
        },
        stand_ins={**_TWIN_EARS, "nose": ("left_ear", "right_ear")},
    ),
    "body25b": KeypointFormat(
        "OpenPose BODY_25B",
        _BODY_25B,
        middle={
            "root": _HIPS,
            "belly": {"left_hip": 1 / 4, "right_hip": 1 / 4, "upper_neck": 1 / 2},
            "neck": {"upper_neck": 1.0},
            "head": {"head_top": 1.0},
        },
        stand_ins={"nose": ("upper_neck", "head_top")},
    ),
    "halpe26": KeypointFormat(
        "Halpe-26",
        _HALPE,
        middle={
            "root": {"mid_hip": 1.0},
            "belly": _mean("mid_hip", "neck"),
            "head": {"head_top": 1.0},
        },
        stand_ins={"nose": ("neck", "head_top")},
    ),
    "mediapipe33": KeypointFormat(
        "MediaPipe-33",
        _MEDIAPIPE,
        middle={
            "root": _HIPS,
            "belly": _HIPS_AND_SHOULDERS,
            "neck": _SHOULDERS,
            "head": _above_ears(_SHOULDERS),
        },
        stand_ins={**_TWIN_EARS, "nose": ("left_ear", "right_ear")},
    ),
    "coco18": KeypointFormat(
        "OpenPose COCO-18",
        _COCO_18,
        middle={
            "root": _HIPS,
            "belly": {"left_hip": 1 / 4, "right_hip": 1 / 4, "neck": 1 / 2},
            "head": _above_ears({"neck": 1.0}),
        },
        stand_ins={**_TWIN_EARS, "nose": ("left_ear", "right_ear")},
    ),
    "wholebody133": _coco("COCO-WholeBody", _WHOLE_BODY),
    "h36m17": KeypointFormat("Human3.6M", JOINT_NAMES, middle={}),
}


def get_format(name: str) -> KeypointFormat:
    """Look a format up; case, ``-`` and ``_`` do not matter (``BODY_25B`` is ``body25b``).

    Raises:
        InputError: no such format.
    """
    try:
        return FORMATS[name.lower().replace("-", "").replace("_", "")]
    except KeyError:
        known = ", ".join(FORMATS)
        raise InputError(f"unknown keypoint format '{name}': use one of {known}") from None


def to_h36m(points: npt.ArrayLike, source_format: str) -> Array:
    """Convert detector keypoints to the Human3.6M joints, frame by frame.

    Args:
        points: (..., K, 2) x and y, or (..., K, 3) x, y and confidence; pixels, y downwards.
            MediaPipe's landmarks are fractions of the image: multiply by width and height first.
        source_format: a name in :data:`FORMATS`.

    Returns:
        (..., 17, 2 or 3), float32 if ``points`` is, else float64. A joint's confidence is the
        smallest of the source joints it depends on. A missing source (NaN, or confidence 0) is
        not mended here: see :func:`fill_missing` and :func:`detections_to_h36m`.

    Raises:
        InputError: unknown format, or a shape that is not the format's.
    """
    source = get_format(source_format)
    values = np.asarray(points)
    _check_shape(values, source)
    exact = values.astype(np.float64)
    columns = {name: exact[..., index, :] for index, name in enumerate(source.joints)}
    result = np.empty((*values.shape[:-2], NUM_JOINTS, values.shape[-1]))
    for j, joint in enumerate(JOINT_NAMES):
        # Summed term by term: as a matrix product, a NaN would reach joints it has no part in.
        for axis, weights in enumerate(source.weights(joint)):
            result[..., j, axis] = sum(w * columns[name][..., axis] for name, w in weights.items())
        if values.shape[-1] == 3:
            result[..., j, 2] = np.min(
                [columns[name][..., 2] for name in source.sources(joint)], axis=0
            )
    return result.astype(values.dtype if values.dtype == np.float32 else np.float64)


def fill_missing(
    points: npt.ArrayLike, *, min_confidence: float = 0.0, names: Sequence[str] | None = None
) -> Array:
    """Fill gaps in time: each joint is interpolated linearly, and held before and after.

    A joint is missing in a frame where a coordinate is not finite or its confidence is not above
    ``min_confidence`` (detectors write 0 for what they do not see).

    Args:
        points: (frames, joints, 2 or 3) x, y and, if there, confidence.
        min_confidence: confidence that still counts as missing.
        names: joint names for the message; numbers where absent.

    Returns:
        (frames, joints, 2) float64, finite.

    Raises:
        InputError: wrong shape, or a joint that no frame shows.
    """
    values = np.asarray(points, dtype=np.float64)
    if values.ndim != 3 or values.shape[-1] not in (2, 3) or values.shape[0] == 0:
        raise InputError(
            f"keypoints have shape {values.shape}: expected (frames, joints, 2 or 3) with a frame"
        )
    seen = _seen(values, min_confidence)  # (frames, joints)
    times = np.arange(values.shape[0])
    filled = np.empty((*values.shape[:2], 2))
    for joint in range(values.shape[1]):
        known = seen[:, joint]
        if not known.any():
            label = names[joint] if names is not None else str(joint)
            raise InputError(
                f"joint '{label}' is missing in all of {plural(len(times), 'frame')} "
                f"(confidence above {min_confidence:g} needed): use frames that show it"
            )
        for axis in range(2):
            filled[:, joint, axis] = np.interp(times, times[known], values[known, joint, axis])
    return filled


def detections_to_h36m(
    points: npt.ArrayLike, source_format: str, *, min_confidence: float = 0.0
) -> Array:
    """One person's detections over time to gapless Human3.6M keypoints.

    Gaps are filled in the detector's own joints, where a half-seen pair of hips still helps, and
    only in those the result depends on: never-seen toes do no harm. For an ear, eye or nose that no
    frame shows, as in a clip from the side or from behind, the format's stand-ins are taken.

    Args:
        points: (frames, K, 2 or 3), pixels.
        source_format: a name in :data:`FORMATS`.
        min_confidence: confidence that still counts as missing.

    Returns:
        (frames, 17, 2) float64 pixels, finite.

    Raises:
        InputError: as :func:`to_h36m` and :func:`fill_missing`.
    """
    source = get_format(source_format)
    values = np.array(points, dtype=np.float64)  # a copy: stand-ins are written into it
    _check_shape(values, source)
    for name, others in source.stand_ins.items():
        joint = source.joints.index(name)
        if not _seen(values[..., joint, :], min_confidence).any():
            donors = values[..., [source.joints.index(other) for other in others], :]
            values[..., joint, :2] = donors[..., :2].mean(axis=-2)
            values[..., joint, 2:] = donors[..., 2:].min(axis=-2)
    used = [source.joints.index(name) for name in source.used]
    complete = np.full((*values.shape[:-1], 2), np.nan)
    complete[..., used, :] = fill_missing(
        values[..., used, :], min_confidence=min_confidence, names=source.used
    )
    return to_h36m(complete, source_format)


def _seen(values: Array, min_confidence: float) -> npt.NDArray[np.bool_]:
    seen: npt.NDArray[np.bool_] = np.isfinite(values[..., 0]) & np.isfinite(values[..., 1])
    if values.shape[-1] == 2:
        return seen
    confident: npt.NDArray[np.bool_] = values[..., 2] > min_confidence  # False for NaN
    return seen & confident


def _check_shape(values: Array, source: KeypointFormat) -> None:
    count = len(source.joints)
    if values.ndim < 2 or values.shape[-2] != count or values.shape[-1] not in (2, 3):
        raise InputError(
            f"keypoints have shape {values.shape}: {source.title} needs (..., {count}, 2 or 3)"
        )
    if values.dtype.kind not in "fiu":
        raise InputError(f"keypoints are of type {values.dtype}: give real numbers")
