"""OpenPose's JSON output: one file per frame, any number of people in it.

Source: the OpenPose output format (``people[].pose_keypoints_2d`` = x, y, confidence, ...; a joint
that was not found is three zeros). Files exist in which only one coordinate was zeroed and the
confidence kept: six noses of pose2sim 0.4.0's camera 1 read x = 0 at confidence 0.65 to 0.69, half
an image away from the head. So a coordinate of exactly 0 means "not found" whatever the confidence.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError
from posemamba.text import plural

Array = npt.NDArray[Any]
Folder = Path | zipfile.Path

#: Share of the person's size beyond which a joint says "someone else" and no more.
_FAR = 0.25


def read_people(folder: Folder) -> list[Array]:
    """Everybody in every frame of a folder of JSON files, in the order of the file names.

    Returns:
        for each frame (people, K, 3): x, y in pixels, confidence; confidence 0 where x or y is 0.

    Raises:
        InputError: no JSON file, or one that is not OpenPose's.
    """
    files = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".json")),
        key=lambda entry: entry.name,
    )
    if not files:
        raise InputError(f"{folder}: no .json file; give the folder OpenPose wrote (--write_json)")
    frames = []
    for entry in files:
        try:
            people = [
                np.asarray(person["pose_keypoints_2d"], dtype=np.float64).reshape(-1, 3)
                for person in json.loads(entry.read_text(encoding="utf-8"))["people"]
            ]
            frame = np.stack(people) if people else np.empty((0, 0, 3))
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{entry}: not OpenPose output; expected people[].pose_keypoints_2d"
            ) from None
        frame[(frame[..., :2] == 0).any(axis=-1), 2] = 0.0
        frames.append(frame)
    return frames


def follow_person(frames: Sequence[Array]) -> Array:
    """The person who is largest in the first frame that shows anybody, through all frames.

    In each frame it is whoever is nearest to the joints' last known places. A joint far off, or
    missing, costs the same, so that a fragment of a person that happens to lie close loses.

    Args:
        frames: for each frame (people, K, 3), as :func:`read_people` returns.

    Returns:
        (frames, K, 3); confidence 0 where the frame shows nobody.

    Raises:
        InputError: no frame shows anybody.
    """
    start = next((index for index, people in enumerate(frames) if len(people)), None)
    if start is None:
        raise InputError(f"no person in any of {plural(len(frames), 'frame')}: nothing to follow")
    last = max(frames[start], key=_size).copy()  # (K, 3)
    track = np.zeros((len(frames), *last.shape))
    for index, people in enumerate(frames[start:], start):
        if not len(people):
            continue
        limit = _FAR * _size(last)
        seen = (people[..., 2] > 0) & (last[:, 2] > 0)  # (people, K)
        distance = np.linalg.norm(people[..., :2] - last[:, :2], axis=-1)
        cost = np.where(seen, np.minimum(distance, limit), limit).mean(axis=1)
        person = people[int(cost.argmin())]
        track[index] = person
        last = np.where(person[:, 2:] > 0, person, last)
    return track


def _size(person: Array) -> float:
    """Diagonal of the box around the joints that were found, in pixels."""
    found = person[person[:, 2] > 0, :2]
    return float(np.linalg.norm(np.ptp(found, axis=0))) if len(found) else 0.0
