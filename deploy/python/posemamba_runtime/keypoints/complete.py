"""From what was found of a person to the gapless Human3.6M keypoints the network takes.

Gaps are filled in the detector's own joints, where a half-seen pair of hips still helps: linearly
in time, held before the first sighting and after the last. An ear, eye or nose that is never seen
is replaced by the one opposite. A limb that is never seen, as legs under a desk, is placed where it
would hang; everything that was not seen is marked.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.keypoints.layouts import LAYOUTS, Layout
from posemamba_runtime.keypoints.people import Floats32, Ints
from posemamba_runtime.keypoints.recording import Floats, PersonTrack
from posemamba_runtime.skeleton import NUM_JOINTS

Bools = npt.NDArray[np.bool_]

#: Joint to the one above it and the length between them, as a share of shoulders to hips.
_HANGS_FROM = {
    "left_knee": ("left_hip", 0.85),
    "right_knee": ("right_hip", 0.85),
    "left_ankle": ("left_knee", 0.8),
    "right_ankle": ("right_knee", 0.8),
    "left_elbow": ("left_shoulder", 0.55),
    "right_elbow": ("right_shoulder", 0.55),
    "left_wrist": ("left_elbow", 0.5),
    "right_wrist": ("right_elbow", 0.5),
}


@dataclass(frozen=True)
class Stretch:
    """A person over consecutive frames, ready to be lifted.

    Attributes:
        frames: (n,) consecutive.
        timestamps: (n,) seconds.
        points: (n, 17, 2) pixels, finite.
        filled: (n, 17) not seen.
    """

    frames: Ints
    timestamps: Floats
    points: Floats32
    filled: Bools


@dataclass(frozen=True)
class Completed:
    """All of a person.

    Attributes:
        stretches: between gaps too long to fill.
        keypoints_2d: (n, 17, 2) of all the stretches' frames, NaN where not found.
        placed: limbs that were never seen and were placed, by name.
        lost: why a stretch, or everything, could not be used; with its number of frames.
    """

    stretches: tuple[Stretch, ...]
    keypoints_2d: Floats32
    placed: tuple[str, ...]
    lost: tuple[tuple[str, int], ...]


def complete(track: PersonTrack, layout: str) -> Completed:
    """Fill what was not found, stretch by stretch."""
    ends = np.flatnonzero(np.diff(track.frames) > 1) + 1
    stretches, seen, lost = [], [], []
    placed: set[str] = set()
    for start, end in pairwise([0, *ends.tolist(), len(track.frames)]):
        rows = slice(start, end)
        values = track.values[rows]
        joints = LAYOUTS[layout]
        filled, hung, missing = _filled(values, joints)
        if missing:
            lost.append((_reason(missing), end - start))
            continue
        placed.update(hung)
        points, unseen, found = _weighted(filled, values, joints.matrices())
        del filled
        stretches.append(Stretch(track.frames[rows], track.timestamps[rows], points, unseen))
        seen.append(found)
    everything = np.empty((0, NUM_JOINTS, 2), np.float32)
    if seen:
        everything = long_arrays.joined(seen)
    order = [name for name in _HANGS_FROM if name in placed]
    return Completed(tuple(stretches), everything, tuple(order), tuple(lost))


def _weighted(
    joints: Floats32, values: Floats32, weights: Floats
) -> tuple[Floats32, Bools, Floats32]:
    """The 17 points (n, 17, 2), which of them were not found, and the points without those.

    Args:
        joints: (n, joints, 2) without gaps.
        values: (n, joints, 3) with gaps.
    """
    count = len(joints)
    points: Floats32 = long_arrays.empty((count, NUM_JOINTS, 2), np.float32)
    found: Floats32 = long_arrays.empty((count, NUM_JOINTS, 2), np.float32)
    unseen: Bools = long_arrays.empty((count, NUM_JOINTS), np.bool_)
    depends = np.any(weights != 0, axis=0)
    for rows in long_arrays.pieces(joints, values, points, found, unseen):
        for axis in range(2):
            points[rows, :, axis] = joints[rows, :, axis] @ weights[axis].T
        absent = ~np.isfinite(values[rows, :, 0])
        unseen[rows] = np.stack([absent[:, row].any(axis=1) for row in depends], axis=1)
        found[rows] = np.where(unseen[rows, :, None], np.float32(np.nan), points[rows])
    return points, unseen, found


def _filled(values: Floats32, layout: Layout) -> tuple[Floats32, list[str], list[str]]:
    """(n, joints, 2) without gaps, the joints that were placed, and those that cannot be had."""
    names = layout.joints
    result: Floats32 = long_arrays.empty((*values.shape[:2], 2), np.float32)
    for rows in long_arrays.pieces(values, result):
        result[rows] = values[rows, :, :2]
    known = _known(result)
    for name, others in layout.stand_ins.items():
        joint = names.index(name)
        if not known[:, joint].any():
            places = [names.index(other) for other in others]
            for rows in long_arrays.pieces(result):
                result[rows, joint] = result[rows][:, places].mean(axis=1)
            known[:, joint] = known[:, places].all(axis=1)
    times = np.arange(len(values))
    for joint in range(len(names)):
        seen = known[:, joint]
        if seen.any() and not seen.all():
            _interpolate(result, joint, times, seen)
            seen[:] = True
    hung = []
    for name, (above, share) in _HANGS_FROM.items():
        joint, parent = names.index(name), names.index(above)
        if not known[:, joint].all() and known[:, parent].all():
            for rows in long_arrays.pieces(result):
                trunk = _trunk(result[rows], layout)
                result[rows, joint] = result[rows, parent] + np.array([0.0, share]) * trunk
                known[rows, joint] = np.isfinite(result[rows, joint, 0])
            hung.append(name)
    missing = [names[joint] for joint in layout.used_places if not known[:, joint].all()]
    unused = [joint for joint in range(len(names)) if joint not in layout.used_places]
    for rows in long_arrays.pieces(result):
        result[rows, unused] = 0.0  # their weights are 0, and 0 times NaN is NaN
    return result, hung, missing


def _known(points: Floats32) -> Bools:
    """(n, joints) of (n, joints, 2)."""
    known: Bools = np.empty(points.shape[:2], np.bool_)
    for rows in long_arrays.pieces(points):
        known[rows] = np.isfinite(points[rows, :, 0])
    return known


def _interpolate(points: Floats32, joint: int, times: Ints, known: Bools) -> None:
    """Fill one joint's gaps in time."""
    column = np.empty((len(points), 2), np.float32)
    for rows in long_arrays.pieces(points):
        column[rows] = points[rows, joint]
    for axis in range(2):
        column[~known, axis] = np.interp(times[~known], times[known], column[known, axis])
    for rows in long_arrays.pieces(points):
        points[rows, joint] = column[rows]


def _trunk(points: Floats, layout: Layout) -> Floats:
    """(n, 1) pixels from the middle of the shoulders to that of the hips; NaN where unknown."""

    def middle(part: str) -> Floats:
        pair = [layout.joints.index(f"{side}_{part}") for side in ("left", "right")]
        between: Floats = points[:, pair].mean(axis=1)
        return between

    length: Floats = np.linalg.norm(middle("shoulder") - middle("hip"), axis=-1, keepdims=True)
    return length


def _reason(missing: list[str]) -> str:
    joints = ", ".join(missing[:4]) + (", ..." if len(missing) > 4 else "")
    return f"{joints} not found in any frame"
