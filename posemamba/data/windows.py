"""Cutting long recordings into clips, as the field's data code does.

Source: the clip rule of MotionBERT (Zhu et al., ICCV 2023), which PoseMamba's authors use. Two
differences, both only for recordings shorter than a clip: they are stretched by
``floor(i * old / frames)`` instead of at random, so that the same file gives the same clips, and
the last recording of a file is treated as the others, where that code leaves it out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError
from posemamba.text import plural

Indices = npt.NDArray[np.int64]


def recordings(sources: Sequence[str]) -> list[tuple[str, int, int]]:
    """Runs of equal names: name, first row, and the row after the last.

    Raises:
        InputError: no rows, or names that are no list.
    """
    names = np.asarray(sources)
    if names.ndim != 1 or not len(names):
        raise InputError(f"sources have shape {names.shape}: give one name per frame")
    cuts = np.flatnonzero(names[1:] != names[:-1]) + 1
    starts, ends = [0, *cuts.tolist()], [*cuts.tolist(), len(names)]
    return [(str(names[start]), start, end) for start, end in zip(starts, ends, strict=True)]


def clip_rows(sources: Sequence[str], frames: int, stride: int) -> Indices:
    """Rows of the clips that a table of frames is cut into.

    Clips start every ``stride`` rows of a recording and never cross two. What is left at a
    recording's end and fills no clip is dropped; a recording shorter than a clip becomes one clip,
    some frames repeated.

    Args:
        sources: name of the recording of each row; those of a recording are together.
        frames: frames per clip.
        stride: rows from a clip's start to the next's.

    Returns:
        (clips, frames) row numbers.

    Raises:
        InputError: no rows, or fewer than one frame or one row of stride.
    """
    if frames < 1 or stride < 1:
        raise InputError(
            f"clips of {plural(frames, 'frame')} every {stride}: give at least 1 of each"
        )
    clips = []
    for _, start, end in recordings(sources):
        length = end - start
        if length < frames:
            clips.append(start + np.arange(frames) * length // frames)
        clips += [first + np.arange(frames) for first in range(start, end - frames + 1, stride)]
    return np.stack(clips).astype(np.int64)


def centred_rows(length: int, frames: int) -> Indices:
    """Rows of the clips around every frame of a recording, its ends repeated.

    Returns:
        (length, frames) row numbers; column ``(frames - 1) // 2`` is the frame itself.

    Raises:
        InputError: fewer than one frame of either.
    """
    if length < 1 or frames < 1:
        raise InputError(
            f"clips of {plural(frames, 'frame')} around {length}: give at least 1 of each"
        )
    before = (frames - 1) // 2
    rows: Indices = np.arange(length)[:, None] + np.arange(frames)[None, :] - before
    return rows.clip(0, length - 1)
