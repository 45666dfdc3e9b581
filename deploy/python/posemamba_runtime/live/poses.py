"""A pose as a line of JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_DIGITS = 5  # of metres or network units: a hundredth of a millimetre


def pose_line(
    frame: int,
    timestamp: float,
    person: int,
    joints: npt.NDArray[np.floating],
    filled: npt.NDArray[np.bool_],
    units: str,
) -> dict[str, Any]:
    """The object of one line.

    Args:
        joints: (17, 3); x right, y down, z away from the camera, the pelvis at the origin.
        filled: (17,) filled in, not seen.
        units: "m", "mm" or "network".
    """
    return {
        "frame": frame,
        "timestamp": round(timestamp, 6),
        "person": person,
        "units": units,
        "joints": np.round(joints.astype(np.float64), _DIGITS).tolist(),
        "filled": np.flatnonzero(filled).tolist(),
    }
