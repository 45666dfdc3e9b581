"""What happens to keypoints before the network, and to poses after it.

Reading, scaling and cutting (:func:`normalize_2d` to :func:`merge_clips`) are the input-output
side. :func:`flip` and :func:`flip_tta` sit around the network and take what the runtime speaks:
NumPy arrays, or PyTorch tensors, which index and negate alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from posemamba.config import MAX_FRAMES
from posemamba.errors import InputError
from posemamba.pose.arrays import real_numbers
from posemamba.skeleton import LEFT_JOINTS, NUM_JOINTS, RIGHT_JOINTS, ROOT
from posemamba.text import plural, printable

Array = npt.NDArray[Any]

MOST_NORMALISED = 10.0
"""Normalised coordinates lie around -2 to 2; what is beyond this is pixels or worse."""

_SWAP = dict(zip(LEFT_JOINTS + RIGHT_JOINTS, RIGHT_JOINTS + LEFT_JOINTS, strict=True))
#: Joint that each joint becomes in a mirror.
MIRROR: tuple[int, ...] = tuple(_SWAP.get(joint, joint) for joint in range(NUM_JOINTS))


class _ArrayLike(Protocol):
    """What NumPy arrays and PyTorch tensors have in common, as far as it is used here."""

    @property
    def shape(self) -> Sequence[int]: ...
    def __getitem__(self, place: Any, /) -> Any: ...  # noqa: ANN401 (theirs)
    def __truediv__(self, value: Any, /) -> Any: ...  # noqa: ANN401 (theirs)
    def __setitem__(self, place: Any, value: Any, /) -> None: ...  # noqa: ANN401 (theirs)


_Values = TypeVar("_Values", bound=_ArrayLike)


def normalize_2d(points_px: npt.ArrayLike, width: float, height: float) -> Array:
    """Pixels to the network's units: ``p / width * 2 - [1, height / width]``.

    x spans -1 to 1; y uses the same scale, so that nothing is squeezed.

    Args:
        points_px: (..., 2) pixels, x right and y down.
        width: image width in pixels.
        height: image height in pixels.

    Returns:
        (..., 2), float32 if the input is, else float64.

    Raises:
        InputError: an image without area, or a last dimension that is not 2.
    """
    given = _points(points_px)
    _check_image(width, height)
    return _like(_exact(given) / width * 2.0 - np.array([1.0, height / width]), given)


def denormalize_2d(keypoints_2d: npt.ArrayLike, width: float, height: float) -> Array:
    """The network's units to pixels, the inverse of :func:`normalize_2d`."""
    given = _points(keypoints_2d)
    _check_image(width, height)
    return _like((_exact(given) + np.array([1.0, height / width])) * (width / 2.0), given)


def resample(sequence: npt.ArrayLike, frames: int, *, linear: bool = True) -> Array:
    """Stretch or shrink a sequence to a number of frames.

    Args:
        sequence: (frames, ...).
        frames: frames wanted.
        linear: interpolate between the neighbouring frames, first and last kept. If False, frame
            ``floor(i * old / new)`` is taken, which is how the authors' data code brings short
            clips to length.

    Returns:
        (frames, ...), float32 if the input is, else float64.

    Raises:
        InputError: no frame in the sequence, or fewer than one wanted.
    """
    given = real_numbers(sequence, "frames")
    values = _exact(given)
    old = _count_frames(values)
    _check_frames(frames)
    if not linear:
        return _like(values[np.arange(frames) * old // frames], given)
    place = np.linspace(0.0, old - 1.0, frames)  # (frames,) position in the old sequence
    before = np.floor(place).astype(np.int64)
    after = np.minimum(before + 1, old - 1)
    share = (place - before).reshape(-1, *[1] * (values.ndim - 1))
    return _like(values[before] * (1.0 - share) + values[after] * share, given)


def clip_starts(total: int, frames: int = MAX_FRAMES) -> list[int]:
    """First frames of the clips a sequence is cut into.

    Clips follow each other without a gap. Where the length is not a multiple of ``frames``, the
    last clip starts early enough to be full, and so overlaps the one before. A sequence shorter
    than ``frames`` is one clip of its own length: the network needs no padding.
    """
    _check_frames(frames)
    _check_frames(total)
    if total <= frames:
        return [0]
    starts = list(range(0, total - frames + 1, frames))
    if starts[-1] + frames < total:
        starts.append(total - frames)
    return starts


def split_clips(sequence: npt.ArrayLike, frames: int = MAX_FRAMES) -> Array:
    """Cut a sequence into clips for the network, as :func:`clip_starts` says.

    Args:
        sequence: (total, ...).
        frames: frames per clip.

    Returns:
        (clips, min(frames, total), ...), of the sequence's type.

    Raises:
        InputError: no frame in the sequence, or fewer than one per clip.
    """
    values = real_numbers(sequence, "frames")
    total = _count_frames(values)
    _check_frames(frames)
    length = min(frames, total)
    return np.stack([values[start : start + length] for start in clip_starts(total, frames)])


def merge_clips(clips: npt.ArrayLike, total: int) -> Array:
    """Join what the network made of :func:`split_clips`' clips.

    Where the last two clips overlap, each frame counts by its distance to the nearer end of its
    clip (frames at an end saw less context), which fades one clip into the other without a jump.

    Args:
        clips: (clips, frames, ...).
        total: length of the sequence that was cut.

    Returns:
        (total, ...), float32 if the input is, else float64.

    Raises:
        InputError: a number of clips that ``total`` frames do not give.
    """
    given = real_numbers(clips, "clips")
    values = _exact(given)
    length = values.shape[1] if values.ndim >= 2 else 0
    if length < 1 or length > total or len(clip_starts(total, length)) != values.shape[0]:
        raise InputError(
            f"clips have shape {values.shape}, which are no cut of {plural(total, 'frame')}: "
            "give what split_clips returned, and the length of its input"
        )
    ramp = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1.0
    weight = ramp.reshape(-1, *[1] * (values.ndim - 2))  # (frames, 1, ...)
    merged = np.zeros((total, *values.shape[2:]))
    weights = np.zeros((total, *weight.shape[1:]))
    for clip, start in zip(values, clip_starts(total, length), strict=True):
        merged[start : start + length] += clip * weight
        weights[start : start + length] += weight
    return _like(merged / weights, given)


def flip(values: _Values) -> _Values:
    """Mirror a person: negate x and swap left with right.

    Args:
        values: (..., 17, c), x first: normalised 2D keypoints (with a confidence or without), or
            3D poses. Not pixels, whose mirror is not at 0.

    Returns:
        a new array or tensor of the same shape and type.

    Raises:
        InputError: another shape, or numbers without a sign.
    """
    if len(values.shape) < 2 or values.shape[-2] != NUM_JOINTS:
        raise InputError(f"cannot flip shape {tuple(values.shape)}: expected (..., 17, channels)")
    if not values.shape[-1] or "uint" in str(getattr(values, "dtype", "")):  # which wrap
        raise InputError(
            f"cannot flip {getattr(values, 'dtype', '')} of shape {values.shape}: "
            "expected floats, (..., 17, channels)"
        )
    mirrored: _Values = values[..., list(MIRROR), :]  # indexing by a list copies
    mirrored[..., 0] = -mirrored[..., 0]
    return mirrored


def flip_tta(fn: Callable[[_Values], _Values], keypoints_2d: _Values) -> _Values:
    """Flip test-time augmentation, as the authors evaluate: twice the time for a better pose.

    Args:
        fn: the network, (batch, frames, 17, 2) to (batch, frames, 17, 3).
        keypoints_2d: (batch, frames, 17, 2) normalised.

    Returns:
        (batch, frames, 17, 3): mean of f(x) and unflip(f(flip(x))), then root := 0.
    """
    # Halved before the second call, which may write into the array that the first one gave.
    straight: _Values = fn(keypoints_2d) / 2
    poses: _Values = straight + flip(fn(flip(keypoints_2d))) / 2
    poses[..., ROOT, :] = 0.0
    return poses


def _points(values: npt.ArrayLike) -> Array:
    result = real_numbers(values, "points")
    if result.ndim == 0 or result.shape[-1] != 2:
        raise InputError(f"points have shape {result.shape}: expected (..., 2)")
    return result


def _exact(values: Array) -> npt.NDArray[np.float64]:
    return values.astype(np.float64)


def _like(result: Array, given: Array) -> Array:
    return result.astype(np.float32) if given.dtype == np.float32 else result


def _check_image(width: float, height: float) -> None:
    sizes = (width, height)
    if not all(isinstance(s, Real) and type(s) is not bool and 0 < s < np.inf for s in sizes):
        raise InputError(f"image size is {width} x {height}: give width and height in pixels")


def _check_frames(frames: int) -> None:
    if not isinstance(frames, Integral) or frames < 1:
        raise InputError(f"frames is {printable(frames)}: give a whole number, at least 1")


def _count_frames(values: Array) -> int:
    if values.ndim == 0 or values.shape[0] == 0:
        raise InputError(f"the sequence has shape {values.shape}: give (frames, ...) with a frame")
    return int(values.shape[0])
