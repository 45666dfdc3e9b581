"""Pictures of scan maps: who listens to whom, joint by joint and frame by frame."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from posemamba.draw.figures import new_figure, save_figure
from posemamba.model.scan_maps import JOINT_MAJOR, Map, ScanMaps
from posemamba.scan_order import Order
from posemamba.skeleton import JOINT_NAMES, NUM_JOINTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WALKS = {
    Order.FRAME_MAJOR: "frame by frame",
    Order.JOINT_MAJOR: "joint by joint",
    Order.FRAME_MAJOR_FLIPPED: "frame by frame, joints flipped",
    Order.JOINT_MAJOR_FLIPPED: "joint by joint, frames flipped",
}


def draw_scan_maps(maps: ScanMaps, path: str | os.PathLike[str], title: str) -> None:
    """Draw the sum of the spatial directions and of the temporal ones, then each direction.

    Every row is divided by its sum, so that it reads as a share of what reaches the output.

    Args:
        maps: of one block.
        path: picture to write; its ending sets the format. Written whole or not at all.
        title: a line above the picture.

    Raises:
        InputError: an unwritable path, or matplotlib missing.
    """
    panels = [
        [("spatial, all directions", maps.spatial)],
        [("temporal, all directions", maps.temporal)],
    ]
    for part, code, reverse, limbs in zip(
        maps.directions, maps.walk.order, maps.walk.reverse, maps.walk.limb_mask, strict=True
    ):
        name = _WALKS[Order(code)] + ", reversed" * reverse + ", limb sum" * limbs
        panels[code in JOINT_MAJOR].append((name, part))
    columns = max(len(row) for row in panels)
    figure = new_figure(4.6 * columns, 8.4)
    figure.suptitle(title, fontsize=12)
    for index, row in enumerate(panels):
        for column, (name, values) in enumerate(row):
            axes = figure.add_subplot(2, columns, index * columns + column + 1)
            _draw_map(figure, axes, values, name, joints=index == 0)
    save_figure(figure, path)


def _draw_map(figure: Figure, axes: Axes, values: Map, name: str, *, joints: bool) -> None:
    total = values.sum(axis=1, keepdims=True)
    shares = np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    # The first step of a direction hears itself alone: cut there, or it alone would be seen.
    limit = float(np.percentile(shares, 99.5)) or 1.0
    image = axes.imshow(shares, cmap="magma", vmin=0.0, vmax=limit, interpolation="nearest")
    figure.colorbar(image, ax=axes, shrink=0.75, extend="max").ax.tick_params(labelsize=7)
    axes.set_title(name, fontsize=9)
    if joints and len(values) == NUM_JOINTS:
        names = [joint.replace("_", " ") for joint in JOINT_NAMES]
        axes.set_xticks(range(NUM_JOINTS), names, rotation=90, fontsize=6)
        axes.set_yticks(range(NUM_JOINTS), names, fontsize=6)
    else:
        axes.tick_params(labelsize=7)
    unit = "joint" if joints else "frame"
    axes.set_xlabel(f"from {unit}", fontsize=8)
    axes.set_ylabel(f"to {unit}", fontsize=8)
