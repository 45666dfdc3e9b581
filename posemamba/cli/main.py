"""``posemamba``: parse, call, print. Heavy imports wait for the command that needs them."""

from __future__ import annotations

from pathlib import Path

import click

from posemamba.cli import report as commands_report
from posemamba.cli.data import data
from posemamba.cli.tool import NearChoice, Tool
from posemamba.cli.train import evaluate, train
from posemamba.text import table

MAX_FRAMES = 243


@click.group(cls=Tool, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pmexport", message="%(prog)s %(version)s")
def cli() -> None:
    """The PoseMamba model: 2D keypoints of a clip in, 3D poses out.

    Exit codes: 0 success, 2 the request or an input was wrong.
    """


@cli.command()
@click.option("--frames", type=click.IntRange(1, MAX_FRAMES), default=MAX_FRAMES,
              show_default=True, help="Frames of the clip that the GMAC are of.")  # fmt: skip
def count(frames: int) -> None:
    """Parameters and GMAC of S, B, L and X: the true ones, and as the paper counts."""
    from posemamba.model.counts import count_table
    from posemamba.paper.tables import COUNT_HEADER, COUNT_NOTE, count_rows

    click.echo(table(COUNT_HEADER, count_rows(count_table(frames))))
    click.echo(f"One clip of {frames} frames.\n{COUNT_NOTE}")


@cli.command()
@click.option("--variant", type=NearChoice(("S", "B", "L", "X")), default="S", show_default=True,
              help="Size of the network.")  # fmt: skip
@click.option("--frames", type=click.IntRange(1, MAX_FRAMES), default=MAX_FRAMES,
              show_default=True, help="Longest clip.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True,
              help="Seed of the random weights.")  # fmt: skip
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path),
              help="File to write, ending in .safetensors.")  # fmt: skip
def init(variant: str, frames: int, seed: int, output: Path) -> None:
    """Write an UNTRAINED checkpoint, to try the chain: its poses mean nothing."""
    from posemamba.checkpoint.untrained import save_untrained

    count = save_untrained(output, variant=variant, frames=frames, seed=seed)
    click.echo(
        f"Init: saved as {output}, size {variant}, {count:,} parameters, {frames} frames: "
        f"UNTRAINED (random weights, seed {seed}), its poses mean nothing"
    )


cli.add_command(data)
cli.add_command(train)
cli.add_command(evaluate)
commands_report.register(cli)
