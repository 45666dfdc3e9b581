"""Human3.6M as the field prepares it: ``h36m_sh_conf_cam_source_final.pkl``.

A table of frames in two splits, detections of a stacked hourglass, and labels "in the image": x and
y in pixels, z in the same scale. Only the test split holds the millimetres of a pixel
(``2.5d_factor``) and the poses in millimetres (``joints_2.5d_image``). The data set itself must be
obtained from its owners.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba.data.clip_set import ClipSet
from posemamba.data.windows import clip_rows
from posemamba.errors import InputError
from posemamba.files.array_pickle import as_numbers, load_array_pickle
from posemamba.skeleton import NUM_JOINTS, PARENTS, ROOT
from posemamba.text import plural, printable, problem

Array = npt.NDArray[np.float64]

TEST_STRIDE = 243
"""Frames per clip of the official evaluation."""

#: Image width and height of each camera, pixels.
IMAGE_SIZES = {
    "54138969": (1000, 1002),
    "60457274": (1000, 1002),
    "55011271": (1000, 1000),
    "58860488": (1000, 1000),
}


@dataclass(frozen=True)
class Split:
    """Frames of one split.

    Attributes:
        keypoints_px: (n, 17, 2) detections, pixels.
        labels_px: (n, 17, 3) pose in the image, pixels.
        sizes: (n, 2) image width and height.
        sources: recording of each frame; the camera is in its last six characters.
    """

    keypoints_px: Array
    labels_px: Array
    sizes: Array
    sources: Sequence[str]

    def keypoints_2d(self) -> Array:
        """(n, 17, 2) in the network's unit."""
        return _to_unit(self.keypoints_px, self.sizes)

    def labels_3d(self) -> Array:
        """(n, 17, 3) in the network's unit, root-relative."""
        labels = _to_unit(self.labels_px, self.sizes)
        return np.asarray(labels - labels[:, ROOT : ROOT + 1], dtype=np.float64)


@dataclass(frozen=True)
class TestSplit(Split):
    """The test split: also actions, and the truth in millimetres.

    Attributes:
        actions: of each frame. The training split of the file need not name them.
        mm_per_px: (n,) the file's ``2.5d_factor``.
        poses_mm: (n, 17, 3) the file's ``joints_2.5d_image``.
    """

    __test__ = False  # no test, whatever pytest thinks of the name

    actions: Sequence[str]
    mm_per_px: Array
    poses_mm: Array


def read_human36m(path: str | os.PathLike[str]) -> tuple[Split, TestSplit]:
    """Both splits of the file.

    Raises:
        InputError: not that file; it is read without running anything of it.
    """
    path = Path(path)
    content = load_array_pickle(path)
    return _split(content, "train", path), _test_split(content, path)


def read_test_split(path: str | os.PathLike[str]) -> TestSplit:
    """The test split alone; as :func:`read_human36m`."""
    path = Path(path)
    return _test_split(load_array_pickle(path), path)


def clip_sets(path: str | os.PathLike[str], frames: int = TEST_STRIDE) -> tuple[ClipSet, ClipSet]:
    """Clips to train on (a third of a clip apart) and to test on (one after another).

    The training split has no millimetres. Its ``mm_per_unit`` is an estimate, from the sum of the
    bones' lengths in the image against the test split's median in millimetres: for a look at the
    training error, not to report.
    """
    path = Path(path)
    train, test = read_human36m(path)
    factors = test.mm_per_px * test.sizes[:, 0] / 2.0  # mm of a unit, by frame
    rows = clip_rows(test.sources, frames, frames)
    held_out = _clips(test, rows, factors[rows].mean(axis=1), path)
    size_mm = float(np.median(_bones(test.labels_3d()) * factors))
    rows = clip_rows(train.sources, frames, max(1, frames // 3))
    with np.errstate(divide="ignore"):  # a pose without size is named below
        estimate = size_mm / np.median(_bones(train.labels_3d())[rows], axis=1)
    return _clips(train, rows, estimate, path), held_out


def _clips(split: Split, rows: npt.NDArray[np.int64], scales: Array, path: Path) -> ClipSet:
    try:
        return ClipSet(
            split.keypoints_2d().astype(np.float32)[rows],
            split.labels_3d().astype(np.float32)[rows],
            scales.astype(np.float32),
            tuple(f"{_motion_and_camera(split.sources[row[0]])}/{row[0]}" for row in rows),
        )
    except InputError as error:
        raise problem(path, str(error)) from None


def _motion_and_camera(source: str) -> str:
    """``s_09_act_02_subact_01_ca_03`` to ``s_09_act_02_subact_01/ca_03``."""
    motion, *camera = source.rsplit("_", 2)
    return f"{motion}/{'_'.join(camera)}"


def _bones(poses: Array) -> Array:
    """Sum of bone lengths of each pose: (n, 17, 3) to (n,)."""
    lengths = np.linalg.norm(poses - poses[:, list(PARENTS)], axis=-1)  # (n, 17), the root's 0
    return np.asarray(lengths.sum(axis=-1), dtype=np.float64)


def _to_unit(pixels: Array, sizes: Array) -> Array:
    """Pixels (n, 17, 2 or 3) to the network's unit, each frame by its image."""
    width = sizes[:, None, :1]
    unit = pixels / width * 2.0
    unit[..., 0] -= 1.0
    unit[..., 1] -= sizes[:, 1:] / sizes[:, :1]
    return np.asarray(unit, dtype=np.float64)


def _split(content: object, name: str, path: Path) -> Split:
    return Split(**_columns(content, name, path))


def _test_split(content: object, path: Path) -> TestSplit:
    columns = _columns(content, "test", path)
    part = content["test"]  # type: ignore[index]  # _columns looked
    count = len(columns["sources"])
    actions = _texts(_get(part, "action", path), "test action", path)
    if len(actions) != count:
        raise problem(
            path, f"test has {plural(count, 'source')} and {plural(len(actions), 'action')}"
        )
    return TestSplit(
        **columns,
        actions=actions,
        mm_per_px=as_numbers(_get(part, "2.5d_factor", path), (count,), path, "test 2.5d_factor"),
        poses_mm=as_numbers(
            _get(part, "joints_2.5d_image", path),
            (count, NUM_JOINTS, 3),
            path,
            "test joints_2.5d_image",
        ).astype(np.float64),
    )


def _columns(content: object, name: str, path: Path) -> dict[str, Any]:
    """What both splits have, checked."""
    if not isinstance(content, Mapping) or not isinstance(content.get(name), Mapping):
        raise problem(path, f"no '{name}' split in it: not h36m_sh_conf_cam_source_final.pkl")
    part = content[name]
    sources = _texts(_get(part, "source", path), f"{name} source", path)
    count = len(sources)
    cameras = _texts(_get(part, "camera_name", path), f"{name} camera_name", path)
    if not count or len(cameras) != count:
        raise problem(
            path, f"{name} has {plural(count, 'source')} and {plural(len(cameras), 'camera name')}"
        )
    if unknown := sorted(set(cameras) - set(IMAGE_SIZES)):
        raise problem(
            path, f"{name} has camera '{printable(unknown[0])}'; known: {', '.join(IMAGE_SIZES)}"
        )
    joints: dict[str, Array] = {}
    for key, axes in (("joint_2d", 2), ("joint3d_image", 3)):
        label = f"{name} {key}"
        values = as_numbers(_get(part, key, path), (count, NUM_JOINTS, None), path, label)
        if values.shape[2] < axes:
            raise problem(path, f"{label} has shape {values.shape}; expected {axes} coordinates")
        joints[key] = values[..., :axes].astype(np.float64)
    return {
        "keypoints_px": joints["joint_2d"],
        "labels_px": joints["joint3d_image"],
        "sizes": np.array([IMAGE_SIZES[camera] for camera in cameras], dtype=np.float64),
        "sources": sources,
    }


def _get(part: Mapping[Any, Any], key: str, path: Path) -> object:
    if key not in part:
        raise problem(path, f"no '{key}' in it: not h36m_sh_conf_cam_source_final.pkl")
    return part[key]


def _texts(value: object, label: str, path: Path) -> list[str]:
    items = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise problem(path, f"{label} is no list of names")
    return items
