"""``.png``: five frames spread over the recording, keypoints above, poses below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs.picture import INK, PAPER, Painter

PANEL = (260, 320)
_CAPTION = 24
_SHOWN = 5
_YAW = math.radians(25.0)


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """A column per frame; fewer where there are fewer than five."""
    seen = np.unique(np.concatenate([track.frames for track in tracks]))
    places = np.unique(np.linspace(0, len(seen) - 1, _SHOWN).round().astype(int))
    painter = Painter(motion, *PANEL)
    font = ImageFont.load_default(13)
    wide, tall = PANEL
    picture = Image.new("RGB", (wide * len(places), 2 * tall + _CAPTION), PAPER)
    pen = ImageDraw.Draw(picture)
    for column, frame in enumerate(seen[places].tolist()):
        pen.text((wide * column + 10, 6), f"frame {frame}", INK, font)
        picture.paste(painter.keypoints(frame), (wide * column, _CAPTION))
        picture.paste(painter.poses(frame, _YAW), (wide * column, _CAPTION + tall))
    picture.save(path, format="PNG", optimize=True)
