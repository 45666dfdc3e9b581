"""Sets of clips with true poses, in ``.npz`` files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba._messages import problem
from posemamba.atomic import replacing
from posemamba.errors import InputError
from posemamba.skeleton import NUM_JOINTS

FloatArray = npt.NDArray[np.float32]

_KEYS = ("keypoints_2d", "poses_3d", "mm_per_unit", "names")


@dataclass(frozen=True)
class ClipSet:
    """Clips of one length.

    Attributes:
        keypoints_2d: (clips, frames, 17, 2) float32, as :func:`posemamba.preprocess.normalize_2d`.
        poses_3d: (clips, frames, 17, 3) float32, root-relative, in the network's unit.
        mm_per_unit: (clips,) float32; ``poses_3d`` times it are millimetres.
        names: one a clip, ``motion/camera/start``.

    Raises:
        InputError: shapes that do not fit, another dtype, NaN or infinity, a scale not above 0.
    """

    keypoints_2d: FloatArray
    poses_3d: FloatArray
    mm_per_unit: FloatArray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        clips, frames = (*self.poses_3d.shape, 0, 0)[:2]
        expected = {
            "keypoints_2d": (clips, frames, NUM_JOINTS, 2),
            "poses_3d": (clips, frames, NUM_JOINTS, 3),
            "mm_per_unit": (clips,),
        }
        for name, shape in expected.items():
            values: npt.NDArray[Any] = getattr(self, name)
            if values.dtype != np.float32 or values.shape != shape or values.size == 0:
                raise InputError(
                    f"{name} is {values.dtype} {values.shape}: expected float32 {shape}, not empty"
                )
            if not np.isfinite(values).all():
                raise InputError(f"{name} holds NaN or infinite values: leave those clips out")
        if not (self.mm_per_unit > 0).all():
            raise InputError("mm_per_unit holds values that are not above 0")
        if len(self.names) != clips:
            raise InputError(f"there are {len(self.names)} names for {clips} clips")


def load_clip_set(path: Path) -> ClipSet:
    """Read a clip set; nothing in the file is executed.

    Raises:
        InputError: one line naming the file and what is wrong.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            missing = [key for key in _KEYS if key not in content]
            if missing:
                raise problem(path, f"no array '{missing[0]}': not a clip set")
            keypoints_2d, poses_3d, mm_per_unit, names = (content[key] for key in _KEYS)
    except InputError:
        raise
    except (OSError, ValueError, EOFError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise problem(path, f"cannot be read as a clip set ({reason})") from None
    try:
        return ClipSet(keypoints_2d, poses_3d, mm_per_unit, tuple(map(str, names)))
    except InputError as error:
        raise problem(path, str(error)) from None


def save_clip_set(path: Path, clips: ClipSet) -> None:
    """Write a clip set, whole or not at all.

    Raises:
        InputError: the path cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            keypoints_2d=clips.keypoints_2d,
            poses_3d=clips.poses_3d,
            mm_per_unit=clips.mm_per_unit,
            names=np.array(clips.names),
        )
