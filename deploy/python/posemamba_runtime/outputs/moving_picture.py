"""``.gif``: keypoints on the left, the scene slowly turning on the right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from posemamba_runtime.errors import BadArgument
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs.frames import every_frame
from posemamba_runtime.outputs.picture import INK, PAPER, Painter

PANEL = (320, 360)
_CAPTION = 24
_FASTEST = 25.0  # pictures a second; browsers slow down GIFs with shorter delays
_MOST = 2000
_COLOURS = 64
_TURN_SECONDS = 12.0  # for a full turn there and back
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
    for frame in frames:
        seconds = (frame - frames[0]) / motion.rate
        yaw = _SWING * math.sin(2 * math.pi * seconds / _TURN_SECONDS)
        picture = Image.new("RGB", (2 * PANEL[0], PANEL[1] + _CAPTION), PAPER)
        picture.paste(painter.keypoints(frame), (0, _CAPTION))
        picture.paste(painter.poses(frame, yaw), (PANEL[0], _CAPTION))
        pen = ImageDraw.Draw(picture)
        pen.text((10, 6), "2D keypoints", INK, font)
        pen.text((PANEL[0] + 10, 6), f"3D, lifted by {motion.model}", INK, font)
        # One palette for all, or unchanged parts flicker and no frame can be stored as a change.
        flat = picture.quantize(_COLOURS, dither=Image.Dither.NONE, palette=colours)
        colours = colours or flat
        yield flat


def _durations(count: int, seconds: float) -> list[int]:
    """Milliseconds of each picture: hundredths of a second, as GIF holds, without drift."""
    ends = [round(100 * seconds * index) for index in range(count + 1)]
    return [10 * (after - before) for before, after in pairwise(ends)]
