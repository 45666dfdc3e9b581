"""Recordings with gaps in formats that hold every frame from first to last."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posemamba_runtime.errors import BadArgument
from posemamba_runtime.motion import IntArray, Track

_FREE, _SHARE = 100_000, 100
"""Rows that a file may always have, and how many times the frames seen where it has more."""


def every_frame(tracks: Sequence[Track], suffix: str) -> IntArray:
    """Frame numbers from the first that shows one of these persons to the last.

    Raises:
        BadArgument: nearly all of them would be empty: numbers that are times, most likely.
    """
    first = min(int(track.frames[0]) for track in tracks)
    last = max(int(track.frames[-1]) for track in tracks)
    seen = max(len(track.frames) for track in tracks)
    if last - first >= max(_FREE, _SHARE * seen):
        raise BadArgument(
            f"{seen} frames are numbered {first} to {last}, and a {suffix} file holds every frame "
            "between: number them in a row, or write .csv"
        )
    return np.arange(first, last + 1, dtype=np.int64)
