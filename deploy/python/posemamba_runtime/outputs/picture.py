"""One frame as a picture, drawn with Pillow: keypoints, and the scene as a turned eye sees it.

Drawn twice as large as asked and shrunk, for Pillow's lines have hard edges.
"""

from __future__ import annotations

import io
import math
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from posemamba_runtime.body.scene import scene_of
from posemamba_runtime.motion import BoolArray, Motion
from posemamba_runtime.skeleton import NUM_JOINTS, PARENTS, SIDES

Array = npt.NDArray[np.float64]
Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (70, 76, 82)
_FLOOR: Colour = (211, 215, 209)
_MIDDLE: Colour = (74, 79, 85)
#: Told apart by the colour-blind too (Okabe and Ito, 2008).
_PEOPLE: tuple[Colour, ...] = (
    *((0, 114, 178), (213, 94, 0), (0, 138, 98)),
    *((176, 87, 141), (160, 116, 0), (47, 134, 189)),
)
_SHARPER = 2
_PALE = 0.55  # share of the video where it lies behind keypoints
_MARGIN = 0.06  # of the panel, around what is drawn
_BONE, _JOINT = 0.011, 0.0085  # width and radius, of the panel's height
_TILT = math.radians(12.0)  # how far the eye looks down
_CELLS = 12  # floor squares drawn from the middle, at most


@dataclass(frozen=True)
class _Lens:
    """A view without perspective: ``centre + scale * (flat @ point)``, in pixels."""

    flat: Array  # (2, 2 or 3)
    scale: float
    centre: Array  # (2,)

    def __call__(self, points: Array) -> Array:
        placed: Array = points @ self.flat.T * self.scale + self.centre
        return placed


class Painter:
    """Pictures of a motion's frames, all to one scale.

    Args:
        motion: one with a frame or more.
        width, height: pixels of each picture.
    """

    def __init__(self, motion: Motion, width: int, height: int) -> None:
        self.motion = motion
        self.scene = scene_of(motion)
        self.size = (width, height)
        self._room = np.array([width, height]) * float(_SHARPER)
        self._rows = [
            {frame: row for row, frame in enumerate(track.frames.tolist())}
            for track in motion.tracks
        ]
        self._flat = self._image_lens()

    def keypoints(self, frame: int) -> Image.Image:
        """Everybody's keypoints at a frame number, in the image's plane and over the video."""
        picture, pen = self._paper()
        self._paste_video(picture, frame)
        for number, row in self._seen(frame):
            track = self.motion.tracks[number]
            points = self._flat(track.keypoints_2d[row].astype(np.float64))
            self._draw_body(pen, points, np.zeros(NUM_JOINTS), number, track.filled[row])
        return self._shrunk(picture)

    def poses(self, frame: int, yaw: float) -> Image.Image:
        """Everybody's poses at a frame number, from an eye ``yaw`` radians beside the camera."""
        picture, pen = self._paper()
        lens, away = self._scene_lens(yaw)
        self._draw_floor(pen, lens)
        seen = [(number, row, self.scene.points[number][row]) for number, row in self._seen(frame)]
        for number, row, points in sorted(seen, key=lambda body: -float(body[2][0] @ away)):
            filled = self.motion.tracks[number].filled[row]
            self._draw_body(pen, lens(points), points @ away, number, filled)
        return self._shrunk(picture)

    def _paste_video(self, paper: Image.Image, frame: int) -> None:
        """The last picture at or before a frame, pale: the keypoints are what is looked at."""
        place = bisect_right(self.motion.pictures, frame, key=lambda picture: picture.frame) - 1
        if place < 0 or self.motion.size is None:
            return
        low, high = self._flat(np.array([(0.0, 0.0), self.motion.size])).round().astype(int)
        with Image.open(io.BytesIO(self.motion.pictures[place].jpeg)) as jpeg:
            shown = jpeg.convert("RGB").resize((high - low).tolist())
        paper.paste(Image.blend(Image.new("RGB", shown.size, PAPER), shown, _PALE), low.tolist())

    def _seen(self, frame: int) -> list[tuple[int, int]]:
        """Number of each track that has the frame, and its row."""
        return [(number, rows[frame]) for number, rows in enumerate(self._rows) if frame in rows]

    def _paper(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        width, height = self.size
        picture = Image.new("RGB", (width * _SHARPER, height * _SHARPER), PAPER)
        return picture, ImageDraw.Draw(picture)

    def _shrunk(self, picture: Image.Image) -> Image.Image:
        return picture.resize(self.size, Image.Resampling.BOX)

    def _image_lens(self) -> _Lens:
        """Fits all keypoints that are known, and the video."""
        pixels = [track.keypoints_2d.reshape(-1, 2) for track in self.motion.tracks]
        if self.motion.pictures and self.motion.size is not None:
            pixels.append(np.array([(0.0, 0.0), self.motion.size]))
        known = np.concatenate([p[np.isfinite(p).all(-1)] for p in pixels]).astype(np.float64)
        low, high = (known.min(0), known.max(0)) if len(known) else (np.zeros(2), np.ones(2))
        scale = float((self._room * (1 - 2 * _MARGIN) / np.maximum(high - low, 1e-6)).min())
        return _Lens(np.eye(2), scale, self._room / 2 - scale * (low + high) / 2)

    def _scene_lens(self, yaw: float) -> tuple[_Lens, Array]:
        """The view, which fits at any ``yaw``, and the direction away from the eye."""
        cos_y, sin_y, cos_t, sin_t = math.cos(yaw), math.sin(yaw), math.cos(_TILT), math.sin(_TILT)
        right = np.array([cos_y, 0.0, -sin_y])
        down = np.array([sin_y * sin_t, -cos_t, cos_y * sin_t])
        reach, height = self.scene.reach, self.scene.height
        tall = height * cos_t + 2 * reach * sin_t
        scale = float((self._room * (1 - 2 * _MARGIN) / (2 * reach, tall)).min())
        middle = self._room / 2 + np.array([0.0, scale * height / 2 * cos_t])
        away = np.array([-sin_y * cos_t, -sin_t, -cos_y * cos_t])
        return _Lens(np.stack([right, down]), scale, middle), away

    def _draw_floor(self, pen: ImageDraw.ImageDraw, lens: _Lens) -> None:
        step = self.scene.step
        cells = min(math.ceil(self.scene.reach / step + 0.25), _CELLS)
        edge = cells * step
        for line in np.arange(-cells, cells + 1) * step:
            for ends in ([(line, 0, -edge), (line, 0, edge)], [(-edge, 0, line), (edge, 0, line)]):
                _line(pen, lens(np.array(ends, np.float64)), _FLOOR, _SHARPER)

    def _draw_body(
        self, pen: ImageDraw.ImageDraw, points: Array, depth: Array, number: int, filled: BoolArray
    ) -> None:
        """Bones from far to near, then joints; hollow where filled in, left out where unknown."""
        height = self._room[1]
        width, radius = max(2, round(_BONE * height)), _JOINT * height
        known = [joint for joint in range(NUM_JOINTS) if np.isfinite(points[joint]).all()]
        bones = [joint for joint in known if joint and PARENTS[joint] in known]
        for joint in sorted(bones, key=lambda j: -float(depth[j] + depth[PARENTS[j]])):
            ends = points[[joint, PARENTS[joint]]]
            _line(pen, ends, self._colour(number, joint), width)
        for joint in sorted(known, key=lambda j: -float(depth[j])):
            (x, y), colour = points[joint], self._colour(number, joint)
            box = (x - radius, y - radius, x + radius, y + radius)
            if filled[joint]:
                pen.ellipse(box, fill=PAPER, outline=colour, width=_SHARPER)
            else:
                pen.ellipse(box, fill=colour)

    def _colour(self, number: int, joint: int) -> Colour:
        """One person's sides differ; several persons do."""
        if len(self.motion.tracks) > 1:
            return _PEOPLE[number % len(_PEOPLE)]
        return {1: _PEOPLE[0], -1: _PEOPLE[1], 0: _MIDDLE}[SIDES[joint]]


def _line(pen: ImageDraw.ImageDraw, ends: Array, colour: Colour, width: int) -> None:
    pen.line([(float(x), float(y)) for x, y in ends], fill=colour, width=width)
