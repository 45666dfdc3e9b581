"""Calibrated cameras: projection with lens distortion, and triangulation from several views.

Sources: the pinhole model with Brown's distortion, coefficients in OpenCV's order (k1, k2, p1, p2);
triangulation by the direct linear transform (Hartley and Zisserman, 2004, section 12.2) in
normalised coordinates, weighted by confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError
from posemamba.text import plural

Array = npt.NDArray[np.float64]

_UNDISTORTIONS = 10  # fixed-point steps; distortions of video lenses converge in three or four


@dataclass(frozen=True)
class Camera:
    """A camera whose axes are x right, y down, z forward.

    Attributes:
        name: as the calibration calls it.
        width, height: image in pixels.
        matrix: (3, 3) focal lengths and principal point in pixels.
        distortion: (4,) k1, k2, p1, p2.
        rotation: (3, 3), world to camera.
        centre: (3,) metres, in the world.
    """

    name: str
    width: int
    height: int
    matrix: Array
    distortion: Array
    rotation: Array
    centre: Array

    @property
    def focal(self) -> float:
        """Mean focal length in pixels."""
        return float((self.matrix[0, 0] + self.matrix[1, 1]) / 2)

    def to_camera(self, points: Array) -> Array:
        """World (..., 3) to this camera's frame (..., 3), metres."""
        seen: Array = (points - self.centre) @ self.rotation.T
        return seen

    def project(self, points: Array) -> Array:
        """World (..., 3) metres to pixels (..., 2)."""
        seen = self.to_camera(points)
        flat = _distorted(seen[..., :2] / seen[..., 2:], self.distortion)
        pixels: Array = flat @ self.matrix[:2, :2].T + self.matrix[:2, 2]
        return pixels

    def undistort(self, pixels: Array) -> Array:
        """Pixels (..., 2) to points of the plane at depth 1 (..., 2), the lens taken off."""
        seen = (pixels - self.matrix[:2, 2]) / self.matrix[[0, 1], [0, 1]]
        flat = seen
        for _ in range(_UNDISTORTIONS):
            flat = flat - (_distorted(flat, self.distortion) - seen)
        return np.asarray(flat, dtype=np.float64)


def triangulate(
    cameras: Sequence[Camera],
    pixels: Array,
    confidence: Array,
    *,
    min_confidence: float,
    max_error: float,
) -> tuple[Array, Array]:
    """Points from their images, each from as many views as agree.

    A view that missed the point, or sees someone else, spoils a least-squares solution. So all sets
    of two or more views are solved, and the largest whose mean reprojection error is below
    ``max_error`` is taken; of equally large ones the one with the smallest error.

    Args:
        cameras: the views.
        pixels: (views, points, 2).
        confidence: (views, points); not above ``min_confidence`` means not seen.
        min_confidence: confidence that still counts as not seen.
        max_error: pixels.

    Returns:
        (points, 3) metres and the mean reprojection error (points,) in pixels over the views taken;
        NaN where no two views agree.

    Raises:
        InputError: fewer than two cameras, or arrays of other shapes.
    """
    views, points = len(cameras), pixels.shape[1] if pixels.ndim == 3 else -1
    if views < 2 or pixels.shape != (views, points, 2) or confidence.shape != (views, points):
        raise InputError(
            f"{plural(views, 'camera')}, pixels of shape {pixels.shape} and confidence of shape "
            f"{confidence.shape}: expected 2 cameras or more, (views, points, 2), (views, points)"
        )
    seen = (confidence > min_confidence) & np.isfinite(pixels).all(-1)  # (views, points)
    rows = np.stack(  # (views, points, 2, 4): each view's two equations
        [_equations(camera, pixels[view]) for view, camera in enumerate(cameras)]
    )
    rows = np.where(seen[..., None, None], rows * confidence[..., None, None], 0.0)
    best = np.full((points, 3), np.nan)
    best_error = np.full(points, np.nan)
    for size in range(views, 1, -1):
        open_points = np.isnan(best_error)
        found = np.full(points, np.inf)
        place = np.full((points, 3), np.nan)
        for chosen in map(list, combinations(range(views), size)):
            usable = open_points & seen[chosen].all(0)
            if not usable.any():
                continue
            solved = _solve(rows[chosen][:, usable])
            error = np.mean(
                [
                    np.linalg.norm(cameras[view].project(solved) - pixels[view, usable], axis=-1)
                    for view in chosen
                ],
                axis=0,
            )
            where = np.flatnonzero(usable)
            better = error < np.minimum(found[where], max_error)
            found[where[better]], place[where[better]] = error[better], solved[better]
        taken = np.isfinite(found)
        best[taken], best_error[taken] = place[taken], found[taken]
    return best, best_error


def _distorted(flat: Array, distortion: Array) -> Array:
    """Brown's model on points of the plane at depth 1: (..., 2) to (..., 2)."""
    k1, k2, p1, p2 = distortion
    x, y = flat[..., 0], flat[..., 1]
    square = x * x + y * y
    radial = 1 + k1 * square + k2 * square * square
    bent: Array = np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x),
            y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )
    return bent


def _equations(camera: Camera, pixels: Array) -> Array:
    """The two rows (points, 2, 4) that a view adds to the linear system."""
    flat = np.nan_to_num(camera.undistort(pixels))  # unseen points are weighted 0
    projection = np.hstack([camera.rotation, -camera.rotation @ camera.centre[:, None]])  # (3, 4)
    rows: Array = flat[..., None] * projection[2] - projection[:2]
    return rows


def _solve(rows: Array) -> Array:
    """(views, points, 2, 4) to the (points, 3) that satisfy them in least squares."""
    stacked = np.moveaxis(rows, 0, 1).reshape(rows.shape[1], -1, 4)
    null = np.linalg.svd(stacked)[2][:, -1]  # (points, 4)
    solved: Array = null[:, :3] / null[:, 3:]
    return solved
