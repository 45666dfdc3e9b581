"""The Human3.6M skeleton of 17 joints: names, bones, sides. Nothing is imported.

Source: PoseMamba (AAAI 2025, arXiv 2408.03540), section 3.2, and the data set's usual order.
"""

from __future__ import annotations

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

#: Parent of each joint in the kinematic tree; the root is its own. A parent comes before its
#: children.
PARENTS: tuple[int, ...] = (0, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)

LEFT_JOINTS: tuple[int, ...] = (4, 5, 6, 11, 12, 13)
RIGHT_JOINTS: tuple[int, ...] = (1, 2, 3, 14, 15, 16)

#: -1 on the person's right, 1 on the left, 0 in the middle.
SIDES: tuple[int, ...] = tuple(
    (joint in LEFT_JOINTS) - (joint in RIGHT_JOINTS) for joint in range(NUM_JOINTS)
)
