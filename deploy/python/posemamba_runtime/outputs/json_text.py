"""``.json``: the recording's facts, then each person's arrays; null is what is not known.

``persons[i].poses_3d[row][joint]`` is [x, y, z] at frame ``persons[i].frames[row]``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.body.kinematics import rest_offsets, rotations_in_parts
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs.labels import facts
from posemamba_runtime.skeleton import JOINT_NAMES, PARENTS

Array = npt.NDArray[Any]

#: Digits behind the point: a hundredth of a millimetre, of a pixel, of a thousandth of a degree.
_LENGTH = {"m": 5, "mm": 2, "network": 6}
_PIXELS, _TURNS, _SECONDS = 2, 5, 6
_ROWS = 1000  # turned into text at a time: Python's numbers take ten times the room of NumPy's


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """As the module's description says."""
    header = {**facts(motion), "joint_names": list(JOINT_NAMES), "parents": list(PARENTS)}
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(json.dumps(header, ensure_ascii=False, indent=1, allow_nan=False)[:-2])
        stream.write(',\n "persons": [')
        for index, track in enumerate(tracks):
            stream.write(",\n  {" if index else "\n  {")
            stream.write(f'"person": {int(track.person)}')
            for name, parts in _arrays(track, _LENGTH[motion.units]):
                stream.write(f',\n   "{name}": ')
                stream.writelines(_text(parts))
            stream.write("}")
        stream.write("\n ]\n}\n")


def _arrays(track: Track, digits: int) -> Iterator[tuple[str, Iterable[Array] | None]]:
    """Names and values, some rows at a time, rounded."""
    yield "rest_offsets", [_rounded(rest_offsets(track.poses_3d), digits)]
    yield "frames", _rows(track.frames)
    yield "timestamps", _rows(track.timestamps, _SECONDS)
    yield "poses_3d", _rows(track.poses_3d, digits)
    turns = rotations_in_parts(track.poses_3d, _ROWS)
    yield "rotations", (_rounded(part, _TURNS) for part in turns)
    yield "filled", (part.astype(np.int64) for part in _rows(track.filled))
    yield "keypoints_2d", _rows(track.keypoints_2d, _PIXELS)
    yield "root_estimate", None if track.root is None else _rows(track.root, digits)


def _rows(values: Array, digits: int | None = None) -> Iterator[Array]:
    for rows in long_arrays.pieces(values, rows=_ROWS):
        part = values[rows]
        yield part if digits is None else _rounded(part, digits)


def _rounded(values: Array, digits: int) -> npt.NDArray[np.float64]:
    # float32 has digits of its own, which show unless rounding happens in float64
    rounded: npt.NDArray[np.float64] = np.asarray(np.round(values.astype(np.float64), digits))
    rounded += 0.0  # no -0.0
    return rounded


def _text(parts: Iterable[Array] | None) -> Iterator[str]:
    """Pieces of JSON."""
    if parts is None:
        yield "null"
        return
    yield "["
    for place, rows in enumerate(parts):
        unknown = ~np.isfinite(rows)
        known = rows
        if unknown.any():
            known = rows.astype(object)
            known[unknown] = None
        yield (", " if place else "") + json.dumps(known.tolist(), allow_nan=False)[1:-1]
    yield "]"
