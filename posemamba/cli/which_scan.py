"""``posemamba which-scan``: parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from posemamba.cli.options import PATH, WEIGHTS
from posemamba.cli.tool import CHECK_FAILED
from posemamba.text import json_text, table


@click.command("which-scan")
@click.option("--ckpt", type=PATH, required=True, help="Checkpoint file or unpacked folder.")
@click.option("--reference", type=PATH, required=True,
              help=".npz of the original code: its input keypoints_2d and output poses_3d."
              )  # fmt: skip
@WEIGHTS
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def which(ckpt: Path, reference: Path, weights: str | None, as_json: bool) -> None:
    """Find the scan order of a checkpoint by outputs of its original code.

    Exit code 1: no order of the table fits, or several do.
    """
    from posemamba.checkpoint.which_scan import which_scan

    found = which_scan(ckpt, reference, weights=weights)
    if as_json:
        click.echo(json_text(found.to_dict(), indent=1))
    else:
        rows = [(name, f"{error:.1e}") for name, error in found.max_abs.items()]
        click.echo(table(("scan order", "max-abs"), rows))
        click.echo(f"Which scan: {found.verdict}")
    if found.best is None:
        sys.exit(CHECK_FAILED)
