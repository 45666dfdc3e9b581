"""A picture of what goes into the network and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba.atomic import replacing
from posemamba.errors import InputError
from posemamba.skeleton import LEFT_JOINTS, NUM_JOINTS, PARENTS, RIGHT_JOINTS

Array = npt.NDArray[Any]

_LEFT, _RIGHT, _MIDDLE = "#0072b2", "#d55e00", "#333333"  # told apart by the colour-blind too


def draw_comparison(
    keypoints_2d: Array,
    poses_3d: Array,
    path: str | Path,
    title: str,
    frame_indices: Sequence[int] | None = None,
) -> None:
    """Draw 2D input above 3D output, a column a frame; the person's left is blue, right orange.

    Args:
        keypoints_2d: (frames, 17, 2), normalised or pixels, y down.
        poses_3d: (frames, 17, 3), camera axes: x right, y down, z away from the camera.
        path: picture to write; its ending sets the format. Written whole or not at all.
        title: a line above the picture.
        frame_indices: frames to draw; five spread evenly if absent.

    Raises:
        InputError: shapes that do not fit, a frame that is not there, an unwritable path, or
            matplotlib missing.
    """
    flat, deep = np.asarray(keypoints_2d), np.asarray(poses_3d)
    frames = len(flat) if flat.ndim else 0
    if flat.shape != (frames, NUM_JOINTS, 2) or deep.shape != (frames, NUM_JOINTS, 3):
        raise InputError(
            f"cannot draw keypoints {flat.shape} with poses {deep.shape}: "
            "expected (frames, 17, 2) and (frames, 17, 3)"
        )
    chosen = list(frame_indices) if frame_indices is not None else _spread(frames)
    if not chosen or not all(0 <= index < frames for index in chosen):
        raise InputError(f"cannot draw frames {chosen} of {frames}: name frames that exist")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(
            "matplotlib is not installed: pip install 'pmexport[plot]' to draw"
        ) from None

    figure = Figure(figsize=(2.4 * len(chosen) + 0.6, 6.4), layout="constrained")
    FigureCanvasAgg(figure)  # no display, whatever the user's matplotlib is set to
    figure.suptitle(title, fontsize=12)
    low, high = flat[chosen].min(axis=(0, 1)), flat[chosen].max(axis=(0, 1))
    # x right, z into the picture, y up: matplotlib's z axis is the vertical one.
    upright = deep[:, :, [0, 2, 1]] * np.array([1.0, 1.0, -1.0])
    centre = (upright[chosen].max(axis=(0, 1)) + upright[chosen].min(axis=(0, 1))) / 2
    reach = max(float(np.ptp(upright[chosen], axis=(0, 1)).max()) / 2, 1e-6)
    margin = 0.08 * max(float((high - low).max()), 1e-6)
    for column, index in enumerate(chosen):
        axes = figure.add_subplot(2, len(chosen), column + 1)
        _draw_bones(axes, flat[index])
        axes.set_xlim(low[0] - margin, high[0] + margin)
        axes.set_ylim(high[1] + margin, low[1] - margin)
        axes.set_aspect("equal")
        axes.set_title(f"frame {index}", fontsize=10)
        axes.tick_params(labelsize=7, labelleft=column == 0)
        space = figure.add_subplot(2, len(chosen), len(chosen) + column + 1, projection="3d")
        _draw_bones(space, upright[index])
        for axis, middle in zip("xyz", centre, strict=True):
            getattr(space, f"set_{axis}lim")(middle - reach, middle + reach)
            getattr(space, f"set_{axis}ticklabels")([])
        space.set_box_aspect((1, 1, 1), zoom=1.25)
        space.view_init(elev=12, azim=-70)
        if column == 0:
            axes.set_ylabel("2D input", fontsize=11)
            space.text2D(-0.06, 0.5, "3D output", rotation=90, va="center", ha="center",
                         fontsize=11, transform=space.transAxes)  # fmt: skip
    target = Path(path)
    with replacing(target) as temporary:
        try:
            figure.savefig(temporary, dpi=110, format=target.suffix.lstrip(".") or "png")
        except ValueError as error:  # a format matplotlib does not know
            raise InputError(f"{target}: {error}; use .png") from None


def _spread(frames: int) -> list[int]:
    return sorted(set(np.linspace(0, frames - 1, 5).round().astype(int).tolist())) if frames else []


def _draw_bones(axes: Any, pose: Array) -> None:  # noqa: ANN401 (matplotlib is imported late)
    """Bones of one pose (17, 2 or 3) onto flat or 3D axes."""
    for joint in range(1, NUM_JOINTS):
        ends = pose[[joint, PARENTS[joint]]]  # (2, 2 or 3)
        colour = _LEFT if joint in LEFT_JOINTS else _RIGHT if joint in RIGHT_JOINTS else _MIDDLE
        axes.plot(*ends.T, color=colour, linewidth=2, marker="o", markersize=2.5)
