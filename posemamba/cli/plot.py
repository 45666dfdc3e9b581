"""``posemamba plot``: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from posemamba.cli.options import PATH, SCAN_ORDER, WEIGHTS, reading_options
from posemamba.cli.tool import Tool, Whole

if TYPE_CHECKING:
    from posemamba.pose.clips import Reading

_ckpt = click.option("--ckpt", required=True, type=PATH, help="Checkpoint, as for pmexport onnx.")
_inputs = click.option("--inputs", type=PATH,
                       help="Clip set, or keypoints of any format of 'pmexport lift'.")  # fmt: skip
_clip = click.option("--clip", metavar="NAME", help="Clip of the file; the first if absent.")
_output = click.option("-o", "--output", required=True, type=PATH,
                       help="Picture to write; its ending is its format.")  # fmt: skip


@click.group(cls=Tool)
def plot() -> None:
    """Pictures of poses and of what a block's scan listens to (needs pip install '.[plot]')."""


@plot.command()
@_ckpt
@WEIGHTS
@SCAN_ORDER
@_inputs
@reading_options
@_clip
@click.option("--frames", metavar="LIST",
              help="Frames to draw, such as 0,40,80; five spread evenly if absent.")  # fmt: skip
@click.option("--fps", type=Whole(1, 50), default=25, show_default=True,
              help="Frames per second of an animation.")  # fmt: skip
@_output
def skeleton(ckpt: Path, weights: str | None, scan_order: str | None, inputs: Path | None,
             reading: Reading, clip: str | None, frames: str | None, fps: int,
             output: Path) -> None:  # fmt: skip
    """2D input, 3D output and, from a clip set, the truth: .png, .svg, or an animated .gif."""
    from posemamba.draw.plots import plot_skeleton, read_clip

    chosen = _frame_list(frames) if frames is not None else None
    drawn = read_clip(inputs, clip, reading)
    plot_skeleton(ckpt, drawn, output, scan_order=scan_order, weights=weights, frames=chosen,
                  fps=fps)  # fmt: skip
    click.echo(f"Plot: {drawn.name}, saved as {output}")


@plot.command("scan-maps")
@_ckpt
@WEIGHTS
@SCAN_ORDER
@_inputs
@reading_options
@_clip
@click.option("--block", default="STE0", show_default=True, metavar="STEi|TTEi",
              help="Block of the network.")  # fmt: skip
@_output
def scan_map(ckpt: Path, weights: str | None, scan_order: str | None, inputs: Path | None,
             reading: Reading, clip: str | None, block: str, output: Path) -> None:  # fmt: skip
    """What a block's scan passes from joint to joint and from frame to frame."""
    from posemamba.draw.plots import plot_scan_maps, read_clip

    stack, index = block[:3].upper(), block[3:]
    if stack not in ("STE", "TTE") or not index.isdecimal() or len(index) > 4:
        raise click.BadParameter(
            f"'{block}' names no block: write STE0 or TTE3", param_hint="--block"
        )
    drawn = read_clip(inputs, clip, reading)
    plot_scan_maps(ckpt, drawn, output, stack=cast("Literal['STE', 'TTE']", stack),
                   index=int(index), scan_order=scan_order, weights=weights)  # fmt: skip
    click.echo(f"Plot: scan maps of {stack} {index} for {drawn.name}, saved as {output}")


def _frame_list(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 7 for part in parts):
        raise click.BadParameter(f"'{text}' is no list such as 0,40,80", param_hint="--frames")
    return [int(part) for part in parts]
