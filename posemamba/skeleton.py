"""The Human3.6M skeleton of 17 joints: names, bones, mirror pairs, limb chains.

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
ROOT = 0

#: Parent of each joint in the kinematic tree; the root is its own parent.
PARENTS: tuple[int, ...] = (0, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)

LEFT_JOINTS: tuple[int, ...] = (4, 5, 6, 11, 12, 13)
RIGHT_JOINTS: tuple[int, ...] = (1, 2, 3, 14, 15, 16)

#: Joint whose features the global-local scan adds to each joint: the root followed by the four
#: limb chains, as the authors' code lays them out. It is *not* ``PARENTS``: joints 0, 14, 15 and
#: 16 map to themselves and are therefore doubled.
LIMB_INDEX: tuple[int, ...] = (0, 0, 1, 2, 3, 0, 4, 5, 6, 8, 11, 12, 13, 8, 14, 15, 16)
