"""A set of clips with 2D input and 3D truth, and its file.

Every reader and generator ends here, and training, evaluation and reports start here.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError
from posemamba.files.input import require_no_device
from posemamba.files.output import replacing
from posemamba.pose.preprocess import MOST_NORMALISED
from posemamba.skeleton import NUM_JOINTS
from posemamba.text import plural

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ClipSet:
    """Clips of equal length.

    Attributes:
        keypoints_2d: (clips, frames, joints, 2) float32, normalised as
            :func:`posemamba.pose.preprocess.normalize_2d`.
        poses_3d: (clips, frames, joints, 3) float32, root-relative, in the unit of the network's
            output: that of ``keypoints_2d`` at the root's depth.
        mm_per_unit: (clips,) float32; ``poses_3d * mm_per_unit`` is in millimetres.
        names: one per clip, ``motion/camera/start``.
        origin: what the clips were made of and under which licence, as their source claims; several
            with "; " between them, empty where nobody said.

    Raises:
        InputError: shapes that do not belong together, NaN, infinity, pixels, an origin of several
            lines.
    """

    keypoints_2d: FloatArray
    poses_3d: FloatArray
    mm_per_unit: FloatArray
    names: tuple[str, ...]
    origin: str = ""

    def __post_init__(self) -> None:
        shape = self.keypoints_2d.shape
        if len(shape) != 4 or shape[2:] != (NUM_JOINTS, 2) or 0 in shape:
            raise InputError(f"keypoints_2d has shape {shape}, not (clips, frames, 17, 2)")
        if self.poses_3d.shape != (*shape[:3], 3):
            raise InputError(f"poses_3d has shape {self.poses_3d.shape}, not {(*shape[:3], 3)}")
        if self.mm_per_unit.shape != shape[:1] or len(self.names) != shape[0]:
            raise InputError(
                f"{plural(shape[0], 'clip')}: mm_per_unit has shape {self.mm_per_unit.shape}, "
                f"names has {len(self.names)}"
            )
        for name in ("keypoints_2d", "poses_3d", "mm_per_unit"):
            values = getattr(self, name)
            if values.dtype != np.float32:
                raise InputError(f"{name} is {values.dtype}, not float32")
            if not np.isfinite(values).all():
                raise InputError(f"{name} holds NaN or infinity")
        if (most := float(np.abs(self.keypoints_2d).max())) > MOST_NORMALISED:
            raise InputError(
                f"keypoints_2d reaches {most:g}, as pixels do: normalise by p / width * 2 - "
                "[1, height / width]"
            )
        if not self.origin.isprintable():
            raise InputError("origin holds a character that cannot be printed: give one line")
        if not (self.mm_per_unit > 0).all():
            raise InputError("mm_per_unit holds a value that is not positive")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def sha256(self) -> str:
        """Of all that a network learns from, whatever file it came from."""
        digest = hashlib.sha256(repr(self.keypoints_2d.shape).encode())
        for values in (self.keypoints_2d, self.poses_3d):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    @property
    def frames(self) -> int:
        return int(self.keypoints_2d.shape[1])


def save_clip_set(path: str | os.PathLike[str], clips: ClipSet) -> None:
    """Write a compressed NPZ, whole or not at all."""
    path = Path(path)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            keypoints_2d=clips.keypoints_2d,
            poses_3d=clips.poses_3d,
            mm_per_unit=clips.mm_per_unit,
            names=np.array(clips.names),
            origin=np.array(clips.origin),
        )


def load_clip_set(path: str | os.PathLike[str]) -> ClipSet:
    """Read what :func:`save_clip_set` wrote.

    Raises:
        InputError: no such file, not an NPZ, an array missing or wrong.
    """
    path = Path(path)
    require_no_device(path)
    try:
        # np.load leaves a damaged file open that it has opened itself.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            if "poses_3d" not in arrays and any(
                arrays[name].shape[1:] == (NUM_JOINTS, 2) for name in arrays.files[:1]
            ):
                raise InputError(
                    "holds clips without 3D poses, as 'posemamba data keypoints' makes them: there "
                    "is nothing to learn from or to measure against"
                )
            found = {
                name: np.asarray(arrays[name]).astype(np.float32, casting="same_kind")
                for name in ("keypoints_2d", "poses_3d", "mm_per_unit")
            }
            names = tuple(str(name) for name in arrays["names"])
            origin = str(arrays["origin"]) if "origin" in arrays else ""
        return ClipSet(names=names, origin=origin, **found)
    except InputError as error:
        raise InputError(f"'{path}': {error}") from None
    except FileNotFoundError:
        raise InputError(f"no clip set at '{path}': make one with 'posemamba data'") from None
    except KeyError as error:
        lacking = str(error.args[0]).split()[0]  # NumPy's sentence begins with the name
        raise InputError(
            f"'{path}' is no clip set: it lacks '{lacking}'; make it with 'posemamba data'"
        ) from None
    except OSError as error:
        reason = error.strerror or "damaged"
        raise InputError(f"'{path}' cannot be read as a clip set: {reason}") from None
    except Exception:  # scrambled bytes reach zipfile, zlib, NumPy and Python's own tokenizer
        raise InputError(
            f"'{path}' cannot be read as a clip set: it is something else, or damaged; make it "
            "with 'posemamba data'"
        ) from None
