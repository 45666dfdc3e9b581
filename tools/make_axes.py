"""Remake ``docs/assets/axes.svg``: which way x, y and z point in each kind of file.

    python tools/make_axes.py

The person is the rest pose of the runtime's skeleton, facing the camera, and the arrows go through
the same turn of axes as the joints that are written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from posemamba_runtime.body.skeleton import REST_DIRECTIONS
from posemamba_runtime.skeleton import NUM_JOINTS, PARENTS, SIDES

Array = npt.NDArray[np.float64]

TARGET = Path(__file__).resolve().parents[1] / "docs" / "assets" / "axes.svg"

WIDTH, HEIGHT = 320, 350
SCALE = 125.0  # pixels per metre
MIDDLE = (150.0, 185.0)
LONG = 0.7  # metres of an arrow
YAW, PITCH = math.radians(-32.0), math.radians(16.0)

#: Metres of the bone that ends at each joint, of somebody 1.75 m tall.
LENGTHS = (0, 0.13, 0.44, 0.44, 0.13, 0.44, 0.44, 0.24, 0.26, 0.12, 0.14,
           0.16, 0.28, 0.25, 0.16, 0.28, 0.25)  # fmt: skip

COLOURS = {"x": "#d55e00", "y": "#009e73", "z": "#0072b2"}
SIDE_COLOURS = {1: "#56a5d8", -1: "#e8915a", 0: "#8a9299"}


@dataclass(frozen=True)
class Panel:
    """One system of axes, told in that of the drawing: x image right, y up, z to the camera."""

    title: str
    axes: dict[str, tuple[tuple[int, int, int], str]]
    note: str


PANELS = (
    Panel(
        ".npz .json .csv",
        {"x": ((1, 0, 0), "right"), "y": ((0, -1, 0), "down"), "z": ((0, 0, -1), "away")},
        "the camera's axes, right-handed",
    ),
    Panel(
        ".bvh .trc .c3d, rotations",
        {"x": ((1, 0, 0), "right"), "y": ((0, 1, 0), "up"), "z": ((0, 0, 1), "to camera")},
        "y up, right-handed",
    ),
    Panel(
        "VMC (Unity)",
        {"x": ((-1, 0, 0), "left"), "y": ((0, 1, 0), "up"), "z": ((0, 0, 1), "to camera")},
        "y up, left-handed",
    ),
)


def flat(point: Array) -> tuple[float, float]:
    """A point of the drawing's scene on its panel."""
    x, y, z = point.tolist()
    right = x * math.cos(YAW) - z * math.sin(YAW)
    near = x * math.sin(YAW) + z * math.cos(YAW)
    down = -y * math.cos(PITCH) + near * math.sin(PITCH)
    return MIDDLE[0] + SCALE * right, MIDDLE[1] + SCALE * down


def rest_pose() -> Array:
    """(17, 3) metres, the pelvis at the origin."""
    points = np.zeros((NUM_JOINTS, 3))
    for joint in range(1, NUM_JOINTS):
        points[joint] = points[PARENTS[joint]] + LENGTHS[joint] * REST_DIRECTIONS[joint]
    return points


def line(start: Array, end: Array, style: str) -> str:
    (x1, y1), (x2, y2) = flat(start), flat(end)
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def label(words: str, tip: Array, colour: str) -> str:
    """Words beyond an arrow's tip, on its far side."""
    (x, y), (x0, y0) = flat(tip), flat(np.zeros(3))
    if abs(x - x0) < 1:
        anchor, y = "middle", y + math.copysign(22, y - y0) + 5
    else:
        anchor, x, y = ("start", x + 13, y + 5) if x > x0 else ("end", x - 13, y + 5)
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}" class="axis">{words}</text>'


def drawn(panel: Panel) -> Iterator[str]:
    """The elements of a panel: person, arrows from the pelvis, words."""
    points = rest_pose()
    for joint in range(1, NUM_JOINTS):
        colour = SIDE_COLOURS[SIDES[joint]]
        yield line(points[PARENTS[joint]], points[joint], f'stroke="{colour}" stroke-width="5"')
    for name, (direction, words) in panel.axes.items():
        colour, tip = COLOURS[name], np.array(direction, np.float64) * LONG
        style = f'stroke="{colour}" stroke-width="3" marker-end="url(#{name})"'
        yield line(np.zeros(3), tip, style)
        yield label(f"{name} {words}", tip, colour)
    yield f'<text x="{MIDDLE[0]}" y="22" class="title">{panel.title}</text>'
    yield f'<text x="{MIDDLE[0]}" y="42" class="note">{panel.note}</text>'


def picture() -> str:
    """The whole drawing."""
    markers = "".join(
        f'<marker id="{name}" viewBox="0 0 10 10" refX="5" refY="5" markerWidth="5" '
        f'markerHeight="5" orient="auto"><path d="M0 0L10 5L0 10z" fill="{colour}"/></marker>'
        for name, colour in COLOURS.items()
    )
    panels = "\n".join(
        f'<g transform="translate({WIDTH * number} 0)">\n' + "\n".join(drawn(panel)) + "\n</g>"
        for number, panel in enumerate(PANELS)
    )
    middle = WIDTH * len(PANELS) / 2
    legend = "The person faces the camera; blue is the person's left."
    size = f'width="{WIDTH * len(PANELS)}" height="{HEIGHT}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"
 viewBox="0 0 {WIDTH * len(PANELS)} {HEIGHT}">
<title>Axes of the files: a person who faces the camera</title>
<style>
text {{ font: 14px system-ui, sans-serif }} .title, .note {{ text-anchor: middle }}
.title {{ font-weight: 600; fill: #24292f }} .note {{ font-size: 12px; fill: #6a737d }}
.axis {{ font-weight: 600 }} line {{ stroke-linecap: round }}
@media (prefers-color-scheme: dark) {{ .title {{ fill: #e6edf3 }} .note {{ fill: #9aa4ae }} }}
</style>
<defs>{markers}</defs>
{panels}
<text x="{middle}" y="{HEIGHT - 8}" class="note">{legend}</text>
</svg>
"""


@click.command(help=__doc__.splitlines()[0])
@click.option("-o", "--output", default=TARGET, type=click.Path(path_type=Path))
def main(output: Path) -> None:
    """Write the drawing."""
    output.write_text(picture(), encoding="utf-8")
    click.echo(str(output))


if __name__ == "__main__":
    main()
