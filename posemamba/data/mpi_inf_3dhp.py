"""MPI-INF-3DHP as the field prepares it: ``data_train_3dhp.npz`` and ``data_test_3dhp.npz``.

Layout of P-STMO (Shan et al., ECCV 2022): one object array ``data``. Training: ``"S1 Seq1"`` to a
list of one dictionary, camera to ``data_2d`` (n, 17, 2) pixels and ``data_3d`` (n, 17, 3)
millimetres in the camera's frame. Test: ``"TS1"`` to these and ``valid`` (n,). Images are 2048 x
2048, those of TS5 and TS6 1920 x 1080.

Labels are millimetres divided by half the image's width, so a unit is 1024 or 960 mm. The data
set's joints are reordered here to Human3.6M's, whose limb list and mirror pairs then hold;
:data:`LIMB_INDEX` and :func:`from_own_order` are for networks that were trained in the data set's
own order. The data set itself must be obtained from its owners.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba.data.clip_set import ClipSet
from posemamba.data.windows import clip_rows
from posemamba.files.array_pickle import as_numbers, load_object_array
from posemamba.pose.lift import Floats, Lift
from posemamba.pose.preprocess import normalize_2d
from posemamba.skeleton import LIMB_INDEX as H36M_LIMB_INDEX
from posemamba.skeleton import NUM_JOINTS, ROOT
from posemamba.text import printable, problem

Array = npt.NDArray[np.float64]

#: The data set's 17 joints in its order.
JOINT_NAMES: tuple[str, ...] = (
    *("head_top", "neck", "right_shoulder", "right_elbow", "right_wrist"),
    *("left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle"),
    *("left_hip", "left_knee", "left_ankle", "pelvis", "spine", "head"),
)

#: For each Human3.6M joint the data set's. Its "head" stands where Human3.6M has the nose.
TO_H36M: tuple[int, ...] = (14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4)

#: Human3.6M's limb list (:data:`posemamba.skeleton.LIMB_INDEX`) in the data set's joint order.
LIMB_INDEX: tuple[int, ...] = tuple(
    TO_H36M[H36M_LIMB_INDEX[TO_H36M.index(joint)]] for joint in range(NUM_JOINTS)
)


@dataclass(frozen=True)
class Recording:
    """One camera's view of one sequence, joints in Human3.6M's order.

    Attributes:
        name: ``S1 Seq1/0`` or ``TS1``.
        keypoints_2d: (n, 17, 2) normalised.
        poses_mm: (n, 17, 3) millimetres, root-relative.
        mm_per_unit: half the image's width.
        valid: (n,) frames that count.
    """

    name: str
    keypoints_2d: Array
    poses_mm: Array
    mm_per_unit: float
    valid: npt.NDArray[np.bool_]


def read_test(path: str | os.PathLike[str]) -> list[Recording]:
    """The test sequences.

    Raises:
        InputError: not that file; it is read without running anything of it.
    """
    path = Path(path)
    found = []
    for name, part in _sequences(path).items():
        if not isinstance(part, Mapping) or "valid" not in part:
            raise problem(path, f"'{printable(name)}' has no 'valid': not data_test_3dhp.npz")
        found.append(_recording(str(name), part, path))
    return found


def read_train(path: str | os.PathLike[str]) -> list[Recording]:
    """The training sequences, each from every camera; as :func:`read_test`.

    Raises:
        InputError: not ``data_train_3dhp.npz``, or a camera without its arrays.
    """
    path = Path(path)
    found = []
    for name, part in _sequences(path).items():
        cameras = part[0] if isinstance(part, list | tuple) and part else None
        if not isinstance(cameras, Mapping) or not cameras:
            raise problem(path, f"'{printable(name)}' has no cameras: not data_train_3dhp.npz")
        for camera, view in cameras.items():
            if not isinstance(view, Mapping):
                raise problem(path, f"'{printable(name)}' camera '{printable(camera)}' is empty")
            found.append(_recording(f"{name}/{camera}", view, path))
    return found


def clip_set(recordings: list[Recording], frames: int, stride: int) -> ClipSet:
    """Clips of the recordings' frames, ``stride`` frames apart; those not valid are left in."""
    keypoints, poses, scales, names = [], [], [], []
    for recording in recordings:
        rows = clip_rows([recording.name] * len(recording.valid), frames, stride)
        keypoints.append(recording.keypoints_2d.astype(np.float32)[rows])
        poses.append((recording.poses_mm / recording.mm_per_unit).astype(np.float32)[rows])
        scales.append(np.full(len(rows), recording.mm_per_unit, np.float32))
        motion = recording.name if "/" in recording.name else f"{recording.name}/0"
        names += [f"{motion}/{row[0]}" for row in rows]
    return ClipSet(
        np.concatenate(keypoints), np.concatenate(poses), np.concatenate(scales), tuple(names)
    )


def from_own_order(lift: Lift) -> Lift:
    """A network trained in the data set's joint order, as one that speaks Human3.6M's."""
    back = [TO_H36M.index(joint) for joint in range(NUM_JOINTS)]

    def lift_h36m(keypoints_2d: Floats) -> Floats:
        return lift(keypoints_2d[..., back, :])[..., list(TO_H36M), :]

    return lift_h36m


def image_size(name: str) -> tuple[int, int]:
    """Width and height in pixels of a sequence's images."""
    return (1920, 1080) if name in ("TS5", "TS6") else (2048, 2048)


def _sequences(path: Path) -> Mapping[Any, Any]:
    content = load_object_array(path, "data")
    if not isinstance(content, Mapping) or not content:
        raise problem(path, "array 'data' is no dictionary of sequences")
    return content


def _recording(name: str, part: Mapping[Any, Any], path: Path) -> Recording:
    for key in ("data_2d", "data_3d"):
        if key not in part:
            raise problem(path, f"'{printable(name)}' has no '{key}'")
    pixels = as_numbers(part["data_2d"], (None, NUM_JOINTS, 2), path, f"{name} data_2d")
    count = len(pixels)
    if not count:
        raise problem(path, f"'{printable(name)}' has no frames")
    poses = as_numbers(part["data_3d"], (count, NUM_JOINTS, 3), path, f"{name} data_3d")
    valid = np.ones(count, dtype=bool)
    if "valid" in part:
        flags = np.asarray(part["valid"])
        flags = flags.reshape(-1) if flags.size == count else flags  # (n,) and (n, 1) are met
        valid = as_numbers(flags, (count,), path, f"{name} valid").astype(bool)
    width, height = image_size(name)
    order = list(TO_H36M)
    ordered = poses[:, order].astype(np.float64)
    return Recording(
        name,
        np.asarray(normalize_2d(pixels[:, order].astype(np.float64), width, height)),
        ordered - ordered[:, ROOT : ROOT + 1],
        width / 2.0,
        valid,
    )
