"""Pictures of what goes into the network and what comes out: skeletons, still or moving."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from posemamba.draw.figures import BLUE, DARK, DPI, GREY, ORANGE, new_figure, save_figure
from posemamba.errors import InputError
from posemamba.files.output import replacing
from posemamba.skeleton import LEFT_JOINTS, NUM_JOINTS, PARENTS, RIGHT_JOINTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator
    from mpl_toolkits.mplot3d import Axes3D

Array = npt.NDArray[Any]

#: Matplotlib's axes; the unit is that of the poses, half the width of the image.
_AXES = ("x right, units", "z away, units", "up (-y), units")
#: Elevation and azimuth in degrees. The camera looks along z, at (0, -90): from there a pose is its
#: own 2D input, so it is seen from the side.
_VIEW = (14, -40)


def draw_comparison(
    keypoints_2d: Array,
    poses_3d: Array,
    path: str | os.PathLike[str],
    title: str,
    frame_indices: Sequence[int] | None = None,
    truth_3d: Array | None = None,
) -> None:
    """Draw 2D input above 3D output, a column a frame; the person's left is blue, right orange.

    Args:
        keypoints_2d: (frames, 17, 2), normalised or pixels, y down.
        poses_3d: (frames, 17, 3), camera axes: x right, y down, z away from the camera.
        path: picture to write; its ending sets the format. Written whole or not at all.
        title: a line above the picture.
        frame_indices: frames to draw; five spread evenly if absent.
        truth_3d: (frames, 17, 3) in the unit of ``poses_3d``, drawn in grey behind them.

    Raises:
        InputError: shapes that do not fit, a frame that is not there, an unwritable path, or
            matplotlib missing.
    """
    scene = _Scene(keypoints_2d, poses_3d, truth_3d)
    chosen = list(frame_indices) if frame_indices is not None else _spread(scene.frames)
    if not chosen or not all(0 <= index < scene.frames for index in chosen):
        raise InputError(f"cannot draw frames {chosen} of {scene.frames}: name frames that exist")
    figure = new_figure(2.4 * len(chosen) + 0.6, 6.4)
    figure.suptitle(title, fontsize=12)
    for column, index in enumerate(chosen):
        axes = figure.add_subplot(2, len(chosen), column + 1)
        scene.draw_flat(axes, index, chosen)
        axes.tick_params(labelsize=7, labelleft=column == 0)
        space = figure.add_subplot(2, len(chosen), len(chosen) + column + 1, projection="3d")
        scene.draw_deep(space, index, chosen)
        if column == 0:
            axes.set_ylabel("2D input", fontsize=11)
            space.text2D(-0.06, 0.5, scene.output_label, rotation=90, va="center", ha="center",
                         fontsize=11, transform=space.transAxes)  # fmt: skip
    save_figure(figure, path)


def animate_comparison(
    keypoints_2d: Array,
    poses_3d: Array,
    path: str | os.PathLike[str],
    title: str,
    truth_3d: Array | None = None,
    fps: int = 25,
) -> None:
    """Write an animated GIF, 2D input beside 3D output, every frame.

    Args:
        keypoints_2d, poses_3d, title, truth_3d: as for :func:`draw_comparison`.
        path: ends in ``.gif``. Written whole or not at all.
        fps: frames per second; GIF holds hundredths of a second, so it is rounded to such.

    Raises:
        InputError: as :func:`draw_comparison`, or another ending.
    """
    target = Path(path)
    if target.suffix.lower() != ".gif":
        raise InputError(f"{target}: animations are written as .gif")
    scene = _Scene(keypoints_2d, poses_3d, truth_3d)
    figure = new_figure(6.4, 3.6)
    from matplotlib.animation import PillowWriter

    axes = figure.add_subplot(1, 2, 1)
    space = figure.add_subplot(1, 2, 2, projection="3d")
    every = range(scene.frames)
    writer = PillowWriter(fps=fps)
    with replacing(target) as temporary, writer.saving(figure, temporary, DPI):
        for index in every:
            for part in (axes, space):
                part.clear()
            figure.suptitle(f"{title}, frame {index}", fontsize=11)
            scene.draw_flat(axes, index, every)
            scene.draw_deep(space, index, every)
            axes.set_title("2D input", fontsize=10)
            space.set_title(scene.output_label, fontsize=10)
            writer.grab_frame()


class _Scene:
    """Checked poses, and how one frame of them is drawn; limits are those of the frames shown."""

    def __init__(self, keypoints_2d: Array, poses_3d: Array, truth_3d: Array | None) -> None:
        self.flat, deep = np.asarray(keypoints_2d), np.asarray(poses_3d)
        self.frames = len(self.flat) if self.flat.ndim else 0
        expected = (self.frames, NUM_JOINTS, 3)
        if self.flat.shape != (self.frames, NUM_JOINTS, 2) or deep.shape != expected:
            raise InputError(
                f"cannot draw keypoints {self.flat.shape} with poses {deep.shape}: "
                "expected (frames, 17, 2) and (frames, 17, 3)"
            )
        self.solid = [deep]
        if truth_3d is not None:
            truth = np.asarray(truth_3d)
            if truth.shape != expected:
                raise InputError(
                    f"cannot draw true poses {truth.shape} with poses {deep.shape}: "
                    "they must have the same shape"
                )
            self.solid.insert(0, truth)
        # x right, z into the picture, y up: matplotlib's z axis is the vertical one.
        self.solid = [pose[:, :, [0, 2, 1]] * np.array([1.0, 1.0, -1.0]) for pose in self.solid]
        self.output_label = "3D output" if truth_3d is None else "3D output (grey: truth)"

    def draw_flat(self, axes: Axes, index: int, shown: Sequence[int]) -> None:
        """The 2D keypoints of frame ``index``."""
        low = self.flat[shown].min(axis=(0, 1))
        high = self.flat[shown].max(axis=(0, 1))
        margin = 0.08 * max(float((high - low).max()), 1e-6)
        _draw_bones(axes, self.flat[index])
        axes.set_xlim(low[0] - margin, high[0] + margin)
        axes.set_ylim(high[1] + margin, low[1] - margin)
        axes.set_aspect("equal")
        axes.set_title(f"frame {index}", fontsize=10)

    def draw_deep(self, space: Axes3D, index: int, shown: Sequence[int]) -> None:
        """The 3D pose of frame ``index``, its truth in grey where given."""
        drawn = np.stack([pose[shown] for pose in self.solid])  # (1 or 2, shown, 17, 3)
        low, high = drawn.min(axis=(0, 1, 2)), drawn.max(axis=(0, 1, 2))
        reach = max(float((high - low).max()) / 2, 1e-6)
        for pose in self.solid[:-1]:
            _draw_bones(space, pose[index], GREY)
        _draw_bones(space, self.solid[-1][index])
        for axis, middle, name in zip("xyz", (low + high) / 2, _AXES, strict=True):
            getattr(space, f"set_{axis}lim")(middle - reach, middle + reach)
            getattr(space, f"{axis}axis").set_major_locator(_ticks())
            getattr(space, f"set_{axis}label")(name, fontsize=6, labelpad=-8)
        space.tick_params(labelsize=5, pad=-4)
        space.set_box_aspect((1, 1, 1), zoom=0.95)
        space.view_init(*_VIEW)


def _ticks() -> MaxNLocator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3)


def _spread(frames: int) -> list[int]:
    return sorted(set(np.linspace(0, frames - 1, 5).round().astype(int).tolist())) if frames else []


def _draw_bones(axes: Axes, pose: Array, colour: str | None = None) -> None:
    """Bones of one pose (17, 2 or 3) onto flat or 3D axes; coloured by side unless told."""
    for joint in range(1, NUM_JOINTS):
        ends = pose[[joint, PARENTS[joint]]]  # (2, 2 or 3)
        side = BLUE if joint in LEFT_JOINTS else ORANGE if joint in RIGHT_JOINTS else DARK
        axes.plot(*ends.T, color=colour or side, linewidth=2, marker="o", markersize=2.5)
