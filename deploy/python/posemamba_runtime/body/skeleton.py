"""The body at rest that rotations start from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RIGHT_HIP, LEFT_HIP, BELLY = 1, 4, 7
ANKLES = (3, 6)

_DOWN, _UP, _LEFT, _RIGHT = (0.0, -1.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)
_NOSE = (0.0, 0.75**0.5, 0.5)  # 30 degrees before the neck, where a level head holds it

#: (17, 3) unit direction of the bone that ends at each joint while the person stands upright, arms
#: out to the sides (a T-pose), facing +z; x to the person's left, y up. The root has none.
REST_DIRECTIONS: npt.NDArray[np.float64] = np.array(
    [
        (0.0, 0.0, 0.0),
        *(_RIGHT, _DOWN, _DOWN),
        *(_LEFT, _DOWN, _DOWN),
        *(_UP, _UP, _NOSE, _UP),
        *(_LEFT, _LEFT, _LEFT),
        *(_RIGHT, _RIGHT, _RIGHT),
    ]
)
REST_DIRECTIONS.setflags(write=False)
