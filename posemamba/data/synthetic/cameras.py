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
        azimuth: degrees about the vertical from the person's first heading; 0 is in front of them.
        elevation: degrees above the horizon.
        distance: metres from the person, at least; more where they would leave the image.
        focal: focal length over image width.
    """

    azimuth: tuple[float, float] = (-150.0, 150.0)
    elevation: tuple[float, float] = (-5.0, 25.0)
    distance: tuple[float, float] = (3.0, 7.0)
    focal: tuple[float, float] = (1.0, 1.6)


TRAINING_CAMERAS = CameraRange()
HELD_OUT_CAMERAS = CameraRange(azimuth=(155.0, 205.0), focal=(1.0, 1.8))
"""From behind, a sector that no training camera starts in.

It is its own mirror image, and so is the training sector: training mirrors half of its clips, which
turns a camera at an azimuth into one at its negative. It is a mild hold-out all the same: who turns
around during a clip shows a training camera their back.
"""

_MARGIN = 0.98
"""Half widths from the image's centre within which every joint is kept."""
_NEAREST = 1.0
"""Metres that every joint is in front of the camera, at least."""


def look(
    positions: Array, cameras: CameraRange, rng: np.random.Generator
) -> tuple[Array, Array, float]:
    """Film a clip with one random camera that looks at the person.

    The camera does not turn. It goes along at the root's mean horizontal velocity, as on a dolly:
    a few seconds of running would pass any camera that stands. Then it is as far away as it takes
    for all joints of all frames to be in a square image.

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
    followed = positions - _drift(positions[:, ROOT])[:, None]
    target = followed[:, ROOT].mean(0)
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
    seen = (followed - target) @ axes.T  # (frames, joints, 3), from the target
    distance = rng.uniform(*cameras.distance)
    focal = 2.0 * rng.uniform(*cameras.focal)  # in units of half the image width
    # In the image: focal * |x| <= margin * (z + distance), and the same for y.
    aside = np.abs(seen[..., :2]).max(-1)
    needed = np.maximum(focal * aside / _MARGIN, _NEAREST) - seen[..., 2]
    seen[..., 2] += max(distance, float(needed.max()))
    per_metre = focal / float(seen[:, ROOT, 2].mean())
    poses = (seen - seen[:, ROOT : ROOT + 1]) * per_metre
    return focal * seen[..., :2] / seen[..., 2:], poses, 1000.0 / per_metre


def _drift(root: Array) -> Array:
    """How far (frames, 3) a root (frames, 3) has come since the middle of the clip, had it moved at
    its mean horizontal velocity, which is fitted by least squares.
    """
    times = np.arange(len(root)) - (len(root) - 1) / 2
    velocity = times @ root / max(float(times @ times), 1.0)
    velocity[1] = 0.0  # y is up
    drift: Array = times[:, None] * velocity
    return drift
