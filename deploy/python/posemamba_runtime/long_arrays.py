"""Arrays of long recordings: those that are large lie in a temporary file, not in memory.

    values = long_arrays.empty((frames, 17, 3), np.float32)
    for rows in long_arrays.pieces(values):
        values[rows] = ...

They are NumPy arrays as any other. Pages of a file count as memory of the process while it has
touched them, so whoever walks over such an array goes through :func:`pieces`, which lets go of what
lies behind. Files have no name and vanish with their array; ``TMPDIR`` says on which disk they are.
"""

from __future__ import annotations

import io
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)

LARGE = 2**20
"""Bytes from which an array is laid into a file: 5,000 frames of one person's poses."""

ROWS = 4096
"""Looked at at a time."""


class _File(mmap.mmap):
    """Pages of a file of ours: letting go of them loses nothing, as it would of others."""


def empty(shape: Sequence[int], kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array without values yet; in memory where no temporary file is to be had."""
    dtype = np.dtype(kind)
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    try:
        with tempfile.TemporaryFile() as file:
            # A full disk says so here. In a file of holes it would kill the process later.
            os.posix_fallocate(file.fileno(), 0, size)
            pages = _File(file.fileno(), size)
    except (OSError, AttributeError):  # AttributeError: a system that cannot reserve room
        return np.empty(shape, dtype)
    return np.frombuffer(pages, dtype).reshape(shape)


def release(*arrays: npt.NDArray[Any]) -> None:
    """Let the pages that were touched leave the process; the file keeps what they hold."""
    for array in arrays:
        owner: Any = array
        while isinstance(owner, np.ndarray | memoryview):
            owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
        if isinstance(owner, _File):
            owner.madvise(mmap.MADV_DONTNEED)


def pieces(*arrays: npt.NDArray[Any], rows: int = ROWS) -> Iterator[slice]:
    """Slices over the rows of arrays of one length, which are let go of behind each."""
    for start in range(0, len(arrays[0]), rows):
        yield slice(start, min(start + rows, len(arrays[0])))
        release(*arrays)


def taken(values: npt.NDArray[T], rows: npt.NDArray[np.integer]) -> npt.NDArray[T]:
    """``values[rows]``; the same array where these are all of its rows in order."""
    count = len(rows)
    if count == len(values) and (count == 0 or bool((np.diff(rows, prepend=-1) == 1).all())):
        return values
    result: npt.NDArray[T] = empty((count, *values.shape[1:]), values.dtype)
    for some in pieces(result):
        result[some] = values[rows[some]]
        release(values)
    return result


def joined(parts: Sequence[npt.NDArray[T]]) -> npt.NDArray[T]:
    """One after the other; a single one itself."""
    if len(parts) == 1:
        return parts[0]
    count = sum(map(len, parts))
    result: npt.NDArray[T] = empty((count, *parts[0].shape[1:]), parts[0].dtype)
    start = 0
    for part in parts:
        for some in pieces(part):
            result[start + some.start : start + some.stop] = part[some]
            release(result)
        start += len(part)
    return result


def received(stream: io.BufferedIOBase, size: int) -> npt.NDArray[np.uint8]:
    """``size`` bytes of a stream, or fewer where it ends; room is made for what has come alone."""
    parts, got = [np.empty(0, np.uint8)], 0
    while got < size:
        part: npt.NDArray[np.uint8] = empty((min(max(LARGE, got), size - got),), np.uint8)
        filled = 0
        for some in pieces(part, rows=LARGE):
            filled += stream.readinto(part[some].data)
            if filled < some.stop:
                break
        parts.append(part[:filled])
        got += filled
        if filled < len(part):
            break
    return joined(parts[1:] if got else parts)


def thinned(values: npt.NDArray[T], step: int) -> npt.NDArray[T]:
    """``values[::step]``, copied."""
    rows = max(step, ROWS - ROWS % step)  # whole steps
    parts = [values[some][::step].copy() for some in pieces(values, rows=rows)]
    return np.concatenate([values[:0], *parts])
