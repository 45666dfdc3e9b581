"""Synthetic cameras: what a moving person looks like, and the labels that go with it.

Labels follow Human3.6M's of the field: x and y as in the image, z in the same unit. Here that unit
is exact: a pose in metres, divided by what one unit of the normalised image spans at the clip's
mean root depth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

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
        roll: degrees about the lens, clockwise in the image.
        aside: how far from the image's middle the person is on average, at most; a share of half
            the width, and of half the height. The camera is turned, so the view is as skewed as
            a real one.
        aspect: image height over width.
    """

    azimuth: tuple[float, float] = (-150.0, 150.0)
    elevation: tuple[float, float] = (-5.0, 25.0)
    distance: tuple[float, float] = (3.0, 7.0)
    focal: tuple[float, float] = (1.0, 1.6)
    roll: tuple[float, float] = (0.0, 0.0)
    aside: float = 0.0
    aspect: tuple[float, float] = (1.0, 1.0)


TRAINING_CAMERAS = CameraRange()
HELD_OUT_CAMERAS = CameraRange(azimuth=(155.0, 205.0), focal=(1.0, 1.8))
"""From behind, a sector that no training camera starts in.

It is its own mirror image, and so is the training sector: training mirrors half of its clips, which
turns a camera at an azimuth into one at its negative. It is a mild hold-out all the same: who turns
around during a clip shows a training camera their back.
"""
_VARIED: dict[str, Any] = {
    "elevation": (-10.0, 35.0),
    "distance": (2.0, 8.0),
    "roll": (-5.0, 5.0),
    "aside": 0.5,
    "aspect": (9 / 16, 16 / 9),
}
CAMERAS: dict[str, tuple[CameraRange, CameraRange]] = {
    "centred": (TRAINING_CAMERAS, HELD_OUT_CAMERAS),
    "varied": (
        replace(TRAINING_CAMERAS, focal=(0.7, 1.8), **_VARIED),
        replace(HELD_OUT_CAMERAS, focal=(0.7, 2.0), **_VARIED),
    ),
}
"""Cameras to train with and held-out ones, by name.

``centred`` look at the middle of the person from a square image. ``varied`` are what people put up:
wide and long lenses, upright and lying images, not quite level, the person anywhere in the view.
"""

_MARGIN = 0.98
"""Share of the half width and of the half height within which every joint is kept."""
_NEAREST = 1.0
"""Metres that every joint is in front of the camera, at least."""


def look(
    positions: Array, cameras: CameraRange, rng: np.random.Generator
) -> tuple[Array, Array, float]:
    """Film a clip with one random camera that looks at the person.

    The camera does not turn during a clip. It goes along at the root's mean horizontal velocity, as
    on a dolly: a few seconds of running would pass any camera that stands. Then it is as far away
    as it takes for all joints of all frames to be in the image.

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
    distance = rng.uniform(*cameras.distance)
    focal = 2.0 * rng.uniform(*cameras.focal)  # in units of half the image width
    roll = np.radians(rng.uniform(*cameras.roll))
    limits = np.array([1.0, rng.uniform(*cameras.aspect)])  # of the image, half widths
    place = rng.uniform(-cameras.aside, cameras.aside, 2) * limits
    towards = np.array([*place / focal, 1.0])
    towards /= np.linalg.norm(towards)  # where the target is
    axes = _turn_onto(towards) @ _about_lens(roll) @ axes
    seen = (followed - target) @ axes.T  # (frames, joints, 3), from the target
    seen += max(distance, _least_distance(seen, towards, focal, _MARGIN * limits)) * towards
    per_metre = focal / float(seen[:, ROOT, 2].mean())
    poses = (seen - seen[:, ROOT : ROOT + 1]) * per_metre
    return focal * seen[..., :2] / seen[..., 2:], poses, 1000.0 / per_metre


def _least_distance(seen: Array, towards: Array, focal: float, limits: Array) -> float:
    """Metres along ``towards`` that bring points (..., 3) before the camera and into the image.

    With p a point and t the direction, ``focal * |p + d t|`` is at most ``limits * (p + d t)_z`` on
    both axes: four lines in d, whose slopes are positive as ``towards`` is inside the image itself.
    """
    lines = np.array(
        [[sign * (axis == 0), sign * (axis == 1)] for axis in (0, 1) for sign in (-1, 1)]
    )
    bounds = np.repeat(limits, 2)
    slopes = bounds * towards[2] - focal * (lines @ towards[:2])  # (4,)
    least = (focal * (seen[..., :2] @ lines.T) - bounds * seen[..., 2:]) / slopes
    nearest = (_NEAREST - seen[..., 2]) / towards[2]
    return max(float(least.max()), float(nearest.max()))


def _about_lens(angle: float) -> Array:
    """Rotation about z that turns x towards y: clockwise in an image whose y points down."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _turn_onto(towards: Array) -> Array:
    """The shortest rotation of the forward axis onto a unit vector in front of the camera."""
    x, y, z = towards
    return np.array(
        [
            [1.0 - x * x / (1.0 + z), -x * y / (1.0 + z), x],
            [-x * y / (1.0 + z), 1.0 - y * y / (1.0 + z), y],
            [-x, -y, z],
        ]
    )


def _drift(root: Array) -> Array:
    """How far (frames, 3) a root (frames, 3) has come since the middle of the clip, had it moved at
    its mean horizontal velocity, which is fitted by least squares.
    """
    times = np.arange(len(root)) - (len(root) - 1) / 2
    velocity = times @ root / max(float(times @ times), 1.0)
    velocity[1] = 0.0  # y is up
    drift: Array = times[:, None] * velocity
    return drift
