"""Long clips out of motions: repetition, transitions, cameras.

pybullet's motions last half a second to four, a climb twenty. A clip of 243 frames at 50 Hz is a
part of a long motion. It repeats a short one or goes on with another of the same split: the next
piece is turned and moved so that it starts where the last one ended, the two are blended over some
frames, and bones keep their lengths. So a clip has seconds of real motion, repeated, and
transitions nobody performed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posemamba.data.clip_set import ClipSet
from posemamba.data.synthetic.cameras import CameraRange, look
from posemamba.data.synthetic.humanoid import Motion, read_motion
from posemamba.errors import InputError
from posemamba.skeleton import NUM_JOINTS, PARENTS, ROOT
from posemamba.text import plural

Array = npt.NDArray[np.float64]

#: Motions nobody trains on: another dance, a gait, and strikes.
HELD_OUT_MOTIONS = ("dance_b", "run", "punch")
BLEND = 12
"""Frames over which one piece turns into the next."""
ORIGIN = "pybullet 3.2.7, pybullet_data/data/motions (zlib licence)"
SPEEDS = (0.8, 1.25)
SIZES = (0.85, 1.15)

_ASSET = Path(__file__).parents[2] / "assets" / "pybullet_motions.npz"
_STEP = 1e-4  # metres; the asset holds integers


def save_motions(path: str | os.PathLike[str], motions: Sequence[Motion]) -> None:
    """Positions in tenths of a millimetre, one array per motion."""
    path = Path(path)
    arrays = {m.name: np.rint(m.positions / _STEP).astype(np.int16) for m in motions}
    looping = np.array([m.name for m in motions if m.loops])
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays, loops=looping)  # type: ignore[arg-type]


def bundled_motions() -> list[Motion]:
    """The 15 motions of pybullet 3.2.7, forward kinematics done (``assets/ATTRIBUTION.md``)."""
    with np.load(_ASSET, allow_pickle=False) as arrays:
        looping = set(arrays["loops"].tolist())
        return [
            Motion(name, arrays[name] * _STEP, name in looping, ORIGIN)
            for name in sorted(arrays.files)
            if name != "loops"
        ]


def read_motions(folder: str | os.PathLike[str]) -> list[Motion]:
    """Motions of a folder of ``humanoid3d_*.txt``, as pybullet_data/data/motions is.

    Raises:
        InputError: no such file in it, or one that cannot be read.
    """
    folder = Path(folder)
    files = sorted(folder.glob("humanoid3d_*.txt"))
    if not files:
        raise InputError(f"{folder}: no humanoid3d_*.txt; give pybullet_data/data/motions")
    return [read_motion(file) for file in files]


def split_motions(
    motions: Sequence[Motion], held_out: Sequence[str] = HELD_OUT_MOTIONS
) -> tuple[list[Motion], list[Motion]]:
    """Those to train on, and those held out."""
    held = [m for m in motions if m.name in held_out]
    return [m for m in motions if m.name not in held_out], held


def perform(motions: Sequence[Motion], frames: int, rng: np.random.Generator) -> tuple[Array, str]:
    """A clip of ``frames`` frames: one of the motions, and what follows it.

    Returns:
        (frames, 17, 3) metres, heading along +x at first, and the first motion's name.
    """
    motion = motions[int(rng.integers(len(motions)))]
    clip = _piece(motion, rng)
    # Start anywhere that leaves a whole clip, or half of the motion.
    clip = clip[rng.integers(max(1, len(clip) // 2, len(clip) - frames + 1)) :]
    while len(clip) < frames:
        following = motion if motion.loops and rng.random() < 0.8 else None
        following = following or motions[int(rng.integers(len(motions)))]
        clip = _append(clip, _piece(following, rng))
    clip = clip[:frames]
    return _turned(clip, clip[0], np.zeros(2), 0.0) * rng.uniform(*SIZES), motion.name


def make_clips(
    motions: Sequence[Motion],
    cameras: CameraRange,
    count: int,
    frames: int,
    seed: int,
    on_clip: Callable[[], object] | None = None,
) -> ClipSet:
    """Clips of random performances before random cameras; ``on_clip`` is called after each.

    Raises:
        InputError: no motions, no clips or no frames asked for.
    """
    if not motions or count < 1 or frames < 2:
        raise InputError(
            f"{plural(count, 'clip')} of {plural(frames, 'frame')} from "
            f"{plural(len(motions), 'motion')}: too few"
        )
    keypoints, poses, scales, names = [], [], [], []
    for index in range(count):
        rng = np.random.default_rng([seed, index])  # a clip does not depend on those before it
        positions, name = perform(motions, frames, rng)
        points, pose, mm = look(positions, cameras, rng)
        keypoints.append(points.astype(np.float32))
        poses.append(pose.astype(np.float32))
        scales.append(mm)
        names.append(f"{name}/camera{index}/0")
        if on_clip is not None:
            on_clip()
    return ClipSet(
        np.stack(keypoints),
        np.stack(poses),
        np.array(scales, np.float32),
        tuple(names),
        "; ".join(sorted({motion.origin for motion in motions if motion.origin})),
    )


def _piece(motion: Motion, rng: np.random.Generator) -> Array:
    """The motion at a random speed."""
    source = motion.positions
    speed = rng.uniform(*SPEEDS)
    times = np.arange(int((len(source) - 1) / speed) + 1) * speed
    low = np.minimum(times.astype(int), len(source) - 2)
    part = (times - low)[:, None, None]
    return np.asarray(source[low] * (1 - part) + source[low + 1] * part, dtype=np.float64)


def _append(clip: Array, piece: Array) -> Array:
    """``piece`` laid on the end of ``clip``, blended over :data:`BLEND` frames."""
    blend = min(BLEND, len(clip), len(piece))
    before = clip[-blend:]
    piece = _turned(piece, piece[0], before[0, ROOT, [0, 2]], _heading(before[0]))
    weight = (np.arange(1, blend + 1) / (blend + 1))[:, None, None]
    weight = weight * weight * (3 - 2 * weight)
    mixed = _with_bones_of(before, (1 - weight) * before + weight * piece[:blend])
    return np.concatenate([clip[:-blend], mixed, piece[blend:]])


def _heading(pose: Array) -> float:
    """Angle of the body's forward axis, seen from above, from its hips: (17, 3)."""
    across = pose[1] - pose[4]  # to the right
    return float(np.arctan2(-across[0], across[2]))


def _turned(clip: Array, reference: Array, place: Array, heading: float) -> Array:
    """``clip`` about the vertical, so that ``reference`` stands at ``place`` with ``heading``."""
    turn = heading - _heading(reference)
    cosine, sine = np.cos(turn), np.sin(turn)
    moved = clip - np.array([reference[ROOT, 0], 0.0, reference[ROOT, 2]])
    x, z = moved[..., 0], moved[..., 2]
    turned: Array = np.stack(
        [cosine * x - sine * z + place[0], moved[..., 1], sine * x + cosine * z + place[1]], -1
    )
    return turned


def _with_bones_of(source: Array, poses: Array) -> Array:
    """``poses`` with the bone lengths of ``source``: averages of poses would have shorter ones."""
    out: Array = poses.copy()
    for joint in range(NUM_JOINTS):
        parent = PARENTS[joint]
        if parent == joint:
            continue
        bone = poses[:, joint] - poses[:, parent]
        length = np.linalg.norm(source[:, joint] - source[:, parent], axis=-1, keepdims=True)
        now = np.linalg.norm(bone, axis=-1, keepdims=True)
        out[:, joint] = out[:, parent] + bone * length / np.maximum(now, 1e-6)
    return out
