"""``.gif``: keypoints on the left, the scene slowly turning on the right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from posemamba_runtime.errors import BadArgument
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs.frames import every_frame
from posemamba_runtime.outputs.picture import INK, PAPER, Painter

PANEL = (320, 360)
_CAPTION = 24
_FASTEST = 25.0  # pictures a second; browsers slow down GIFs with shorter delays
_SLOWEST = 0xFFFF  # hundredths of a second that a picture may last: the format has 16 bits
_MOST = 2000
_COLOURS = 64
_TURN_SECONDS = 8.0  # about, for a turn there and back: a whole number fits, for the picture loops
_SWING = math.radians(50.0)


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """Every frame, or every second, third, ... where they follow faster than GIF can show.

    Raises:
        BadArgument: too long for a GIF.
    """
    frames = every_frame(tracks, ".gif").tolist()
    stride = max(1, math.ceil(motion.rate / _FASTEST))
    shown = frames[::stride]
    if len(shown) > _MOST:
        raise BadArgument(
            f"{len(shown)} pictures are too many for a .gif (at most {_MOST}): write .html, "
            "or lift a part"
        )
    pictures = _pictures(motion, shown)
    first = next(pictures)
    first.save(
        path,
        format="GIF",
        save_all=True,
        append_images=pictures,
        duration=_durations(len(shown), stride / motion.rate),
        loop=0,
    )


def _pictures(motion: Motion, frames: Sequence[int]) -> Iterator[Image.Image]:
    painter = Painter(motion, *PANEL)
    font = ImageFont.load_default(13)
    colours: Image.Image | None = None
    seconds = (frames[-1] - frames[0]) / motion.rate
    turns = max(1, round(seconds / _TURN_SECONDS))
    for index, frame in enumerate(frames):
        yaw = _SWING * math.sin(2 * math.pi * turns * index / len(frames))
        picture = Image.new("RGB", (2 * PANEL[0], PANEL[1] + _CAPTION), PAPER)
        picture.paste(painter.keypoints(frame), (0, _CAPTION))
        picture.paste(painter.poses(frame, yaw), (PANEL[0], _CAPTION))
        pen = ImageDraw.Draw(picture)
        pen.text((10, 6), "2D keypoints", INK, font)
        pen.text((PANEL[0] + 10, 6), f"3D, lifted by {motion.model}", INK, font)
        # One palette for all, or unchanged parts flicker and no frame can be stored as a change.
        flat = picture.quantize(_COLOURS, dither=Image.Dither.NONE, palette=colours)
        colours = colours or flat
        # Pillow rounds to a given palette, and the paper would turn grey after the first picture.
        paper = Image.fromarray((np.asarray(picture) == PAPER).all(-1))
        flat.paste(np.asarray(colours)[0, 0].item(), mask=paper)
        yield flat


def _durations(count: int, seconds: float) -> list[int]:
    """Milliseconds of each picture: hundredths of a second, as GIF holds, without drift."""
    ends = [round(100 * seconds * index) for index in range(count + 1)]
    return [10 * min(after - before, _SLOWEST) for before, after in pairwise(ends)]
