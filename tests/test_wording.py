"""How the tools put things: counted nouns, options, lists of commands."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from places import ROOT

from pmexport.cli.main import cli as pmexport
from posemamba.cli.main import cli as posemamba

#: Nouns that are counted in messages. After a number they go through `posemamba.text.plural`.
_NOUNS = (
    "frames|steps|clips|persons|people|problems|nodes|runs|joints|directions|states|channels|"
    "weights|files|seeds|threads|keypoints|windows|layers"
)
_COUNTED = re.compile(rf"^ (?:{_NOUNS})\b")


def commands(tool: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    for each, command in tool.commands.items():
        yield f"{name} {each}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {each}")


COMMANDS = [*commands(pmexport, "pmexport"), *commands(posemamba, "posemamba")]


@pytest.mark.parametrize("folder", ["posemamba", "export/pmexport"])
def test_one_is_not_many(folder: str) -> None:
    """``1 frames`` cannot be said: before a counted noun an f-string has no value but a limit."""
    wrong = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.JoinedStr):
                continue
            for value, text in zip(node.values, node.values[1:], strict=False):
                said = text.value if isinstance(text, ast.Constant) else ""
                if not isinstance(value, ast.FormattedValue) or not _COUNTED.match(str(said)):
                    continue
                if not re.fullmatch(r"[A-Z_]+", ast.unparse(value.value)):  # a limit of ours
                    wrong.append(f"{name}:{node.lineno}: {ast.unparse(value)}{said}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_help_tells_limits_in_words(name: str, command: click.Command) -> None:
    if name == "pmexport lift":
        return  # argparse, which prints no limits
    text = CliRunner().invoke(command, ["--help"]).output
    assert not re.search(r"<=|>=|<x|x>", text), text
    assert not re.search(r"\d{6,}|e\+0", text), text


@pytest.mark.parametrize("tool", [pmexport, posemamba], ids=["pmexport", "posemamba"])
def test_lists_of_commands_are_whole_sentences(tool: click.Group) -> None:
    groups = [
        tool,
        *(command for _, command in commands(tool, "") if isinstance(command, click.Group)),
    ]
    for group in groups:
        assert "..." not in CliRunner().invoke(group, ["--help"]).output.partition("Commands:")[2]


def test_outputs_and_batches_have_one_name() -> None:
    for name, command in COMMANDS:
        for option in command.params:
            shown = set(option.opts)
            assert not shown & {"--out", "--batch-size", "--outdir"}, name
            if "-o" in shown:
                assert "--output" in shown, name


def test_former_names_still_work() -> None:
    """What a script of yesterday says; the command goes on to what it was given."""
    for line in (
        "train --data gone.npz --out run --batch-size 2",
        "ablate --data gone.npz --val held.npz --steps 1 --out run",
    ):
        done = CliRunner().invoke(posemamba, line.split())
        assert done.exit_code == 2
        assert "gone.npz" in done.output, done.output


@pytest.mark.parametrize("address", ["https://example.org/L.pth.tr", "hf://owner/L"])
@pytest.mark.parametrize(
    "line",
    ["pmexport onnx --ckpt {}", "pmexport check {} --ckpt demo", "pmexport inspect {}",
     "pmexport bench {}", "pmexport trt --onnx {}", "posemamba evaluate --ckpt {} --data d.npz",
     "posemamba data h36m --source {} -o out", "posemamba plot skeleton --ckpt {} -o a.png"],
)  # fmt: skip
def test_an_address_is_told_whole(line: str, address: str) -> None:
    tool, *arguments = line.format(address).split()
    done = CliRunner().invoke(pmexport if tool == "pmexport" else posemamba, arguments)
    assert done.exit_code == 2
    assert f"'{address}' is an address: download the file" in done.output


def test_plot_names_the_moving_picture() -> None:
    line = "plot skeleton --ckpt demo -o walk.mp4"
    done = subprocess.run([sys.executable, "-m", "posemamba", *line.split()],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 2
    assert ".gif" in done.stderr
