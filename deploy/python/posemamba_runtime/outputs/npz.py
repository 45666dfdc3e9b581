"""``.npz``: all persons' frames in one set of arrays; ``poses_3d[person == 0]`` is one person."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.body.kinematics import rest_offsets, rotations_in_parts
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs.labels import facts
from posemamba_runtime.skeleton import JOINT_NAMES, NUM_JOINTS, PARENTS

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Column:
    """An array with a row per person and frame.

    Attributes:
        kind: its type.
        shape: of a row.
        parts: a track's rows, some at a time.
    """

    kind: type[np.generic]
    shape: tuple[int, ...]
    parts: Callable[[Track], Iterable[Array]]


_COLUMNS = {
    "person": _Column(np.int64, (), lambda track: [np.full(len(track.frames), track.person)]),
    "frames": _Column(np.int64, (), lambda track: [track.frames]),
    "timestamps": _Column(np.float64, (), lambda track: [track.timestamps]),
    "poses_3d": _Column(np.float32, (NUM_JOINTS, 3), lambda track: [track.poses_3d]),
    "rotations": _Column(
        np.float32, (NUM_JOINTS, 4), lambda track: rotations_in_parts(track.poses_3d)
    ),
    "filled": _Column(np.bool_, (NUM_JOINTS,), lambda track: [track.filled]),
    "keypoints_2d": _Column(np.float32, (NUM_JOINTS, 2), lambda track: [track.keypoints_2d]),
    "root_estimate": _Column(np.float64, (3,), lambda track: [_root(track)]),
}


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """Arrays of n rows, a row per person and frame.

    ``person``, ``frames``, ``timestamps`` (n,), ``poses_3d`` (n, 17, 3), ``rotations`` (n, 17, 4),
    ``filled`` (n, 17), ``keypoints_2d`` (n, 17, 2), ``root_estimate`` (n, 3), NaN where there is
    none; ``persons`` (p,) and their bones at rest ``rest_offsets`` (p, 17, 3); and scalars that
    say what they are.
    """
    small: dict[str, Any] = {
        **{name: [] if value is None else value for name, value in facts(motion).items()},
        "persons": [track.person for track in tracks],
        "rest_offsets": [rest_offsets(track.poses_3d) for track in tracks],
        "joint_names": JOINT_NAMES,
        "parents": PARENTS,
    }
    count = sum(len(track.frames) for track in tracks)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in small.items():
            array = np.array(value)
            _write(archive, name, array.dtype, array.shape, [array])
        for name, column in _COLUMNS.items():
            kind = np.dtype(column.kind)
            _write(archive, name, kind, (count, *column.shape), _pieces(column, tracks))


def _pieces(column: _Column, tracks: Sequence[Track]) -> Iterator[Array]:
    for track in tracks:
        for part in column.parts(track):
            for rows in long_arrays.pieces(part):
                yield part[rows]


def _write(
    archive: zipfile.ZipFile,
    name: str,
    kind: np.dtype[Any],
    shape: tuple[int, ...],
    pieces: Iterable[Array],
) -> None:
    """An array as ``numpy.savez`` writes it, piece by piece."""
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for piece in pieces:
            stream.write(np.ascontiguousarray(piece, kind).tobytes())


def _root(track: Track) -> Array:
    return np.full((len(track.frames), 3), np.nan) if track.root is None else track.root
