"""Joint rotations from joint positions, with bones of constant length, and back.

Rotations are quaternions w, x, y, z, each relative to its parent's, in right-handed axes of which y
is up: x right in the image, z towards the camera. Entry ``j`` turns the bone that *ends* at joint
``j``; entry 0 turns the whole body. Identity everywhere is the T-pose of
:data:`~posemamba_runtime.body.skeleton.REST_DIRECTIONS`. With ``offset_j`` the bone at rest:

    turn_0 = rotation_0            turn_j  = turn_parent * rotation_j
    place_0 = 0                    place_j = place_parent + turn_j applied to offset_j

A bone's direction says nothing about its twist, so bones swing by the shortest arc and never twist.
The body's own rotation is told by the line of the hips and the spine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.body import quaternions as quat
from posemamba_runtime.body.skeleton import BELLY, LEFT_HIP, REST_DIRECTIONS, RIGHT_HIP
from posemamba_runtime.skeleton import NUM_JOINTS, PARENTS

Array = npt.NDArray[np.float64]

_SHORTEST = 1e-9
"""A bone shorter than this, in any unit, has no direction: it keeps its parent's."""


def y_up(points: npt.NDArray[Any]) -> Array:
    """Camera axes (x right, y down, z away) to y up (x right, z towards the camera), or back.

    A half turn about x, so nothing is mirrored. Points are (..., 3); the result is float64.
    """
    turned: Array = points * np.array([1.0, -1.0, -1.0]) + 0.0  # no -0.0 in text
    return turned


def rest_offsets(poses_3d: npt.NDArray[Any]) -> Array:
    """(17, 3) bones at rest, as long as their median over the frames (n, 17, 3)."""
    lengths = [np.median(_lengths(poses_3d, joint)) for joint in range(NUM_JOINTS)]
    offsets: Array = REST_DIRECTIONS * np.array(lengths)[:, None]
    return offsets


def _lengths(poses_3d: npt.NDArray[Any], joint: int) -> Array:
    """(n,) of the bone that ends there; one at a time, for a recording may be an hour long."""
    lengths = np.empty(len(poses_3d))
    for rows in long_arrays.pieces(poses_3d):
        bones = poses_3d[rows, joint] - poses_3d[rows, PARENTS[joint]]
        lengths[rows] = np.linalg.norm(bones.astype(np.float64), axis=-1)
    return lengths


def rotations(poses_3d: npt.NDArray[Any]) -> Array:
    """Rotations (n, 17, 4) of poses (n, 17, 3) in camera axes and any unit.

    Signs follow each other, so that entries can be interpolated over the frames.
    """
    points = y_up(poses_3d)
    turns = np.empty((len(points), NUM_JOINTS, 4))
    local = np.empty_like(turns)
    turns[:, 0] = local[:, 0] = _body_turns(points)
    for joint in range(1, NUM_JOINTS):
        parent = PARENTS[joint]
        towards = quat.rotate(
            quat.conjugate(turns[:, parent]), _unit(points[:, joint] - points[:, parent])
        )
        still = ~towards.any(-1, keepdims=True)
        towards = np.where(still, REST_DIRECTIONS[joint], towards)
        local[:, joint] = quat.shortest_arc(REST_DIRECTIONS[joint], towards)
        turns[:, joint] = quat.multiply(turns[:, parent], local[:, joint])
    return quat.continuous(local)


def rotations_in_parts(poses_3d: npt.NDArray[Any], rows: int = long_arrays.ROWS) -> Iterator[Array]:
    """The same as :func:`rotations`, ``rows`` frames at a time: memory stays flat."""
    before = np.empty((0, NUM_JOINTS, 4))
    for some in long_arrays.pieces(poses_3d, rows=rows):
        part = rotations(poses_3d[some])
        joined = quat.continuous(np.concatenate([before, part]))[len(before) :]
        before = joined[-1:]
        yield joined


def forward(local: Array, offsets: Array) -> Array:
    """Poses (n, 17, 3) in camera axes, the root at 0, of rotations and bones at rest."""
    turns, points = np.empty_like(local), np.zeros((*local.shape[:-1], 3))
    turns[:, 0] = local[:, 0]
    for joint in range(1, NUM_JOINTS):
        parent = PARENTS[joint]
        turns[:, joint] = quat.multiply(turns[:, parent], local[:, joint])
        points[:, joint] = points[:, parent] + quat.rotate(turns[:, joint], offsets[joint])
    return y_up(points)


def _body_turns(points: Array) -> Array:
    """(n, 4): x along the hips, y as near the spine as that leaves; identity where neither says."""
    x = _unit(points[:, LEFT_HIP] - points[:, RIGHT_HIP])
    z = _unit(np.cross(x, _unit(points[:, BELLY] - points[:, 0])))
    turned = quat.from_axes(x, np.cross(z, x), z)
    known = x.any(-1, keepdims=True) & z.any(-1, keepdims=True)
    return np.where(known, turned, np.array([1.0, 0.0, 0.0, 0.0]))


def _unit(vector: Array) -> Array:
    """(n, 3) of length 1, or 0 where it has no direction."""
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.where(length > _SHORTEST, vector / np.maximum(length, _SHORTEST), 0.0)
