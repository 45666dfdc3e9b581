"""OpenPose's ``--write_json``: an object a frame, any number of people in it.

``people[].pose_keypoints_2d`` is x, y, confidence, ...; a keypoint that was not found is three
zeros. Files of before 2018 say ``pose_keypoints``. The number of people's keypoints tells COCO-18
from the 25; BODY_25 and BODY_25B are told apart by where the points lie. Other tools write the
same: AlphaPose (``--format open``), and nodes for image generation, with the canvas' size beside.
"""

from __future__ import annotations

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats.base import (
    FrameFormat,
    detection,
    is_objects,
    take_size,
)
from posemamba_runtime.keypoints.people import Detection
from posemamba_runtime.keypoints.points import first, keys_of
from posemamba_runtime.keypoints.recording import Detections
from posemamba_runtime.keypoints.source import Json
from posemamba_runtime.text import printable

_BODY = ("pose_keypoints_2d", "pose_keypoints")
_NOT_BODY = ("hand_left_keypoints_2d", "hand_right_keypoints_2d", "face_keypoints_2d")


def _is_frame(value: Json) -> bool:
    if is_objects(value):  # the people alone
        return all(first(person, _BODY) is not None for person in value)
    if not isinstance(value, dict) or not isinstance(value.get("people"), list):
        return False
    return not any(
        isinstance(person, dict) and "keypoints" in person and first(person, _BODY) is None
        for person in value["people"]
    )


def _read_frame(value: Json, found: Detections) -> list[Detection]:
    if isinstance(value, dict):
        take_size(value, found)
    people: list[Detection] = []
    for person in value["people"] if isinstance(value, dict) else value:
        if not isinstance(person, dict):
            raise InputError(f"a person is '{printable(person, 20)}', not an object with keypoints")
        keypoints = first(person, _BODY)
        if keypoints is None:
            if person and first(person, _NOT_BODY) is None and "pose_keypoints_3d" not in person:
                raise InputError(
                    f"a person has {keys_of(person)}, not 'pose_keypoints_2d': not OpenPose's"
                )
            keypoints = []
        people += detection(person, keypoints, found, ("person_id", "idx", "track_id"))
    return people


OPENPOSE = FrameFormat("openpose", "OpenPose", _is_frame, _read_frame)
