"""What ``posemamba plot`` does: a checkpoint and clips in, a picture out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from posemamba.checkpoint.read import read_checkpoint
from posemamba.draw.figures import picture_format
from posemamba.draw.scan_maps import draw_scan_maps
from posemamba.draw.skeleton import animate_comparison, draw_comparison
from posemamba.errors import InputError
from posemamba.files.input import require_no_device
from posemamba.model.lift import lift_clip
from posemamba.model.scan_maps import Stack, scan_maps
from posemamba.pose.clips import DEFAULT_READING, Reading, bundled_clips, load_clips
from posemamba.text import suggestion

Array = npt.NDArray[Any]

_NAMES_SHOWN = 8


@dataclass(frozen=True)
class Clip:
    """One clip to draw.

    Attributes:
        name: for the title.
        keypoints_2d: (frames, 17, 2) normalised.
        truth_3d: (frames, 17, 3) in the network's unit, where the file holds it.
    """

    name: str
    keypoints_2d: Array
    truth_3d: Array | None = None


def read_clip(
    path: str | os.PathLike[str] | None, name: str | None, reading: Reading = DEFAULT_READING
) -> Clip:
    """A clip of a file, or of the bundled ones; the first unless named.

    Args:
        path: a clip set (:mod:`posemamba.data.clip_set`), whose truth comes along, or keypoints
            (:mod:`posemamba.pose.clips`). None: the real clips that ship with the package.
        name: of the clip.
        reading: how keypoints are read.

    Raises:
        InputError: an unreadable file, or a name it does not hold.
    """
    truth: dict[str, Array] = {}
    if path is None:
        clips: dict[str, Array] = dict(bundled_clips())
    elif _is_clip_set(Path(path)):
        from posemamba.data.clip_set import load_clip_set

        clip_set = load_clip_set(path)
        clips = dict(zip(clip_set.names, clip_set.keypoints_2d, strict=True))
        truth = dict(zip(clip_set.names, clip_set.poses_3d, strict=True))
    else:
        clips = dict(load_clips(path, reading))
    chosen = next(iter(clips)) if name is None else name
    if chosen not in clips:
        place = path or "the bundled clips"
        known = list(clips)
        hint = suggestion(chosen, known if len(known) <= _NAMES_SHOWN else known[:_NAMES_SHOWN])
        raise InputError(f"{place}: no clip '{chosen}' among {len(known)}{hint}")
    return Clip(chosen, clips[chosen], truth.get(chosen))


def _is_clip_set(path: Path) -> bool:
    """Whether an ``.npz`` names 3D poses; a file that cannot be read is left to its reader."""
    require_no_device(path)
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            return "poses_3d" in content
    except Exception:  # whatever is wrong, its reader says it
        return False


def plot_skeleton(
    ckpt: str | os.PathLike[str],
    clip: Clip,
    output: str | os.PathLike[str],
    *,
    scan_order: str | None = None,
    weights: str | None = None,
    frames: Sequence[int] | None = None,
    fps: int = 25,
) -> None:
    """Draw a clip and its poses: a picture of some frames, or, for ``.gif``, all of them moving.

    Raises:
        InputError: see :mod:`posemamba.draw.skeleton`; a bad checkpoint; frames given for an
            animation.
    """
    ckpt, output = Path(ckpt), Path(output)
    if output.suffix.lower() != ".gif":
        picture_format(output, ", or .gif for a moving one")
    checkpoint = read_checkpoint(ckpt, scan_order=scan_order, weights=weights)
    poses_3d = lift_clip(checkpoint.build(), clip.keypoints_2d)
    title = f"{clip.name}, {ckpt.name}"
    if output.suffix.lower() != ".gif":
        draw_comparison(clip.keypoints_2d, poses_3d, output, title, frames, clip.truth_3d)
        return
    if frames is not None:
        raise InputError(f"{output}: an animation shows every frame; leave --frames out")
    animate_comparison(clip.keypoints_2d, poses_3d, output, title, clip.truth_3d, fps)


def plot_scan_maps(
    ckpt: str | os.PathLike[str],
    clip: Clip,
    output: str | os.PathLike[str],
    *,
    stack: Stack,
    index: int,
    scan_order: str | None = None,
    weights: str | None = None,
) -> None:
    """Draw the scan maps of one block for the clip's first frames, as many as the network takes.

    Raises:
        InputError: see :mod:`posemamba.model.scan_maps` and :mod:`posemamba.draw.scan_maps`.
    """
    ckpt, output = Path(ckpt), Path(output)
    picture_format(output)
    checkpoint = read_checkpoint(ckpt, scan_order=scan_order, weights=weights)
    model = checkpoint.build()
    piece = np.ascontiguousarray(clip.keypoints_2d[: model.config.frames], dtype=np.float32)
    maps = scan_maps(model, torch.from_numpy(piece)[None], stack, index)
    draw_scan_maps(maps, output, f"{stack} {index} of {ckpt.name}, {clip.name}")
