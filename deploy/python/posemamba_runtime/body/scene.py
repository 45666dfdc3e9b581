"""Where everybody stands when a motion is shown: on a floor, around the middle, y up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posemamba_runtime.body.kinematics import y_up
from posemamba_runtime.body.skeleton import ANKLES
from posemamba_runtime.motion import Motion, Track

Array = npt.NDArray[np.float64]

_FLOOR_PERCENT = 5.0  # of frames may have a foot below the floor: estimates wobble
_ELBOW_ROOM = 1.1
_MOST_CELLS = 24
_SMALLEST_REACH = 1e-3


@dataclass(frozen=True)
class Scene:
    """Poses in the motion's units: x right in the image, y up from the floor, z to the camera.

    Attributes:
        points: per track (n, 17, 3).
        reach: farthest that anybody gets from the vertical axis.
        height: of the highest joint over the floor.
        step: side of a floor square.
        placed: people move along their estimated trajectories, else they stand in a row.
    """

    points: tuple[Array, ...]
    reach: float
    height: float
    step: float
    placed: bool


def scene_of(motion: Motion) -> Scene:
    """Stand everybody up. The camera is taken to be level, for nothing tells how it was held."""
    walked = [
        y_up(track.poses_3d + track.root[:, None])
        for track in motion.tracks
        if track.root is not None
    ]
    placed = len(walked) == len(motion.tracks)
    people = walked if placed else _in_a_row(motion.tracks)
    low = np.min([pose.min(axis=(0, 1)) for pose in people], axis=0)
    high = np.max([pose.max(axis=(0, 1)) for pose in people], axis=0)
    middle = (low + high) / 2
    lowest = np.concatenate([pose[:, list(ANKLES), 1].min(1) for pose in people])
    origin = np.array([middle[0], np.percentile(lowest, _FLOOR_PERCENT), middle[2]])
    for pose in people:  # in place: each is a copy made above, and a recording may be an hour long
        pose -= origin
    flat = max(float(np.hypot(pose[..., 0], pose[..., 2]).max()) for pose in people)
    reach = max(flat, _SMALLEST_REACH)
    height = max(*(float(pose[..., 1].max()) for pose in people), _SMALLEST_REACH)
    return Scene(tuple(people), reach, height, _step(motion.units, reach), placed)


def _in_a_row(tracks: tuple[Track, ...]) -> list[Array]:
    """Nobody knows how far apart they were: side by side, as they are in the image."""
    poses = [y_up(track.poses_3d) for track in tracks]
    widest = max(float(np.abs(pose[..., [0, 2]]).max()) for pose in poses)
    places = _places(tracks)
    across = [
        np.mean(
            [_image_x(track) for track, own in zip(tracks, places, strict=True) if own == place]
        )
        for place in range(max(places) + 1)
    ]
    rank = np.argsort(np.argsort(across, kind="stable"), kind="stable")
    row = [2 * _ELBOW_ROOM * widest * float(rank[place]) for place in places]
    return [pose + np.array([shift, 0.0, 0.0]) for pose, shift in zip(poses, row, strict=True)]


def _places(tracks: tuple[Track, ...]) -> list[int]:
    """A place in the row for each track; who comes after another left may take theirs."""
    ends: list[int] = []  # last frame that each place is taken
    places = [0] * len(tracks)
    for index in sorted(range(len(tracks)), key=lambda i: int(tracks[i].frames[0])):
        first, last = int(tracks[index].frames[0]), int(tracks[index].frames[-1])
        free = [place for place, end in enumerate(ends) if end < first]
        places[index] = free[0] if free else len(ends)
        ends[places[index] : places[index] + 1] = [last]
    return places


def _image_x(track: Track) -> float:
    seen = track.keypoints_2d[..., 0]
    seen = seen[np.isfinite(seen)]
    return float(seen.mean()) if len(seen) else 0.0


def _step(units: str, reach: float) -> float:
    """1 m, or more where the floor would have too many squares; half a unit of the network's."""
    step = {"m": 1.0, "mm": 1000.0, "network": 0.5}[units]
    factors = (2.0, 2.5, 2.0)  # 1, 2, 5, 10, ...
    for turn in range(30):
        if 2 * reach <= _MOST_CELLS * step:
            break
        step *= factors[turn % 3]
    return step
