"""The 17 joints of the poses, and the body at rest that rotations start from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Human3.6M's order.
JOINT_NAMES: tuple[str, ...] = (
    "root",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "belly",
    "neck",
    "nose",
    "head",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
)
NUM_JOINTS = len(JOINT_NAMES)

#: Parent of each joint; the root is its own. A parent comes before its children.
PARENTS: tuple[int, ...] = (0, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)

#: -1 on the person's right, 1 on the left, 0 in the middle.
SIDES: tuple[int, ...] = (0, -1, -1, -1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, -1, -1, -1)

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
