"""``.trc``: marker positions as OpenSim reads them.

Tabs, five header lines, an empty one, a row per frame. Axes: x right in the image, y up, z towards
the camera. A frame without the person keeps its row and leaves its cells empty, which OpenSim
reads as NaN. Every row ends in a tab, without which OpenSim drops an empty last cell and refuses
the row (``TRCFileAdapter``, ``FileAdapter::tokenize``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.body.kinematics import y_up
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs.frames import every_frame
from posemamba_runtime.skeleton import JOINT_NAMES, NUM_JOINTS

_DIGITS = {"m": 5, "mm": 2}
_KEYS = (
    *("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"),
    *("OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"),
)


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """One person; positions from the pelvis, or from the camera where there is a trajectory."""
    (track,) = tracks
    frames = every_frame(tracks, ".trc")
    times = np.interp(frames, track.frames, track.timestamps)
    rate, count = f"{motion.rate:.6g}", len(frames)
    values = (rate, rate, count, NUM_JOINTS, motion.units, rate, frames[0], count)
    header = [
        [
            "PathFileType",
            "4",
            "(X/Y/Z)",
            "_".join(PurePath(motion.source).name.split()) or "motion",
        ],
        _KEYS,
        values,
        ["Frame#", "Time", *(cell for name in JOINT_NAMES for cell in (name, "", ""))],
        ["", "", *(f"{axis}{n}" for n in range(1, NUM_JOINTS + 1) for axis in "XYZ")],
        [],
    ]
    number = f"%.{_DIGITS[motion.units]}f"
    full = "\t".join([number] * (3 * NUM_JOINTS))
    empty = "\t" * (3 * NUM_JOINTS - 1)
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for line in header:
            stream.write("\t".join(map(str, line)) + "\n")
        for rows in long_arrays.pieces(frames):
            some = frames[rows]
            cells = _cells(track, int(some[0]), int(some[-1]))
            for frame, time in zip(some.tolist(), times[rows], strict=True):
                seen = cells.get(frame)
                body = empty if seen is None else full % tuple(seen)
                stream.write(f"{frame}\t{time:.6f}\t{body}\t\n")


def _cells(track: Track, first: int, last: int) -> dict[int, npt.NDArray[np.floating]]:
    """The 51 numbers of the frames from ``first`` to ``last`` that show the person."""
    begin, end = np.searchsorted(track.frames, (first, last + 1)).tolist()
    poses = track.poses_3d[begin:end]
    points = y_up(poses if track.root is None else poses + track.root[begin:end, None])
    rows = points.reshape(len(points), -1)
    long_arrays.release(track.poses_3d)
    return dict(zip(track.frames[begin:end].tolist(), rows, strict=True))
