"""Detectron's keypoints of a video, an ``.npz`` each, as VideoPose3D's ``infer_video_d2.py`` saves.

Arrays of Python objects, decoded without running anything: ``keypoints`` has a pair for each frame,
nothing and (people, 4, 17), which are x, y, a logit and a probability; ``boxes`` beside it;
``metadata`` the video's ``w`` and ``h``. The probabilities are those of a place among a heat map's,
often below 0.1 for what is plainly seen: they are not taken for confidences, nor does VideoPose3D.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from posemamba_runtime.keypoints.archive import Member, objects
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats.base import set_size
from posemamba_runtime.keypoints.people import Detection
from posemamba_runtime.keypoints.recording import Detections

_JOINTS = 17


def is_detectron(members: Mapping[str, Member]) -> bool:
    keypoints = members.get("keypoints")
    return "boxes" in members and keypoints is not None and keypoints.array is None


def read_detectron(members: Mapping[str, Member]) -> Detections:
    """Everybody in every frame.

    Raises:
        InputError: without the file's name.
    """
    found = Detections(layout="coco17", units="pixels")
    metadata = objects(members, "metadata")
    if isinstance(metadata, Mapping) and "w" in metadata and "h" in metadata:
        set_size((metadata["w"], metadata["h"]), found)
    frames = objects(members, "keypoints")
    if not isinstance(frames, list):
        raise InputError("'keypoints' is no list of frames: not Detectron's")
    for number, classes in enumerate(frames):
        found.people.add(number, _people(number, classes))
    return found


def _people(number: int, classes: object) -> list[Detection]:
    """Those of one frame; the pair is nothing for the background and an array for persons."""
    if not isinstance(classes, list | tuple) or len(classes) != 2:
        raise InputError(f"frame {number} of 'keypoints' is no pair: not Detectron's")
    people = classes[1]
    if people is None or len(people) == 0:
        return []
    if (
        not isinstance(people, np.ndarray)
        or people.dtype.kind not in "fiu"
        or people.ndim != 3
        or people.shape[1:] != (4, _JOINTS)
    ):
        raise InputError(f"frame {number} of 'keypoints' is not (people, 4, {_JOINTS})")
    return [Detection(person[:2].T.astype(np.float64)) for person in people]
