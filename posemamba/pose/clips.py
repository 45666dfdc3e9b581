"""Clips of 2D keypoints in ``.npz`` files, and the real ones that ship with the package.

A file holds arrays of shape (frames, 17, 2) or (clips, frames, 17, 2): Human3.6M joints,
normalised (``posemamba.pose.preprocess.normalize_2d``). If it also holds the numbers ``width`` and
``height``, its arrays are pixels of such images and are normalised on reading.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError
from posemamba.files.input import require_no_device
from posemamba.pose.preprocess import normalize_2d
from posemamba.skeleton import NUM_JOINTS
from posemamba.text import plural

Array = npt.NDArray[Any]
Clips = dict[str, npt.NDArray[np.float32]]

BUNDLED = "pose2sim_balancing.npz"
_LIMIT = 10.0
"""Normalised coordinates lie around -2 to 2; what is beyond this is pixels or worse."""


def load_clips(path: str | Path) -> Clips:
    """Read clips for the network.

    Args:
        path: an ``.npz`` file, see the module's description.

    Returns:
        name to (frames, 17, 2) float32. An array of several clips gives ``key[0]``, ``key[1]``, ...

    Raises:
        InputError: one line naming the file, the array, the value and the fix.
    """
    file = Path(path)
    if file.is_dir():
        raise InputError(f"{file}: is a directory; name an .npz file with clips in it")
    require_no_device(file)
    if not file.exists():
        raise InputError(f"{file}: no such file; check the path")
    try:
        with file.open("rb") as stream:
            return _read(stream, str(file))
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check its rights") from None


def bundled_clips() -> Clips:
    """Real clips: one person balancing, four cameras, 100 frames each at 60 Hz.

    OpenPose BODY_25B detections of Pose2Sim's demonstration trial (BSD-3-Clause; the notice is
    beside the file in ``posemamba/assets``), remade by ``tools/make_bundled_clips.py``.
    """
    with resources.files("posemamba").joinpath("assets").joinpath(BUNDLED).open("rb") as stream:
        return _read(stream, BUNDLED)


def _read(stream: IO[bytes], label: str) -> Clips:
    arrays = _read_arrays(stream, label)
    size = _image_size(arrays, label)
    if not arrays:
        raise InputError(f"{label}: holds no arrays; save one as keypoints_2d (frames, 17, 2)")
    clips: Clips = {}
    for key, values in arrays.items():
        checked = _check(values, f"{label}: array '{key}'", size)
        if checked.ndim == 3:
            clips[key] = checked
        else:
            clips.update({f"{key}[{index}]": clip for index, clip in enumerate(checked)})
    return clips


def _read_arrays(stream: IO[bytes], label: str) -> dict[str, Array]:
    magic = stream.read(6)
    stream.seek(0)
    if magic == b"\x93NUMPY":
        raise InputError(
            f"{label}: is a single .npy array; save it with numpy.savez(keypoints_2d=)"
        )
    if not magic.startswith(b"PK"):
        raise InputError(f"{label}: is not an .npz file; save clips with numpy.savez")
    arrays: dict[str, Array] = {}
    try:
        with np.load(stream, allow_pickle=False) as archive:
            names = list(archive.files)
            for key in names:
                arrays[key] = _read_array(archive, key, label)
    except InputError:
        raise
    except Exception:  # scrambled bytes reach zipfile, zlib, NumPy and Python's own tokenizer
        raise InputError(f"{label}: is damaged or cut short; save or copy it again") from None
    return arrays


def _read_array(archive: Any, key: str, label: str) -> Array:  # noqa: ANN401 (NpzFile is generic)
    try:
        values = archive[key]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise InputError(
                f"{label}: array '{key}' holds pickled Python objects, which are never loaded; "
                "save plain float32 arrays"
            ) from None
        raise
    if not isinstance(values, np.ndarray):
        raise InputError(f"{label}: member '{key}' is not an array; save with numpy.savez")
    return values


def _image_size(arrays: dict[str, Array], label: str) -> tuple[float, float] | None:
    """Take ``width`` and ``height`` out of the arrays."""
    given = {key: arrays.pop(key) for key in ("width", "height") if key in arrays}
    if not given:
        return None
    if len(given) == 1:
        raise InputError(f"{label}: holds only '{next(iter(given))}'; give both width and height")
    for key, value in given.items():
        if value.size != 1 or value.dtype.kind not in "fiu" or not 0 < float(value.item()) < np.inf:
            raise InputError(
                f"{label}: '{key}' is {_show(value)}; give one positive number of pixels"
            )
    return float(given["width"].item()), float(given["height"].item())


def _show(value: Array) -> str:
    return str(value.item()) if value.size == 1 else f"an array of shape {value.shape}"


def _check(values: Array, label: str, size: tuple[float, float] | None) -> Array:
    """An array as the network takes it: float32, normalised, finite."""
    shape = values.shape
    if values.ndim not in (3, 4):
        raise InputError(
            f"{label} has shape {shape}; expected (frames, 17, 2) or (clips, frames, 17, 2)"
        )
    if shape[-2] != NUM_JOINTS:
        raise InputError(
            f"{label} has {plural(shape[-2], 'joint')}; expected the {NUM_JOINTS} of Human3.6M, "
            "convert with posemamba.pose.keypoints.to_h36m"
        )
    if shape[-1] != 2:
        hint = "leave the confidence out: keypoints[..., :2]" if shape[-1] == 3 else "give x and y"
        raise InputError(f"{label} has {plural(shape[-1], 'value')} per joint; expected 2, {hint}")
    if 0 in shape:
        what = "clips" if shape[0] == 0 and values.ndim == 4 else "frames"
        raise InputError(f"{label} has 0 {what}; give at least 1")
    if values.dtype.kind not in "fiu":
        raise InputError(f"{label} is of type {values.dtype}; save it as float32")
    if size is None and values.dtype.kind != "f":
        raise InputError(
            f"{label} is of type {values.dtype}, as pixels are; save numbers 'width' and 'height' "
            "of the image beside it, or normalise to float32"
        )
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        raise InputError(
            f"{label} has {plural(wrong, 'NaN or infinite value')}; fill gaps with "
            "posemamba.pose.keypoints.fill_missing"
        )
    if size is not None:
        values = normalize_2d(values, *size)
    largest = float(np.abs(values).max())
    if largest > _LIMIT:
        fix = (
            "check that the array is in pixels and 'width' and 'height' are its image's"
            if size is not None
            else "these are pixels: save numbers 'width' and 'height' beside it, or normalise"
        )
        raise InputError(
            f"{label} reaches {largest:g} where normalised coordinates stay near 1; {fix}"
        )
    return values.astype(np.float32)
