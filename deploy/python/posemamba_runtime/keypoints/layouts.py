"""The joint orders detectors write, and how the 17 Human3.6M joints follow from each.

Every Human3.6M joint is a weighted mean of joints the detector has (weights sum to 1, so the result
moves with the person). Joints of the same name are taken as they are; a layout lists only the five
of the middle line that layouts disagree on. Training, this package and, through
``tools/make_keypoint_table.py``, the C++ library have this table in common.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.skeleton import JOINT_NAMES
from posemamba_runtime.text import nearest

Weights = Mapping[str, float]


@dataclass(frozen=True)
class Layout:
    """One detector's joints.

    Attributes:
        title: what people call it.
        joints: names in the detector's order.
        middle: weights of the Human3.6M joints that are not simply a joint of the same name.
        middle_y: weights of y where they differ from those of x (COCO's rule only).
        stand_ins: for joints a recording may never show, those whose mean takes their place; tried
            in this order.
    """

    title: str
    joints: tuple[str, ...]
    middle: Mapping[str, Weights] = field(default_factory=dict)
    middle_y: Mapping[str, Weights] = field(default_factory=dict)
    stand_ins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def weights(self, joint: str) -> tuple[Weights, Weights]:
        """Weights of a Human3.6M joint's x and y over the detector's joints."""
        x = self.middle.get(joint, {joint: 1.0})
        return x, self.middle_y.get(joint, x)

    def sources(self, joint: str) -> tuple[str, ...]:
        """The detector's joints that a Human3.6M joint depends on."""
        x, y = self.weights(joint)
        return tuple(name for name in self.joints if name in x or name in y)

    @property
    def used(self) -> tuple[str, ...]:
        """The detector's joints that any Human3.6M joint depends on."""
        wanted = {name for joint in JOINT_NAMES for name in self.sources(joint)}
        return tuple(name for name in self.joints if name in wanted)

    @property
    def used_places(self) -> tuple[int, ...]:
        """Where :attr:`used` stand among the joints."""
        return tuple(self.joints.index(name) for name in self.used)

    def matrices(self) -> npt.NDArray[np.float64]:
        """(2, 17, joints) weights of x and of y."""
        result = np.zeros((2, len(JOINT_NAMES), len(self.joints)))
        for row, joint in enumerate(JOINT_NAMES):
            for axis, weights in enumerate(self.weights(joint)):
                for name, weight in weights.items():
                    result[axis, row, self.joints.index(name)] = weight
        return result


def _mean(*names: str) -> Weights:
    return {name: 1.0 / len(names) for name in names}


_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_LIMBS = (
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
_COCO = (*_FACE, *_LIMBS)
_RIGHT_THEN_LEFT = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist"),
    *("left_shoulder", "left_elbow", "left_wrist"),
)
_LEGS = ("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle")
_EYES_EARS = ("right_eye", "left_eye", "right_ear", "left_ear")
_FEET = (
    *("left_big_toe", "left_small_toe", "left_heel"),
    *("right_big_toe", "right_small_toe", "right_heel"),
)

_HIPS = _mean("left_hip", "right_hip")
_SHOULDERS = _mean("left_shoulder", "right_shoulder")
_TRUNK = _mean("left_hip", "right_hip", "left_shoulder", "right_shoulder")

# From the side one ear and eye are hidden, from behind the nose.
_EARS = {"left_ear": ("right_ear",), "right_ear": ("left_ear",)}
_EYES = {"left_eye": ("right_eye",), "right_eye": ("left_eye",)}
_NOSE = {"nose": ("left_ear", "right_ear")}

_ABOVE_EARS = 0.86
"""Where a layout has ears but no head top: as far above the ears as this share of the way from the
shoulders to the ears. Fitted by least squares (0.864) to the 115 frames of the bundled clips'
BODY_25B source in which face, shoulders, neck and head top all have a confidence above 0.05; the
head top is then 6 % of the torso's length off on those frames."""


def _above_ears(neck: Weights) -> Weights:
    ears = (1.0 + _ABOVE_EARS) / 2.0
    return {
        "left_ear": ears,
        "right_ear": ears,
        **{name: -_ABOVE_EARS * weight for name, weight in neck.items()},
    }


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
    "belly": _TRUNK,
    "neck": {
        **{"left_shoulder": 1 / 3, "right_shoulder": 1 / 3, "nose": 1.0},
        **{"left_eye": -1 / 3, "right_eye": -1 / 3},
    },
    "head": {"left_eye": 1.0, "right_eye": 1.0, "nose": -1.0},
}
_MID_HIP_AND_NECK: Mapping[str, Weights] = {
    "root": {"mid_hip": 1.0},
    "belly": _mean("mid_hip", "neck"),
}

#: By the names of the runtime's C interface.
LAYOUTS: Mapping[str, Layout] = {
    "h36m17": Layout("Human3.6M", JOINT_NAMES),
    "coco17": Layout("COCO-17", _COCO, _COCO_MIDDLE, _COCO_MIDDLE_Y, {**_EARS, **_EYES, **_NOSE}),
    "coco18": Layout(
        "OpenPose COCO-18",
        (*_RIGHT_THEN_LEFT, *_LEGS, *_EYES_EARS),
        {
            "root": _HIPS,
            "belly": {"left_hip": 1 / 4, "right_hip": 1 / 4, "neck": 1 / 2},
            "head": _above_ears({"neck": 1.0}),
        },
        stand_ins={**_EARS, **_NOSE},
    ),
    "body25": Layout(
        "OpenPose BODY_25",
        (*_RIGHT_THEN_LEFT, "mid_hip", *_LEGS, *_EYES_EARS, *_FEET),
        {**_MID_HIP_AND_NECK, "head": _above_ears({"neck": 1.0})},
        stand_ins={**_EARS, **_NOSE},
    ),
    "body25b": Layout(
        "OpenPose BODY_25B",
        (*_COCO, "upper_neck", "head_top", *_FEET),
        {
            "root": _HIPS,
            "belly": {"left_hip": 1 / 4, "right_hip": 1 / 4, "upper_neck": 1 / 2},
            "neck": {"upper_neck": 1.0},
            "head": {"head_top": 1.0},
        },
        stand_ins={"nose": ("upper_neck", "head_top")},
    ),
    "halpe26": Layout(
        "Halpe-26",
        (
            *(*_COCO, "head_top", "neck", "mid_hip"),
            *("left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe"),
            *("left_heel", "right_heel"),
        ),
        {**_MID_HIP_AND_NECK, "head": {"head_top": 1.0}},
        stand_ins={"nose": ("neck", "head_top")},
    ),
    "wholebody133": Layout(
        "COCO-WholeBody-133",
        (
            *(*_COCO, *_FEET, *(f"face_{index}" for index in range(68))),
            *(f"{side}_hand_{index}" for side in ("left", "right") for index in range(21)),
        ),
        _COCO_MIDDLE,
        _COCO_MIDDLE_Y,
        {**_EARS, **_EYES, **_NOSE},
    ),
    "mediapipe33": Layout(
        "MediaPipe-33",
        (
            *("nose", "left_eye_inner", "left_eye", "left_eye_outer"),
            *("right_eye_inner", "right_eye", "right_eye_outer", "left_ear", "right_ear"),
            *("mouth_left", "mouth_right", *_LIMBS[:6]),
            *("left_pinky", "right_pinky", "left_index", "right_index"),
            *("left_thumb", "right_thumb", *_LIMBS[6:]),
            *("left_heel", "right_heel", "left_foot_index", "right_foot_index"),
        ),
        {
            "root": _HIPS,
            "belly": _TRUNK,
            "neck": _SHOULDERS,
            "head": _above_ears(_SHOULDERS),
        },
        stand_ins={**_EARS, **_NOSE},
    ),
}

#: Number of keypoints a person to the layouts it may be; of 135 and 136 the body comes first,
#: and trt_pose's 18 are COCO's 17 and a neck.
BY_COUNT: Mapping[int, tuple[str, ...]] = {
    17: ("coco17",),
    18: ("coco18", "coco17"),
    25: ("body25", "body25b"),
    26: ("halpe26",),
    33: ("mediapipe33",),
    133: ("wholebody133",),
    135: ("body25b",),
    136: ("halpe26",),
}


def layout_name(text: str) -> str:
    """A layout's name; case, ``-`` and ``_`` do not matter (``BODY_25B`` is ``body25b``).

    Raises:
        InputError: no such layout.
    """
    name = text.casefold().replace("-", "").replace("_", "")
    if name not in LAYOUTS:
        known = ", ".join(LAYOUTS)
        raise InputError(f"no layout '{text}'{nearest(name, LAYOUTS)}: use one of {known}")
    return name


def layout_of_count(count: int, given: str | None) -> str:
    """The layout of people of ``count`` keypoints, where the count or ``given`` tells it.

    Raises:
        InputError: a count no layout has, or one that ``given`` has not.
    """
    if given is not None:
        name = layout_name(given)
        joints = len(LAYOUTS[name].joints)
        if count != joints and name not in BY_COUNT.get(count, ()):
            raise InputError(
                f"{count} keypoints a person, where {name} has {joints}: leave --layout out"
            )
        return name
    if count not in BY_COUNT:
        known = ", ".join(f"{number} ({names[0]})" for number, names in BY_COUNT.items())
        raise InputError(f"{count} keypoints a person: the layouts read have {known}")
    return BY_COUNT[count][0]
