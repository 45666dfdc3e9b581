"""AlphaPose's results.

``alphapose-results.json`` is a list with an entry a person and image, as COCO's results are (see
``coco.py``), with the image's file name as ``image_id`` and the tracker's ``idx``; Halpe-26,
Halpe-136 or COCO-17 keypoints; images without a person have no entry. ``--format cmu`` writes an
object of image names with ``bodies[].joints``, ``--format open`` one with OpenPose's ``people``,
both of COCO-18; ``sep-json`` holds the same, an image a file. PoseFlow's ``-forvis-tracked.json``
is an object of image names with lists of ``{"keypoints", "scores", "idx"}``.
"""

from __future__ import annotations

from array import array

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats.base import FrameFormat, detection, is_objects
from posemamba_runtime.keypoints.people import Detection
from posemamba_runtime.keypoints.points import keys_of
from posemamba_runtime.keypoints.recording import Detections
from posemamba_runtime.keypoints.source import Json
from posemamba_runtime.text import printable


def _is_frame(value: Json) -> bool:
    if is_objects(value):
        return all(
            isinstance(person.get("keypoints"), list | array)
            and "image_id" not in person
            and "class" not in person
            and ("idx" in person or "box" in person)
            for person in value
        )
    return isinstance(value, dict) and isinstance(value.get("bodies"), list)


def _read_frame(value: Json, found: Detections) -> list[Detection]:
    people: list[Detection] = []
    if isinstance(value, list):
        return [one for entry in value for one in detection(entry, entry["keypoints"], found)]
    for body in value["bodies"]:
        if not isinstance(body, dict) or "joints" not in body:
            has = keys_of(body) if isinstance(body, dict) else f"'{printable(body, 20)}'"
            raise InputError(f"a body has {has}, not 'joints': not AlphaPose's")
        people += detection(body, body["joints"], found)
    return people


ALPHAPOSE = FrameFormat("alphapose", "AlphaPose", _is_frame, _read_frame)


def is_alphapose_entry(entry: dict[str, Json]) -> bool:
    """Whether an entry of a results list is AlphaPose's rather than COCO's own."""
    return isinstance(entry.get("image_id"), str) or "idx" in entry or "box" in entry
