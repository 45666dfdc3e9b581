"""Forward kinematics of pybullet's humanoid: motion-capture columns to the 17 joints.

The motions are ``humanoid3d_*.txt`` of ``pybullet_data`` (zlib licence), JSON with rows of 44
numbers: duration, root position, then local rotations, quaternions as w, x, y, z and knees and
elbows as one angle about z. Offsets are those of its ``humanoid.urdf`` in metres (file units times
0.25). Axes: x forward, y up, z to the right of the body.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError

Array = npt.NDArray[np.float64]

RATE = 50.0
"""Frames a second of every motion here, Human3.6M's."""

_SCALE = 0.25
_COLUMNS = 44

# (link, parent, offset in the parent in file units, first column, columns of its rotation)
LINKS: tuple[tuple[str, str, tuple[float, float, float], int, int], ...] = (
    ("chest", "root", (0.0, 0.944604, 0.0), 8, 4),
    ("neck", "chest", (0.0, 0.895576, 0.0), 12, 4),
    ("right_hip", "root", (0.0, 0.0, 0.339548), 16, 4),
    ("right_knee", "right_hip", (0.0, -1.686184, 0.0), 20, 1),
    ("right_ankle", "right_knee", (0.0, -1.63948, 0.0), 21, 4),
    ("right_shoulder", "chest", (-0.0962, 0.974, 0.73244), 25, 4),
    ("right_elbow", "right_shoulder", (0.0, -1.099152, 0.0), 29, 1),
    ("right_wrist", "right_elbow", (0.0, -1.035788, 0.0), 0, 0),
    ("left_hip", "root", (0.0, 0.0, -0.339548), 30, 4),
    ("left_knee", "left_hip", (0.0, -1.686184, 0.0), 34, 1),
    ("left_ankle", "left_knee", (0.0, -1.63948, 0.0), 35, 4),
    ("left_shoulder", "chest", (-0.0962, 0.974, -0.73244), 39, 4),
    ("left_elbow", "left_shoulder", (0.0, -1.099152, 0.0), 43, 1),
    ("left_wrist", "left_elbow", (0.0, -1.035788, 0.0), 0, 0),
)

# Human3.6M's joints: a link, and a point in it in file units. The humanoid has a head sphere of
# radius 0.41 centred 0.7 above the neck: its top is the head, a point on its front is the nose.
_JOINTS: tuple[tuple[str, tuple[float, float, float]], ...] = (
    ("root", (0.0, 0.0, 0.0)),
    ("right_hip", (0.0, 0.0, 0.0)),
    ("right_knee", (0.0, 0.0, 0.0)),
    ("right_ankle", (0.0, 0.0, 0.0)),
    ("left_hip", (0.0, 0.0, 0.0)),
    ("left_knee", (0.0, 0.0, 0.0)),
    ("left_ankle", (0.0, 0.0, 0.0)),
    ("chest", (0.0, 0.0, 0.0)),
    ("neck", (0.0, 0.0, 0.0)),
    ("neck", (0.39, 0.6, 0.0)),
    ("neck", (0.0, 1.11, 0.0)),
    ("left_shoulder", (0.0, 0.0, 0.0)),
    ("left_elbow", (0.0, 0.0, 0.0)),
    ("left_wrist", (0.0, 0.0, 0.0)),
    ("right_shoulder", (0.0, 0.0, 0.0)),
    ("right_elbow", (0.0, 0.0, 0.0)),
    ("right_wrist", (0.0, 0.0, 0.0)),
)


_QUATERNIONS = (4, *(first for _, _, _, first, width in LINKS if width == 4))
_NEARLY_UNIT = 0.01  # the motions are written with five digits
_LONGEST = 3600.0
"""Seconds of a motion; pybullet's last at most a quarter of a minute."""


@dataclass(frozen=True)
class Motion:
    """A motion at :data:`RATE`.

    Attributes:
        name: of the file, without ``humanoid3d_``.
        positions: (frames, 17, 3) metres, y up.
        loops: whether the end leads into the start.
        origin: where it comes from, and under which licence; empty where nobody said.
    """

    name: str
    positions: Array
    loops: bool
    origin: str = ""


def read_motion(path: str | os.PathLike[str]) -> Motion:
    """Read and resample one motion file.

    Raises:
        InputError: not such a file.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text())
        rows = np.asarray(content["Frames"], dtype=np.float64)
        loops = content["Loop"] == "wrap"
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"'{path}' is no motion file of pybullet's humanoid, or damaged") from None
    if rows.ndim != 2 or rows.shape[1] != _COLUMNS or len(rows) < 2:
        raise InputError(f"'{path}' has rows of shape {rows.shape}, not (2 or more, {_COLUMNS})")
    _check(rows, path)
    return Motion(path.stem.removeprefix("humanoid3d_"), joint_positions(_resample(rows)), loops)


def _check(rows: Array, path: Path) -> None:
    """Rows that have a time and a pose."""
    if not np.isfinite(rows).all():
        raise InputError(f"'{path}' holds NaN or infinity")
    durations = rows[:-1, 0]  # the last row leads nowhere
    if not (durations > 0).all():
        raise InputError(f"'{path}' has a row of duration {durations.min():g} s, not above 0")
    seconds = float(durations.sum())
    if not 1 / RATE <= seconds <= _LONGEST:
        raise InputError(f"'{path}' lasts {seconds:g} s, not {1 / RATE:g} to {_LONGEST:g}")
    for first in _QUATERNIONS:
        lengths = np.linalg.norm(rows[:, first : first + 4], axis=1)
        if not (np.abs(lengths - 1.0) < _NEARLY_UNIT).all():
            raise InputError(
                f"'{path}' has a rotation in columns {first} to {first + 3} that is no unit "
                "quaternion"
            )


def joint_positions(rows: Array) -> Array:
    """(frames, 44) columns to (frames, 17, 3) metres."""
    places = {"root": (rows[:, 1:4], _matrices(rows[:, 4:8]))}
    for link, parent, offset, first, width in LINKS:
        origin, turned = places[parent]
        here = origin + turned @ (_SCALE * np.array(offset))
        if width == 4:
            turned = turned @ _matrices(rows[:, first : first + 4])
        elif width == 1:
            turned = turned @ _about_z(rows[:, first])
        places[link] = (here, turned)
    joints = [
        places[link][0] + places[link][1] @ (_SCALE * np.array(point)) for link, point in _JOINTS
    ]
    return np.stack(joints, axis=1)


def _resample(rows: Array) -> Array:
    """Rows at :data:`RATE`: positions and angles linear, quaternions along the great circle."""
    start = np.concatenate([[0.0], np.cumsum(rows[:-1, 0])])  # a row's duration leads to the next
    times = np.arange(int(start[-1] * RATE) + 1) / RATE
    after = np.clip(np.searchsorted(start, times, side="right"), 1, len(rows) - 1)
    part = ((times - start[after - 1]) / (start[after] - start[after - 1]))[:, None]
    low, high = rows[after - 1], rows[after]
    out: Array = low + part * (high - low)
    for first in _QUATERNIONS:
        span = slice(first, first + 4)
        out[:, span] = _slerp(low[:, span], high[:, span], part)
    return out


def _slerp(low: Array, high: Array, part: Array) -> Array:
    """Spherical interpolation of (frames, 4) unit quaternions, the short way round."""
    cosine = (low * high).sum(1, keepdims=True)
    high = np.where(cosine < 0, -high, high)
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))
    small = angle < 1e-6
    sine = np.where(small, 1.0, np.sin(angle))
    first = np.where(small, 1.0 - part, np.sin((1.0 - part) * angle) / sine)
    second = np.where(small, part, np.sin(part * angle) / sine)
    return np.asarray(first * low + second * high, dtype=np.float64)


def _matrices(quaternions: Array) -> Array:
    """Rotation matrices (frames, 3, 3) of (frames, 4) quaternions w, x, y, z."""
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    matrices: Array = np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
            np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
            np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
        ],
        axis=1,
    )
    return matrices


def _about_z(angles: Array) -> Array:
    """Rotation matrices (frames, 3, 3) about z."""
    zero, one = np.zeros_like(angles), np.ones_like(angles)
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.stack(
        [
            np.stack([cosine, -sine, zero], -1),
            np.stack([sine, cosine, zero], -1),
            np.stack([zero, zero, one], -1),
        ],
        axis=1,
    )
