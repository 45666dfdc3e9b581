"""``.bvh``: a skeleton of constant bones and its joint angles, for Blender, Unity, Maya.

Axes: x right in the image, y up, z towards the camera; the format has no field for units: metres.
At rest the person stands in a T-pose and faces +z. A node lies where a bone *begins* and turns it,
so the pelvis, the hips and the neck each begin several nodes.

BVH holds a fixed rate and no gaps. So all persons' files run over the same frames, those of the
recording: turns are interpolated over gaps, and held before a person comes and after they leave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.body.kinematics import rest_offsets, rotations, y_up
from posemamba_runtime.body.quaternions import to_matrices
from posemamba_runtime.motion import IntArray, Motion, Track
from posemamba_runtime.outputs.frames import every_frame
from posemamba_runtime.skeleton import NUM_JOINTS, PARENTS

Array = npt.NDArray[np.float64]

#: Node that turns the bone ending at each joint, by the names that retargeting tools know.
NODES: tuple[str, ...] = (
    "Hips",
    *("RightHipJoint", "RightUpLeg", "RightLeg"),
    *("LeftHipJoint", "LeftUpLeg", "LeftLeg"),
    *("Spine", "Spine1", "Neck", "Head"),
    *("LeftShoulder", "LeftArm", "LeftForeArm"),
    *("RightShoulder", "RightArm", "RightForeArm"),
)
_METRES = {"m": 1.0, "mm": 1e-3}
_GIMBAL = 1.0 - 1e-12  # sine of a turn about x beyond which those about z and y are one


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """One person, over the frames of the whole recording."""
    (track,) = tracks
    scale = _METRES[motion.units]
    frames = every_frame(motion.tracks, ".bvh")
    offsets = rest_offsets(track.poses_3d) * scale
    row = " ".join(["%.6f"] * (3 + 3 * NUM_JOINTS)) + "\n"
    with path.open("w", encoding="ascii", newline="\n") as stream:
        stream.write("HIERARCHY\n")
        stream.writelines(f"{line}\n" for line in _hierarchy(0, offsets))
        stream.write(f"MOTION\nFrames: {len(frames)}\nFrame Time: {1.0 / motion.rate:.8f}\n")
        for channels in _channels(track, frames, scale):
            stream.writelines(row % tuple(values) for values in channels)


def node_order(joint: int = 0) -> list[int]:
    """Joints as the file names their nodes: a parent, then each child with its own."""
    return [joint, *(below for child in _children(joint) for below in node_order(child))]


def _children(joint: int) -> list[int]:
    return [child for child in range(1, NUM_JOINTS) if PARENTS[child] == joint]


def _hierarchy(joint: int, offsets: Array) -> Iterator[str]:
    """Lines of a node and those below it; the node lies where the bone that it turns begins."""
    kind, channels = "JOINT", "CHANNELS 3 Zrotation Xrotation Yrotation"
    if joint == 0:
        kind = "ROOT"
        channels = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    yield from (f"{kind} {NODES[joint]}", "{", _offset(offsets[PARENTS[joint]]), f"\t{channels}")
    below = _children(joint)
    for child in below:
        yield from (f"\t{line}" for line in _hierarchy(child, offsets))
    if not below:
        yield from ("\tEnd Site", "\t{", f"\t{_offset(offsets[joint])}", "\t}")
    yield "}"


def _offset(values: Array) -> str:
    return "\tOFFSET " + " ".join(f"{value:.6f}" for value in values)


def _channels(track: Track, frames: IntArray, scale: float) -> Iterator[Array]:
    """Rows of the file, some at a time: the root's place, then degrees without jumps."""
    before = np.empty((0, NUM_JOINTS, 3))
    for piece in long_arrays.pieces(frames):
        wanted = frames[piece]
        first = max(int(np.searchsorted(track.frames, wanted[0], side="right")) - 1, 0)
        last = int(np.searchsorted(track.frames, wanted[-1])) + 1
        rows = slice(min(first, len(track.frames) - 1), max(last, first + 1))
        known = track.frames[rows]
        turns = _over(wanted, known, rotations(track.poses_3d[rows]))
        long_arrays.release(track.poses_3d)
        angles = _euler(turns / np.linalg.norm(turns, axis=-1, keepdims=True))
        joined = np.unwrap(np.concatenate([before, angles]), axis=0, period=360.0)[len(before) :]
        before = joined[-1:]
        root = np.zeros((len(known), 3)) if track.root is None else y_up(track.root[rows]) * scale
        yield np.concatenate([_over(wanted, known, root), joined.reshape(len(wanted), -1)], axis=1)


def _over(wanted: IntArray, known: IntArray, values: Array) -> Array:
    """Values (n, ...) at frames ``known``, interpolated or held at frames ``wanted``."""
    after = np.clip(np.searchsorted(known, wanted), 0, len(known) - 1)
    before = np.clip(np.searchsorted(known, wanted, side="right") - 1, 0, len(known) - 1)
    span = np.maximum(known[after] - known[before], 1)
    share = np.where(after > before, (wanted - known[before]) / span, 0.0)
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    between: Array = values[before] * (1.0 - share) + values[after] * share
    return between


def _euler(turns: Array) -> Array:
    """Degrees about z, x and y of R = Rz Rx Ry."""
    m = to_matrices(turns[:, node_order()])
    sine = np.clip(m[..., 2, 1], -1.0, 1.0)
    locked = np.abs(sine) > _GIMBAL
    z = np.where(
        locked,
        np.arctan2(m[..., 1, 0], m[..., 0, 0]),
        np.arctan2(-m[..., 0, 1], m[..., 1, 1]),
    )
    y = np.where(locked, 0.0, np.arctan2(-m[..., 2, 0], m[..., 2, 2]))
    angles: Array = np.degrees(np.stack([z, np.arcsin(sine), y], axis=-1))
    return angles
