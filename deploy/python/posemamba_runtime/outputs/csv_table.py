"""``.csv``: a row per person and frame; names of columns hold the units, blank means not known.

``nose_x_m`` is metres to the right in the image (y down, z away from the camera, from the pelvis),
``nose_u_px`` and ``nose_v_px`` the keypoint in the image, ``nose_filled`` 1 where it was filled in,
and ``pelvis_x_estimate_m`` the pelvis in the camera's axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.skeleton import JOINT_NAMES

_AXES = ("x", "y", "z")


_DIGITS = {"m": 5, "mm": 2, "network": 6}
_PIXEL_DIGITS = 2


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """As the module's description says."""
    digits = _DIGITS[motion.units]
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(",".join(_columns(motion.units)) + "\n")
        for track in tracks:
            stream.writelines(_rows(track, digits))


def _columns(units: str) -> list[str]:
    return [
        *("person", "frame", "time_s"),
        *(f"{joint}_{axis}_{units}" for joint in JOINT_NAMES for axis in _AXES),
        *(f"pelvis_{axis}_estimate_{units}" for axis in _AXES),
        *(f"{joint}_{axis}_px" for joint in JOINT_NAMES for axis in ("u", "v")),
        *(f"{joint}_filled" for joint in JOINT_NAMES),
    ]


def _rows(track: Track, digits: int) -> Iterator[str]:
    for rows in long_arrays.pieces(track.poses_3d, track.keypoints_2d, track.filled):
        poses = track.poses_3d[rows]
        root = np.full((len(poses), 3), np.nan) if track.root is None else track.root[rows]
        columns = zip(
            track.frames[rows].tolist(),
            track.timestamps[rows].tolist(),
            _cells(poses, digits),
            _cells(root, digits),
            _cells(track.keypoints_2d[rows], _PIXEL_DIGITS),
            _cells(track.filled[rows], 0),
            strict=True,
        )
        for frame, time, pose, place, pixels, filled in columns:
            yield f"{track.person},{frame},{time:.6f},{pose},{place},{pixels},{filled}\n"


def _cells(values: npt.NDArray[Any], digits: int) -> Iterator[str]:
    """Each row of (n, ...) as text; what is not finite stays blank."""
    cell = f"%.{digits}f"
    flat = values.reshape(len(values), -1)
    line = ",".join([cell] * flat.shape[1])
    for row, whole in zip(flat, np.isfinite(flat).all(-1), strict=True):
        if whole:
            yield line % tuple(row)
        else:
            yield ",".join(cell % value if np.isfinite(value) else "" for value in row)
