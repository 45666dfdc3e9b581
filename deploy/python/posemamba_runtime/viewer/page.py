"""The page put together: template, style, scripts, and the motion as base64 of small integers."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba_runtime.body.scene import scene_of
from posemamba_runtime.motion import IntArray, Motion, Picture, Track
from posemamba_runtime.skeleton import PARENTS, SIDES

Floats = npt.NDArray[np.floating]

SCRIPTS = ("data.js", "stage.js", "controls.js")

_LARGEST = 32767
_MISSING = -32768  # a coordinate that is not known
_ROWS = 3 * 1024  # made small at a time: a multiple of the three bytes of base64's four letters
_DENSE = 4
"""Gaps are shown frame by frame while the timeline stays below this times the frames seen."""


def page(motion: Motion) -> str:
    """The HTML of a motion with at least one frame."""
    folder = resources.files("posemamba_runtime.viewer")

    def part(name: str) -> str:
        return folder.joinpath(name).read_text("utf-8")

    # No text of the recording may end the script element that holds it.
    data = json.dumps(_data(motion), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        # Pages are passed on, so they do not tell in which folders the recording lay.
        "title": html.escape(PurePath(motion.source).name or "motion"),
        "style": part("style.css"),
        "data": data,
        "scripts": "".join(part(name) for name in SCRIPTS),
    }
    head, *rest = part("page.html").split("{{")
    filled = [head]
    for piece in rest:  # in one pass: what is put in is not searched again
        name, after = piece.split("}}", 1)
        filled += [parts[name], after]
    return "".join(filled)


def _data(motion: Motion) -> dict[str, Any]:
    scene = scene_of(motion)
    timeline = _timeline(motion.tracks)
    pixels = [track.keypoints_2d for track in motion.tracks]
    scene_scale, image_scale = _scale(scene.points), _scale(pixels)
    return {
        "model": motion.model,
        "units": motion.units,
        "delay": int(motion.delay_frames),
        "parents": PARENTS,
        "sides": SIDES,
        "frames": _base64(timeline, "<f8"),  # numbers may be milliseconds since 1970
        "times": _base64(_times(motion.tracks, timeline), "<f4"),
        "scene": {
            "reach": scene.reach,
            "height": scene.height,
            "step": scene.step,
            "placed": scene.placed,
            "scale": scene_scale,
        },
        "image": {
            "size": None if motion.size is None else [int(side) for side in motion.size],
            "box": _box(motion.size, pixels),
            "scale": image_scale,
            "pictures": _pictures(motion.pictures, timeline),
        },
        "people": [
            {
                "person": int(track.person),
                "rows": _base64(np.searchsorted(timeline, track.frames), "<i4"),
                "points": _small(points, scene_scale),
                "pixels": _small(track.keypoints_2d, image_scale),
                "filled": _base64(track.filled, "u1"),
            }
            for track, points in zip(motion.tracks, scene.points, strict=True)
        ],
    }


def _pictures(pictures: Sequence[Picture], timeline: IntArray) -> dict[str, Any]:
    """Those that some frame shows, and the first of the timeline that does."""
    before = [picture for picture in pictures if picture.frame <= timeline[0]]
    after = [picture for picture in pictures if timeline[0] < picture.frame <= timeline[-1]]
    shown = [*before[-1:], *after]
    places = np.searchsorted(timeline, np.array([picture.frame for picture in shown], np.int64))
    return {
        "places": _base64(places, "<i4"),
        "jpegs": [base64.b64encode(picture.jpeg).decode("ascii") for picture in shown],
    }


def _timeline(tracks: Sequence[Track]) -> IntArray:
    """Frame numbers to step through: all of them, or those seen where the rest are too many."""
    seen = np.unique(np.concatenate([track.frames for track in tracks]))
    if seen[-1] - seen[0] < _DENSE * len(seen):
        return np.arange(seen[0], seen[-1] + 1)
    return seen


def _times(tracks: Sequence[Track], timeline: IntArray) -> Floats:
    """Seconds at each frame of the timeline, from its first."""
    frames, first = np.unique(np.concatenate([t.frames for t in tracks]), return_index=True)
    stamps = np.concatenate([t.timestamps for t in tracks])[first]
    times: Floats = np.interp(timeline, frames, stamps) - stamps[0]
    return times


def _scale(parts: Sequence[Floats]) -> float:
    """What one step of the small integers is worth."""
    largest = 1e-6
    for part in parts:
        known = np.isfinite(part)
        largest = max(largest, *(
            abs(float(edge(part, where=known, initial=0.0))) for edge in (np.min, np.max)
        ))  # fmt: skip
    return largest / _LARGEST


def _small(values: Floats, scale: float) -> str:
    texts = []
    for start in range(0, len(values), _ROWS):  # one after the other make the text of them all
        rows = values[start : start + _ROWS]
        known = np.isfinite(rows)
        small = np.where(known, np.rint(np.where(known, rows, 0.0) / scale), _MISSING)
        texts.append(_base64(small, "<i2"))
    return "".join(texts)


def _base64(values: npt.NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")


def _box(size: tuple[int, int] | None, pixels: Sequence[Floats]) -> list[float]:
    """Left, top, width and height of what the 2D side shows: the image, and all keypoints."""
    known = np.concatenate([p.reshape(-1, 2)[np.isfinite(p).all(-1).ravel()] for p in pixels])
    if len(known):
        margin = max(0.04 * float(np.ptp(known, axis=0).max()), 1.0)
        known = np.concatenate([known - margin, known + margin])
    image = np.array([(0.0, 0.0), size or (1.0, 1.0)])
    corners = image if not len(known) else known if size is None else np.append(image, known, 0)
    low, high = corners.min(0), corners.max(0)
    return [float(edge) for edge in (*low, *(high - low))]
