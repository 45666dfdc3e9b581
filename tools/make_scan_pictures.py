"""Remake ``docs/assets/scan-orders.svg`` and ``limb-sum.svg``: how a scan crosses the joints.

    python tools/make_scan_pictures.py

Three frames of a person; the path goes through the steps that
:func:`posemamba.scan.walk.visiting_positions` gives the network, light at the first and dark at the
last. Needs ``pip install '.[plot]'``.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from posemamba.draw.figures import BLUE, DARK, GREY, ORANGE, new_figure, save_figure
from posemamba.scan.walk import visiting_positions
from posemamba.scan_order import Order
from posemamba.skeleton import LIMB_INDEX, NUM_JOINTS, PARENTS

Array = npt.NDArray[np.float64]
ASSETS = Path(__file__).resolve().parents[1] / "docs" / "assets"
FRAMES = 3
APART = 1.5  # between neighbouring frames, in the unit of PERSON

#: Somebody who faces the reader: x right, y up. The person's right is on the left.
PERSON: Array = np.array(
    [(0, 0), (-0.13, -0.02), (-0.19, -0.48), (-0.21, -0.93), (0.13, -0.02), (0.19, -0.48),
     (0.21, -0.93), (0, 0.27), (0, 0.52), (0.02, 0.65), (0, 0.8), (0.2, 0.5), (0.4, 0.25),
     (0.58, 0.02), (-0.2, 0.5), (-0.4, 0.25), (-0.58, 0.02)]
)  # fmt: skip

TITLES = {
    Order.FRAME_MAJOR: "order 0: frame by frame",
    Order.JOINT_MAJOR: "order 1: joint by joint",
    Order.FRAME_MAJOR_FLIPPED: "order 2: frame by frame, joints from the last",
    Order.JOINT_MAJOR_FLIPPED: "order 3: joint by joint, frames from the last",
}


def draw_people(axes: Axes, pose: Array, count: int) -> Array:
    """Bones in grey; the places (count * 17, 2) of all joints."""
    places = np.concatenate([pose + np.array([APART * n, 0.0]) for n in range(count)])
    for n in range(count):
        for joint in range(1, NUM_JOINTS):
            ends = places[[n * NUM_JOINTS + joint, n * NUM_JOINTS + PARENTS[joint]]]
            axes.plot(*ends.T, color=GREY, linewidth=4, solid_capstyle="round", zorder=1)
    axes.set_aspect("equal")
    axes.axis("off")
    return places


def draw_orders(target: Path) -> None:
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    shades = colormaps["viridis_r"]
    figure = new_figure(9.0, 6.4)
    for number, order in enumerate(Order):
        axes = figure.add_subplot(2, 2, number + 1)
        places = draw_people(axes, PERSON, FRAMES)
        path = places[visiting_positions(order, 0, FRAMES, NUM_JOINTS).numpy()]
        steps = len(path)
        colours = [shades(0.12 + 0.88 * step / steps) for step in range(steps)]
        lines = LineCollection(
            np.stack([path[:-1], path[1:]], axis=1), colors=colours, linewidths=1.4, zorder=2
        )
        axes.add_collection(lines)
        axes.scatter(*path.T, c=colours, s=14, zorder=3)
        for name, step, colour in (("first", 0, ORANGE), ("last", steps - 1, BLUE)):
            axes.annotate(name, path[step], textcoords="offset points", xytext=(8, 5),
                          color=colour, fontsize=9, weight="bold", zorder=4)  # fmt: skip
            axes.scatter(*path[step], s=45, facecolors="none", edgecolors=colour, zorder=4)
        axes.set_title(TITLES[order], fontsize=11, color=DARK)
    save_figure(figure, target)


def draw_limbs(target: Path) -> None:
    figure = new_figure(3.6, 4.9)
    axes = figure.add_subplot()
    places = draw_people(axes, PERSON, 1)
    for joint, neighbour in enumerate(LIMB_INDEX):
        if joint == neighbour:
            axes.scatter(*places[joint], s=110, facecolors="none", edgecolors=ORANGE, zorder=3)
        else:
            axes.annotate("", places[joint], places[neighbour], zorder=3,
                          arrowprops={"arrowstyle": "->", "color": BLUE, "lw": 1.4,
                                      "connectionstyle": "arc3,rad=0.25"})  # fmt: skip
        axes.annotate(str(joint), places[joint], textcoords="offset points", xytext=(5, -9),
                      fontsize=8, color=DARK, zorder=4)  # fmt: skip
    axes.scatter(*places.T, s=14, color=DARK, zorder=3)
    axes.margins(0.15)
    save_figure(figure, target)


@click.command()
@click.option("--to", default=ASSETS, type=click.Path(path_type=Path), help="Folder to write to.")
def main(to: Path) -> None:
    """Draw the orders of the scan and the limb sum."""
    draw_orders(to / "scan-orders.svg")
    draw_limbs(to / "limb-sum.svg")


if __name__ == "__main__":
    main()
