"""What every command shares: help at once, choices and limits of the library."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from posemamba.cli.main import cli
from posemamba.cli.tool import describe
from posemamba.config import MAX_FRAMES, VARIANTS
from posemamba.scan_order import SCAN_ORDERS

COMMANDS = ("", "count", "init", "data", "data h36m", "train", "evaluate", "table", "ablate",
            "plot", "plot skeleton")  # fmt: skip


def test_help_and_config_need_nothing_but_click() -> None:
    """In one process, for speed; a module that is None cannot be imported."""
    code = (
        "import sys\n"
        "heavy = ('torch', 'numpy', 'yaml', 'tqdm', 'matplotlib', 'safetensors')\n"
        "sys.modules.update(dict.fromkeys(heavy))\n"
        "import posemamba.config\n"
        "from posemamba.cli.main import cli\n"
        f"for command in {COMMANDS!r}:\n"
        "    cli([*command.split(), '--help'], standalone_mode=False)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage:") == len(COMMANDS)


@pytest.mark.parametrize(
    ("command", "choices"),
    [
        ("init", "|".join(VARIANTS).lower()),
        ("table", "|".join(("auto", *SCAN_ORDERS))),
        ("plot skeleton", "|".join(("auto", *SCAN_ORDERS))),
        ("count", f"to{MAX_FRAMES}"),
        ("data h36m", f"to{MAX_FRAMES}"),
    ],
)
def test_choices_are_those_of_the_library(command: str, choices: str) -> None:
    text = CliRunner().invoke(cli, [*command.split(), "--help"]).output
    assert choices in "".join(text.split()).lower()


@pytest.mark.parametrize(
    ("name", "value", "coloured"),
    [("NO_COLOR", "", True), ("NO_COLOR", "1", False), ("TERM", "dumb", False),
     ("TERM", "xterm", True)],
)  # fmt: skip
def test_colours_can_be_done_without(
    name: str, value: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a terminal: https://no-color.org, and terminals that have none."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    done = CliRunner().invoke(cli, ["nothing"], color=True)
    assert ("\x1b[" in done.stderr) == coloured
    assert "Error: " in click.unstyle(done.stderr)


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.EIO, errno.ECONNREFUSED])
def test_other_failures_are_not_blamed_on_the_output(code: int) -> None:
    assert describe(OSError(code, os.strerror(code))) == os.strerror(code)


def test_a_full_output_is_named() -> None:
    """``posemamba count > /dev/full``: there is no file to name, and nothing else to blame."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "posemamba", "count"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "Error: the output cannot be written (No space left on device): send it elsewhere\n"
    )
