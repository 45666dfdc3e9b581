"""The Human3.6M skeleton of 17 joints, as the runtime has it, and the limb chains of the scan."""

from __future__ import annotations

from posemamba_runtime.skeleton import (
    JOINT_NAMES,
    LEFT_JOINTS,
    NUM_JOINTS,
    PARENTS,
    RIGHT_JOINTS,
)

__all__ = [
    "JOINT_NAMES",
    "LEFT_JOINTS",
    "LIMB_INDEX",
    "NUM_JOINTS",
    "PARENTS",
    "RIGHT_JOINTS",
    "ROOT",
]

ROOT = 0

#: Joint whose features the global-local scan adds to each joint: the root followed by the four
#: limb chains, as the authors' code lays them out. It is *not* ``PARENTS``: joints 0, 14, 15 and
#: 16 map to themselves and are therefore doubled.
LIMB_INDEX: tuple[int, ...] = (0, 0, 1, 2, 3, 0, 4, 5, 6, 8, 11, 12, 13, 8, 14, 15, 16)
