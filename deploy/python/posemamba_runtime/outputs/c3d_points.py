"""``.c3d``: everybody's joints as points of one file, through ezc3d.

Points are in the motion's units, x right in the image, y up, z towards the camera
(``POINT:X_SCREEN`` and ``Y_SCREEN`` say so). Where there are several persons the names begin with
``person0:``. A joint that was not there is no point: residual -1.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from posemamba_runtime.body.kinematics import y_up
from posemamba_runtime.errors import BadArgument
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs.frames import every_frame
from posemamba_runtime.outputs.labels import UP_AXES
from posemamba_runtime.skeleton import JOINT_NAMES, NUM_JOINTS

_MOST = 65_534
"""Frames are counted from 1 in 16 bits. ezc3d drops what comes after 65,535 without a word, and
the reader of the package c3d counts one further than the last."""


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """Frames of the whole recording; positions from the pelvis, or from the camera where there is
    a trajectory.

    Raises:
        BadArgument: frame numbers that C3D cannot hold.
    """
    ezc3d: Any = import_module("ezc3d")  # it has no types
    frames = every_frame(tracks, ".c3d")
    if frames[0] < 0 or frames[-1] >= _MOST:
        raise BadArgument(
            f"frames {frames[0]} to {frames[-1]}: C3D numbers them 0 to {_MOST - 1}: lift a part, "
            "or write .trc"
        )
    points = np.full((4, len(tracks) * NUM_JOINTS, len(frames)), np.nan)
    points[3] = 1.0
    names = []
    for index, track in enumerate(tracks):
        place = track.poses_3d if track.root is None else track.poses_3d + track.root[:, None]
        rows = slice(index * NUM_JOINTS, (index + 1) * NUM_JOINTS)
        points[:3, rows, track.frames - frames[0]] = y_up(place).transpose(2, 1, 0)
        prefix = f"person{track.person}:" if len(tracks) > 1 else ""
        names += [prefix + name for name in JOINT_NAMES]

    file = ezc3d.c3d()
    file["header"]["points"]["first_frame"] = int(frames[0])
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [float(motion.rate)]
    point["LABELS"]["value"] = names
    point["UNITS"]["value"] = [motion.units]
    file.add_parameter("POINT", "X_SCREEN", "+X")
    file.add_parameter("POINT", "Y_SCREEN", "+Y")
    said = {"SOURCE": motion.source, "MODEL": motion.model, "AXES": UP_AXES}
    for name, value in said.items():
        file.add_parameter("POSEMAMBA", name, value.encode("ascii", "replace").decode())
    file["data"]["points"] = points
    file.write(str(path))
