"""VideoPose3D's ``data_2d_*.npz``: keypoints of data sets and of people's own videos.

Two arrays of one Python object each, decoded without running anything: ``positions_2d`` has arrays
(frames, joints, 2) of pixels, one a camera, by action and subject or video; ``metadata`` the
layout's name and, for own videos, ``video_metadata`` with their width and height.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

import numpy as np

from posemamba_runtime.keypoints.archive import Member, objects
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats.base import set_size
from posemamba_runtime.keypoints.formats.clips import add_clip, choose
from posemamba_runtime.keypoints.recording import Detections, Floats
from posemamba_runtime.keypoints.source import Json
from posemamba_runtime.text import printable

_LAYOUTS = {"h36m": "h36m17", "coco": "coco17"}


def is_videopose3d(members: Mapping[str, Member]) -> bool:
    return "positions_2d" in members or "positions_3d" in members


def read_videopose3d(members: Mapping[str, Member], clip: str | None, at_once: int) -> Detections:
    """The recording of one camera, or those of all cameras of one size.

    Args:
        clip: ``subject/action/camera``, where the file holds several.
        at_once: how many are taken where none is named.

    Raises:
        InputError: without the file's name.
    """
    if "positions_2d" not in members:
        raise InputError("holds 'positions_3d', 3D poses: give VideoPose3D's data_2d_*.npz")
    positions = objects(members, "positions_2d")
    metadata = objects(members, "metadata") or {}
    if not isinstance(positions, Mapping) or not isinstance(metadata, Mapping):
        raise InputError("'positions_2d' and 'metadata' are no dictionaries: not VideoPose3D's")
    found = Detections(units="pixels")
    found.layout = _layout(metadata)
    chosen = choose(dict(_cameras(positions)), clip, at_once)
    videos = metadata.get("video_metadata")
    for index, (name, values) in enumerate(chosen.items()):
        size = videos.get(name.split("/", 1)[0]) if isinstance(videos, Mapping) else None
        if isinstance(size, Mapping) and "w" in size and "h" in size:
            set_size((size["w"], size["h"]), found)
        add_clip(found, index, name, values)
    return found


def _layout(metadata: Mapping[str, Json]) -> str | None:
    name = metadata.get("layout_name")
    if name is None:
        return None
    if name not in _LAYOUTS:
        raise InputError(
            f"layout '{printable(name)}' is not known: VideoPose3D's are {', '.join(_LAYOUTS)}"
        )
    return _LAYOUTS[name]


def _cameras(positions: Mapping[str, Json]) -> Iterator[tuple[str, Floats]]:
    for subject, actions in positions.items():
        if not isinstance(actions, Mapping):
            raise InputError(f"'{printable(subject)}' in 'positions_2d' holds no actions")
        for action, cameras in actions.items():
            several = cameras if isinstance(cameras, list | tuple) else [cameras]
            for camera, values in enumerate(several):
                name = f"{subject}/{action}/{camera}"
                array = values
                if isinstance(values, list | tuple):
                    with suppress(ValueError, OverflowError):  # unlike sizes; huge numbers
                        array = np.asarray(values)
                if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
                    raise InputError(f"'{printable(name)}' is no array of numbers")
                if array.ndim != 3 or array.shape[2] not in (2, 3):
                    raise InputError(
                        f"'{printable(name)}' has shape {array.shape}: expected (frames, joints, 2)"
                    )
                yield name, array.astype(np.float64)
