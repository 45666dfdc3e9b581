"""``.npz``: all persons' frames in one set of arrays; ``poses_3d[person == 0]`` is one person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba_runtime.body.kinematics import rest_offsets, rotations
from posemamba_runtime.body.skeleton import JOINT_NAMES, PARENTS
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs.labels import facts


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """Arrays of n rows, a row per person and frame.

    ``person``, ``frames``, ``timestamps`` (n,), ``poses_3d`` (n, 17, 3), ``rotations`` (n, 17, 4),
    ``filled`` (n, 17), ``keypoints_2d`` (n, 17, 2), ``root_estimate`` (n, 3), NaN where there is
    none; ``persons`` (p,) and their bones at rest ``rest_offsets`` (p, 17, 3); and scalars that
    say what they are.
    """
    columns: dict[str, list[npt.NDArray[Any]]] = {
        "person": [np.full(len(track.frames), track.person, np.int64) for track in tracks],
        "frames": [track.frames for track in tracks],
        "timestamps": [track.timestamps for track in tracks],
        "poses_3d": [track.poses_3d.astype(np.float32) for track in tracks],
        "rotations": [rotations(track.poses_3d).astype(np.float32) for track in tracks],
        "filled": [track.filled for track in tracks],
        "keypoints_2d": [track.keypoints_2d.astype(np.float32) for track in tracks],
        "root_estimate": [
            np.full((len(track.frames), 3), np.nan) if track.root is None else track.root
            for track in tracks
        ],
    }
    arrays: dict[str, Any] = {
        **{name: np.array([] if value is None else value) for name, value in facts(motion).items()},
        **{name: np.concatenate(parts) for name, parts in columns.items()},
        "persons": np.array([track.person for track in tracks]),
        "rest_offsets": np.stack([rest_offsets(track.poses_3d) for track in tracks]),
        "joint_names": np.array(JOINT_NAMES),
        "parents": np.array(PARENTS),
    }
    np.savez_compressed(path, **arrays)
