"""Matplotlib, kept to one place: an extra, imported late, needing no display."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from posemamba.errors import InputError
from posemamba.files.output import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110

#: Told apart by the colour-blind too (Okabe and Ito, 2008).
BLUE, ORANGE, DARK, GREY = "#0072b2", "#d55e00", "#333333", "#b0b0b0"
COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, with a canvas that needs no display.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("matplotlib is not installed: pip install '.[plot]' to draw") from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # whatever the user's matplotlib is set to
    return figure


def picture_format(path: str | os.PathLike[str], also: str = "") -> str:
    """``png``, ``svg`` or ``pdf``, by the ending; png where there is none.

    Args:
        also: what else the caller writes, for the message.

    Raises:
        InputError: another ending. What else matplotlib knows needs programs that may not be here.
    """
    path = Path(path)
    kind = path.suffix.lstrip(".").lower() or "png"
    if kind not in ("png", "svg", "pdf"):
        raise InputError(f"{path}: cannot draw a .{kind}; use .png, .svg or .pdf{also}")
    return kind


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a picture, whole or not at all; the name's ending sets the format.

    An SVG of the same figure is the same file each time: no date, and names from a fixed salt.

    Raises:
        InputError: an ending that is no picture's, or an unwritable path.
    """
    import matplotlib as mpl

    target = Path(path)
    kind = picture_format(target)
    metadata = {"Date": None} if kind == "svg" else None
    with replacing(target) as temporary, mpl.rc_context({"svg.hashsalt": "posemamba"}):
        figure.savefig(temporary, dpi=DPI, format=kind, metadata=metadata)
