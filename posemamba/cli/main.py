"""``posemamba``: parse, call, print. Heavy imports wait for the command that needs them."""

from __future__ import annotations

from pathlib import Path

import click

from posemamba.cli.data import data
from posemamba.cli.options import COUNTED_FRAMES, FRAMES, PATH, SEED, SIZE
from posemamba.cli.plot import plot
from posemamba.cli.report import ablate, tables
from posemamba.cli.tool import Tool
from posemamba.cli.train import evaluate, train
from posemamba.cli.which_scan import which
from posemamba.config import MAX_FRAMES
from posemamba.text import plural, table


@click.group(cls=Tool, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pmexport", message="%(prog)s %(version)s")
def cli() -> None:
    """The PoseMamba model: 2D keypoints of a clip in, 3D poses out.

    Exit codes: 0 success, 2 the request or an input was wrong.
    """


@cli.command()
@COUNTED_FRAMES
def count(frames: int) -> None:
    """Parameters and GMAC of S, B, L and X: the true ones, and as the paper counts."""
    from posemamba.model.counts import count_table
    from posemamba.paper.tables import COUNT_HEADER, COUNT_NOTE, count_rows

    click.echo(table(COUNT_HEADER, count_rows(count_table(frames))))
    click.echo(f"One clip of {plural(frames, 'frame')}.\n{COUNT_NOTE}")


@cli.command()
@click.option("--variant", type=SIZE, default="S", show_default=True,
              help="Size of the network.")  # fmt: skip
@click.option("--frames", type=FRAMES, default=MAX_FRAMES,
              show_default=True, help="Longest clip.")  # fmt: skip
@click.option("--seed", type=SEED, default=0, show_default=True,
              help="Seed of the random weights.")  # fmt: skip
@click.option("-o", "--output", required=True, type=PATH,
              help="File to write, ending in .safetensors.")  # fmt: skip
def init(variant: str, frames: int, seed: int, output: Path) -> None:
    """Write an UNTRAINED checkpoint, to try the chain: its poses mean nothing."""
    from posemamba.checkpoint.untrained import save_untrained

    count = save_untrained(output, variant=variant, frames=frames, seed=seed)
    click.echo(
        f"Init: saved as {output}, size {variant}, {count:,} parameters, "
        f"{plural(frames, 'frame')}: "
        f"UNTRAINED (random weights, seed {seed}), its poses mean nothing"
    )


cli.add_command(data)
cli.add_command(train)
cli.add_command(evaluate)
cli.add_command(tables)
cli.add_command(ablate)
cli.add_command(plot)
cli.add_command(which)
