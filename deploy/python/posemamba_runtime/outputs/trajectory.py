"""Where the pelvis is before the camera: an estimate from the pose's size in the image.

A pose in metres with its pelvis at (tx, ty, tz) is seen through a lens of focal length f pixels at

    u = cu + f (x + tx) / (z + tz)        so        f tx - (u - cu) tz = (u - cu) z - f x

and likewise v: linear in the translation, once the pose is known. Each frame is solved for it in
weighted least squares over its joints. Divided by the joint's depth z + tz a row's error is in
pixels, so rows are weighed by that of the last solution, and robustly (Huber), for a joint found in
a wrong place pulls hard. Then the trajectory is smoothed lightly in time.

It is an estimate: lens distortion is left out, depth is only as good as the person's height and the
focal length are, and both scale it. ``docs/reference/outputs.md`` has its error on a real
recording.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.errors import BadArgument
from posemamba_runtime.motion import FloatArray, Motion

Array = npt.NDArray[np.float64]

ASSUMED_FOCAL = 1.2
"""Focal length in longer sides of the image, where nobody knows it: a view 45 degrees wide."""

_ROUNDS = 5
_HUBER = 0.005  # of the longer side of the image: the error beyond which more counts less
_MISFIT = 0.1  # mean error, of the same: no pose of a person before a camera looks like this
_FEWEST = 3  # joints; two would do, but then one that is wrong goes unnoticed
_SMOOTH_S = 0.05  # standard deviation of the window, seconds
_REACH = 3.0  # standard deviations of it that are looked at


@dataclass(frozen=True)
class Intrinsics:
    """A camera without distortion: focal length and principal point in pixels.

    Attributes:
        assumed: nobody measured the focal length.
    """

    focal: float
    centre: tuple[float, float]
    assumed: bool


def intrinsics(
    size: tuple[int, int] | None,
    focal: float | None = None,
    centre: tuple[float, float] | None = None,
) -> Intrinsics:
    """What is known, filled up: 1.2 longer sides as focal length, the image's middle as centre.

    Raises:
        BadArgument: the image's size is not known but needed, or a focal length that cannot be.
    """
    if size is None and (focal is None or centre is None):
        raise BadArgument("a trajectory needs the image's size: give it (--size 1920x1080)")
    if focal is not None and not (math.isfinite(focal) and focal > 0):
        raise BadArgument(f"a focal length of {focal} pixels: give a positive one")
    width, height = size or (0, 0)
    return Intrinsics(
        ASSUMED_FOCAL * max(width, height) if focal is None else float(focal),
        centre or (width / 2, height / 2),
        focal is None,
    )


def with_root(
    motion: Motion, focal: float | None = None, centre: tuple[float, float] | None = None
) -> tuple[Motion, Intrinsics]:
    """The motion with ``root`` estimated, and the camera that was taken for it.

    Who cannot be placed, for no frame shows three joints that fit, has None as ``root``.

    Raises:
        BadArgument: a motion of unknown size, or see :func:`intrinsics`.
    """
    if motion.units == "network":
        raise BadArgument("a trajectory needs the person's size: give the height (--height-m 1.75)")
    camera = intrinsics(motion.size, focal, centre)
    roots = (
        estimate_root(track.keypoints_2d, track.poses_3d, track.timestamps, camera)
        for track in motion.tracks
    )
    tracks = tuple(
        replace(track, root=root) for track, root in zip(motion.tracks, roots, strict=True)
    )
    return replace(motion, tracks=tracks), camera


def estimate_root(
    keypoints_2d: FloatArray, poses_3d: FloatArray, times: FloatArray, camera: Intrinsics
) -> Array | None:
    """The pelvis in the camera's axes (n, 3), in the poses' unit; None where no frame tells.

    Args:
        keypoints_2d: (n, 17, 2) pixels; NaN takes no part.
        poses_3d: (n, 17, 3) metres or millimetres, the pelvis at the origin.
        times: (n,) seconds, ascending.
    """
    raw = np.concatenate(
        [
            _per_frame(
                keypoints_2d[rows].astype(np.float64), poses_3d[rows].astype(np.float64), camera
            )
            for rows in long_arrays.pieces(keypoints_2d, poses_3d)
        ]
    )
    if np.isnan(raw).all():
        return None
    return _smoothed(raw, times.astype(np.float64))


def _per_frame(keypoints: Array, poses: Array, camera: Intrinsics) -> Array:
    """(n, 3), NaN where too few joints are seen, or no place before the camera fits them.

    Errors are shares of the longer side of the image, which is about twice its centre.
    """
    seen = np.asarray(np.isfinite(keypoints).all(-1))  # (n, 17)
    rays = np.where(seen[..., None], keypoints - np.array(camera.centre), 0.0) / camera.focal
    # x + tx = ray_x (z + tz), y + ty = ray_y (z + tz): (n, 17, 2, 3) @ t = (n, 17, 2)
    rows = np.zeros((*rays.shape, 3))
    rows[..., 0, 0] = rows[..., 1, 1] = 1.0
    rows[..., 2] = -rays
    sides = rays * poses[..., 2:] - poses[..., :2]
    weights = seen.astype(np.float64)
    usable = seen.sum(-1) >= _FEWEST
    root = np.full((len(poses), 3), np.nan)
    for _ in range(_ROUNDS):
        a, b, w = rows[usable], sides[usable], weights[usable, :, None]
        normal = np.einsum("njai,njak->nik", a * w[..., None], a)
        right = np.einsum("njai,nja->ni", a * w[..., None], b)
        root[usable] = np.linalg.solve(normal + 1e-9 * np.eye(3), right[..., None])[..., 0]
        depth = poses[..., 2] + root[:, None, 2]  # (n, 17)
        off = np.linalg.norm(np.einsum("njai,ni->nja", rows, root) - sides, axis=-1)
        far = np.maximum(np.abs(depth), 1e-9)
        share = off / far * camera.focal / (2 * max(camera.centre))
        weights = seen * np.minimum(1.0, _HUBER / np.maximum(share, 1e-9)) / far**2
        weights /= weights.max(-1, keepdims=True)  # whatever the unit of depth
    behind = ~(depth.min(-1) > 0)
    misfit = (seen * share).sum(-1) > _MISFIT * seen.sum(-1)
    root[behind | misfit] = np.nan
    return root


def _smoothed(values: Array, times: Array) -> Array:
    """A Gaussian window in time over (n, 3); frames that are NaN get what their neighbours have."""
    known = np.isfinite(values).all(-1)
    where = np.flatnonzero(known)
    filled = np.stack(
        [np.interp(times, times[where], values[where, axis]) for axis in range(3)], axis=-1
    )
    total, weight = filled.copy(), np.ones(len(times))
    for step in range(1, len(times)):
        gap = times[step:] - times[:-step]
        if gap.min() > _REACH * _SMOOTH_S:
            break
        share = np.exp(-0.5 * (gap / _SMOOTH_S) ** 2)
        total[step:] += share[:, None] * filled[:-step]
        total[:-step] += share[:, None] * filled[step:]
        weight[step:] += share
        weight[:-step] += share
    smooth: Array = total / weight[:, None]
    return smooth
