"""Synthetic cameras: what a moving person looks like, and the labels that go with it.

Labels follow Human3.6M's of the field: x and y as in the image, z in the same unit. Here that unit
is exact: a pose in metres, divided by what one unit of the normalised image spans at the clip's
mean root depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posemamba.skeleton import ROOT

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CameraRange:
    """What cameras are drawn from, uniformly.

    Attributes:
        azimuth: degrees about the vertical, from the person's first heading.
        elevation: degrees above the horizon.
        distance: metres from the person.
        focal: focal length over image width.
    """

    azimuth: tuple[float, float] = (0.0, 300.0)
    elevation: tuple[float, float] = (-5.0, 25.0)
    distance: tuple[float, float] = (3.0, 7.0)
    focal: tuple[float, float] = (1.0, 1.6)


TRAINING_CAMERAS = CameraRange()
HELD_OUT_CAMERAS = CameraRange(azimuth=(305.0, 355.0), focal=(1.0, 1.8))
"""A sector of azimuths that no training camera looks from."""


def look(
    positions: Array, cameras: CameraRange, rng: np.random.Generator
) -> tuple[Array, Array, float]:
    """Film a clip with one random camera that looks at its mean root.

    Args:
        positions: (frames, joints, 3) metres, y up.

    Returns:
        Keypoints (frames, joints, 2) in units of half the image width, from the image's centre;
        root-relative poses (frames, joints, 3) in the same unit at the root's mean depth; and the
        millimetres of a unit.
    """
    azimuth, elevation = np.radians(
        [rng.uniform(*cameras.azimuth), rng.uniform(*cameras.elevation)]
    )
    target = positions[:, ROOT].mean(0)
    backward = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.sin(elevation),
            np.cos(elevation) * np.sin(azimuth),
        ]
    )
    right = np.array([np.sin(azimuth), 0.0, -np.cos(azimuth)])
    # Rows of the camera's axes: x right, y down, z forward.
    axes = np.stack([right, np.cross(-backward, right), -backward])
    eye = target + backward * rng.uniform(*cameras.distance)
    seen = (positions - eye) @ axes.T  # (frames, joints, 3)
    focal = 2.0 * rng.uniform(*cameras.focal)  # in units of half the image width
    depth = np.maximum(seen[..., 2:], 0.3)  # nobody walks through the lens
    per_metre = focal / max(float(seen[:, ROOT, 2].mean()), 0.3)
    poses = (seen - seen[:, ROOT : ROOT + 1]) * per_metre
    return focal * seen[..., :2] / depth, poses, 1000.0 / per_metre
