"""``.json``: the recording's facts, then each person's arrays; null is what is not known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba_runtime.body.kinematics import rest_offsets, rotations
from posemamba_runtime.body.skeleton import JOINT_NAMES, PARENTS
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs.labels import facts

#: Digits behind the point: a hundredth of a millimetre, of a pixel, of a degree.
_LENGTH = {"m": 5, "mm": 2, "network": 6}
_PIXELS, _TURNS, _SECONDS = 2, 5, 6


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """``persons[i].poses_3d[row][joint]`` is [x, y, z] of frame ``persons[i].frames[row]``."""
    header = {**facts(motion), "joint_names": list(JOINT_NAMES), "parents": list(PARENTS)}
    with path.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(header, ensure_ascii=False, indent=1, allow_nan=False)[:-2])
        stream.write(',\n "persons": [\n')
        for index, track in enumerate(tracks):
            stream.write(",\n" if index else "")
            stream.write(json.dumps(_person(track, _LENGTH[motion.units]), allow_nan=False))
        stream.write("\n ]\n}\n")


def _person(track: Track, digits: int) -> dict[str, Any]:
    return {
        "person": int(track.person),
        "rest_offsets": _rounded(rest_offsets(track.poses_3d), digits),
        "frames": [int(frame) for frame in track.frames],
        "timestamps": _rounded(track.timestamps, _SECONDS),
        "poses_3d": _rounded(track.poses_3d, digits),
        "rotations": _rounded(rotations(track.poses_3d), _TURNS),
        "filled": track.filled.astype(int).tolist(),
        "keypoints_2d": _rounded(track.keypoints_2d, _PIXELS),
        "root_estimate": None if track.root is None else _rounded(track.root, digits),
    }


def _rounded(values: npt.NDArray[Any], digits: int) -> Any:  # noqa: ANN401 (nested lists)
    """Nested lists; None for what is not finite, which JSON cannot say."""
    boxed = np.round(values.astype(np.float64), digits).astype(object)
    boxed[~np.isfinite(values)] = None
    return boxed.tolist()
