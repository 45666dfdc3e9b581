"""``.csv``: a row per person and frame; names of columns hold the units, blank means not known.

``nose_x_m`` is metres to the right in the image (y down, z away from the camera, from the pelvis),
``nose_u_px`` and ``nose_v_px`` the keypoint in the image, ``nose_filled`` 1 where it was filled in,
and ``pelvis_x_estimate_m`` the pelvis in the camera's axes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from posemamba_runtime.body.skeleton import JOINT_NAMES
from posemamba_runtime.motion import Motion, Track

_AXES = ("x", "y", "z")


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """As the module's description says."""
    digits = {"m": 5, "mm": 2, "network": 6}[motion.units]
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(_columns(motion.units))
        for track in tracks:
            table.writerows(_rows(track, digits))


def _columns(units: str) -> list[str]:
    return [
        *("person", "frame", "time_s"),
        *(f"{joint}_{axis}_{units}" for joint in JOINT_NAMES for axis in _AXES),
        *(f"pelvis_{axis}_estimate_{units}" for axis in _AXES),
        *(f"{joint}_{axis}_px" for joint in JOINT_NAMES for axis in ("u", "v")),
        *(f"{joint}_filled" for joint in JOINT_NAMES),
    ]


def _rows(track: Track, digits: int) -> Iterator[list[object]]:
    for row, frame in enumerate(track.frames):
        root = ["", "", ""] if track.root is None else _cells(track.root[row], digits)
        yield [
            *(track.person, frame, f"{track.timestamps[row]:.6f}"),
            *_cells(track.poses_3d[row].ravel(), digits),
            *root,
            *_cells(track.keypoints_2d[row].ravel(), 2),
            *track.filled[row].astype(int).tolist(),
        ]


def _cells(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]], digits: int) -> list[str]:
    return [f"{value:.{digits}f}" if np.isfinite(value) else "" for value in values.tolist()]
