"""2D detector keypoints to the 17 Human3.6M joints, frame by frame and over time.

The table of layouts is the runtime's (:mod:`posemamba_runtime.keypoints.layouts`): every joint is
a weighted mean of joints the detector has. NumPy only. Pixels in, pixels out: normalise afterwards
(:func:`posemamba.pose.preprocess.normalize_2d`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError
from posemamba.pose.arrays import real_numbers
from posemamba.skeleton import JOINT_NAMES, NUM_JOINTS
from posemamba.text import plural
from posemamba_runtime.errors import BadArgument
from posemamba_runtime.keypoints.judge import placed
from posemamba_runtime.keypoints.layouts import LAYOUTS, Layout, layout_name

Array = npt.NDArray[Any]


def get_format(name: str) -> Layout:
    """Look a format up; case, ``-`` and ``_`` do not matter (``BODY_25B`` is ``body25b``).

    Raises:
        InputError: no such format.
    """
    try:
        return LAYOUTS[layout_name(name)]
    except BadArgument as error:
        raise InputError(str(error)) from None


def to_h36m(points: npt.ArrayLike, source_format: str) -> Array:
    """Convert detector keypoints to the Human3.6M joints, frame by frame.

    Args:
        points: (..., K, 2) x and y, or (..., K, 3) x, y and confidence; pixels, y downwards.
            MediaPipe's landmarks are fractions of the image: multiply by width and height first.
        source_format: a name in :data:`LAYOUTS`.

    Returns:
        (..., 17, 2 or 3), float32 if ``points`` is, else float64. A joint's confidence is the
        smallest of the source joints it depends on. A missing source (NaN, or confidence 0) is
        not mended here: see :func:`fill_missing` and :func:`detections_to_h36m`.

    Raises:
        InputError: unknown format, or a shape that is not the format's.
    """
    source = get_format(source_format)
    values = real_numbers(points, "keypoints")
    _check_shape(values, source)
    exact = values.astype(np.float64)
    columns = {name: exact[..., index, :] for index, name in enumerate(source.joints)}
    result = np.empty((*values.shape[:-2], NUM_JOINTS, values.shape[-1]))
    for j, joint in enumerate(JOINT_NAMES):
        # Summed term by term: as a matrix product, a NaN would reach joints it has no part in.
        for axis, weights in enumerate(source.weights(joint)):
            result[..., j, axis] = sum(w * columns[name][..., axis] for name, w in weights.items())
        if values.shape[-1] == 3:
            result[..., j, 2] = np.min(
                [columns[name][..., 2] for name in source.sources(joint)], axis=0
            )
    return result.astype(values.dtype if values.dtype == np.float32 else np.float64)


def fill_missing(
    points: npt.ArrayLike, *, min_confidence: float = 0.0, names: Sequence[str] | None = None
) -> Array:
    """Fill gaps in time: each joint is interpolated linearly, and held before and after.

    A joint is missing in a frame where a coordinate is not finite or its confidence is not above
    ``min_confidence`` (detectors write 0 for what they do not see).

    Args:
        points: (frames, joints, 2 or 3) x, y and, if there, confidence.
        min_confidence: confidence that still counts as missing.
        names: joint names for the message; numbers where absent.

    Returns:
        (frames, joints, 2) float64, finite.

    Raises:
        InputError: wrong shape, or a joint that no frame shows.
    """
    values = real_numbers(points, "keypoints").astype(np.float64)
    if values.ndim != 3 or values.shape[-1] not in (2, 3) or values.shape[0] == 0:
        raise InputError(
            f"keypoints have shape {values.shape}: expected (frames, joints, 2 or 3) with a frame"
        )
    seen = _seen(values, min_confidence)  # (frames, joints)
    times = np.arange(values.shape[0])
    filled = np.empty((*values.shape[:2], 2))
    for joint in range(values.shape[1]):
        known = seen[:, joint]
        if not known.any():
            label = names[joint] if names is not None else str(joint)
            raise InputError(
                f"joint '{label}' is missing in all of {plural(len(times), 'frame')} "
                f"(confidence above {min_confidence:g} needed): use frames that show it"
            )
        for axis in range(2):
            filled[:, joint, axis] = np.interp(times, times[known], values[known, joint, axis])
    return filled


def detections_to_h36m(
    points: npt.ArrayLike, source_format: str, *, min_confidence: float = 0.0
) -> Array:
    """One person's detections over time to gapless Human3.6M keypoints.

    Gaps are filled in the detector's own joints, where a half-seen pair of hips still helps, and
    only in those the result depends on: never-seen toes do no harm. A coordinate of exactly 0 or a
    negative pair was not found, whatever confidence the detector kept. For an ear, eye or nose that
    no frame shows, as in a clip from the side or from behind, the format's stand-ins are taken.

    Args:
        points: (frames, K, 2 or 3), pixels.
        source_format: a name in :data:`LAYOUTS`.
        min_confidence: confidence that still counts as missing.

    Returns:
        (frames, 17, 2) float64 pixels, finite.

    Raises:
        InputError: as :func:`to_h36m` and :func:`fill_missing`.
    """
    source = get_format(source_format)
    values = real_numbers(points, "keypoints").astype(np.float64)  # a copy, to be written into
    _check_shape(values, source)
    values[~placed(values, normalised=False)] = np.nan
    for name, others in source.stand_ins.items():
        joint = source.joints.index(name)
        if not _seen(values[..., joint, :], min_confidence).any():
            donors = values[..., [source.joints.index(other) for other in others], :]
            values[..., joint, :2] = donors[..., :2].mean(axis=-2)
            values[..., joint, 2:] = donors[..., 2:].min(axis=-2)
    used = [source.joints.index(name) for name in source.used]
    complete = np.full((*values.shape[:-1], 2), np.nan)
    complete[..., used, :] = fill_missing(
        values[..., used, :], min_confidence=min_confidence, names=source.used
    )
    return to_h36m(complete, source_format)


def _seen(values: Array, min_confidence: float) -> npt.NDArray[np.bool_]:
    seen: npt.NDArray[np.bool_] = np.isfinite(values[..., 0]) & np.isfinite(values[..., 1])
    if values.shape[-1] == 2:
        return seen
    confident: npt.NDArray[np.bool_] = values[..., 2] > min_confidence  # False for NaN
    return seen & confident


def _check_shape(values: Array, source: Layout) -> None:
    count = len(source.joints)
    if values.ndim < 2 or values.shape[-2] != count or values.shape[-1] not in (2, 3):
        raise InputError(
            f"keypoints have shape {values.shape}: {source.title} needs (..., {count}, 2 or 3)"
        )
