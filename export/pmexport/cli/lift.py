"""``pmexport lift`` and ``serve``: the runtime's own commands, without torch or ONNX."""

from __future__ import annotations

import sys

import click

_PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True}


@click.command(context_settings=_PASSED_ON, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def lift(words: tuple[str, ...]) -> None:
    """Lift a detector's keypoints to 3D with an exported model."""
    _run("lift", words)


@click.command(context_settings=_PASSED_ON, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def serve(words: tuple[str, ...]) -> None:
    """Lift the keypoints of many cameras, through WebSockets."""
    _run("serve", words)


def _run(command: str, words: tuple[str, ...]) -> None:
    from posemamba_runtime.cli import main

    sys.exit(main([command, *words], program="pmexport"))
