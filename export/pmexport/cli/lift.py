"""``pmexport lift``: the runtime's own command, which needs neither torch nor ONNX."""

from __future__ import annotations

import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def lift(words: tuple[str, ...]) -> None:
    """Lift a detector's keypoints to 3D with an exported model."""
    from posemamba_runtime.cli import main

    sys.exit(main(["lift", *words], program="pmexport"))
