"""Poses without images: MotionBERT's AMASS file, and plain arrays of joints.

``amass_joints_h36m_60.pkl`` is a list of (17, frames, 3) arrays: Human3.6M joints regressed from
AMASS's bodies, metres, z up, 60 Hz. MotionBERT feeds such poses' own x and y as keypoints. Here
they are filmed by random perspective cameras instead, as the other synthetic clips are, so that 2D
and 3D belong together as in a photograph. Plain files are .npy or .npz of (frames, 17, 3) arrays
in the same axes and unit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posemamba.data.clip_set import ClipSet
from posemamba.data.synthetic.cameras import TRAINING_CAMERAS, look
from posemamba.data.windows import clip_rows
from posemamba.files.array_pickle import as_numbers, load_array_pickle
from posemamba.files.input import require_no_device
from posemamba.skeleton import NUM_JOINTS
from posemamba.text import printable, problem

Array = npt.NDArray[np.float64]

_TALLEST = 10.0  # metres from a pose's lowest joint to its highest: beyond, the unit is another


def read_poses(path: str | os.PathLike[str]) -> list[tuple[str, Array]]:
    """Names and (frames, 17, 3) metres, z up, of a .pkl, .npy or .npz file.

    Raises:
        InputError: another kind of file, another shape, NaN, or a unit that cannot be metres.
    """
    path = Path(path)
    if path.suffix == ".pkl":
        content = load_array_pickle(path)
        if not isinstance(content, list) or not content:
            raise problem(path, "no list of arrays: not amass_joints_h36m_60.pkl")
        shape = (NUM_JOINTS, None, 3)
        poses = [
            (f"motion{i}", as_numbers(item, shape, path, f"motion {i}").swapaxes(0, 1))
            for i, item in enumerate(content)
        ]
    elif path.suffix in (".npy", ".npz"):
        poses = [
            (name, as_numbers(item, (None, NUM_JOINTS, 3), path, f"'{printable(name)}'"))
            for name, item in _arrays(path).items()
        ]
    else:
        raise problem(path, "not a .pkl, .npy or .npz file")
    for name, motion in poses:
        if not len(motion):
            raise problem(path, f"{printable(name)} has no frames")
        tallest = np.ptp(motion[..., 2], axis=1).max()
        if not 0 < tallest < _TALLEST:
            raise problem(path, f"{printable(name)} has a pose {tallest:g} high: give metres, z up")
    return [(name, motion.astype(np.float64)) for name, motion in poses]


def film(
    motions: list[tuple[str, Array]],
    frames: int,
    stride: int,
    seed: int,
    on_clip: Callable[[], object] | None = None,
) -> ClipSet:
    """Cut motions into clips and film each with a random camera; ``on_clip`` is called after each.

    Args:
        motions: names and (frames, 17, 3) metres, z up.
        frames: frames per clip.
        stride: frames from a clip's start to the next's.
        seed: of the cameras.
    """
    keypoints, poses, scales = [], [], []
    names: list[str] = []
    for name, motion in motions:
        upright = motion[..., [0, 2, 1]] * np.array([1.0, 1.0, -1.0])  # z up to y up, right-handed
        for row in clip_rows([name] * len(motion), frames, stride):
            rng = np.random.default_rng([seed, len(names)])
            points, pose, scale = look(upright[row], TRAINING_CAMERAS, rng)
            keypoints.append(points.astype(np.float32))
            poses.append(pose.astype(np.float32))
            scales.append(scale)
            names.append(f"{name}/camera{len(names)}/{row[0]}")
            if on_clip is not None:
                on_clip()
    return ClipSet(np.stack(keypoints), np.stack(poses), np.array(scales, np.float32), tuple(names))


def _arrays(path: Path) -> dict[str, object]:
    require_no_device(path)
    try:
        with path.open("rb") as stream:  # np.load leaves a damaged file open that it opened itself
            content = np.load(stream, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return {path.stem: content}
            with content:
                found: dict[str, object] = {name: content[name] for name in content.files}
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror or error})") from None
    except Exception:  # scrambled bytes reach zipfile, zlib, NumPy and Python's own tokenizer
        raise problem(path, "not an array file of numbers, or damaged: save it again") from None
    if not found:
        raise problem(path, "holds no array")
    return found
