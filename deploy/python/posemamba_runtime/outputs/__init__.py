"""Motions written to files, the format chosen by the name's end; and joint rotations of poses."""

from posemamba_runtime.body.kinematics import forward, rest_offsets, rotations
from posemamba_runtime.outputs.formats import FORMATS, Format, check_target, write

__all__ = [
    "FORMATS",
    "Format",
    "check_target",
    "forward",
    "rest_offsets",
    "rotations",
    "write",
]
