"""How the tools put things: counted nouns, options, lists of commands."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
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


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("pmexport bench M.onnx --batch 0", "0 is too small: use 1 or more"),
        ("pmexport bench M.onnx --batch 99999999999", "99999999999 is too large: use at most"),
        ("pmexport bench M.onnx --threads 1.5", "'1.5' is not a valid integer"),
        ("posemamba init --frames 244 -o a.safetensors", "244 is too large: use at most 243"),
        ("posemamba ablate --learning-rate 0", "0.0 is too small: use above 0"),
        ("posemamba ablate --learning-rate nan", "nan is not a number"),
    ],
)
def test_messages_tell_limits_in_words(line: str, said: str) -> None:
    tool, *arguments = line.split()
    done = CliRunner().invoke(pmexport if tool == "pmexport" else posemamba, arguments)
    assert done.exit_code == 2
    assert said in done.output, done.output


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


#: How NumPy, PyTorch, zipfile and pickle speak of a file.
_THEIRS = re.compile(
    r"is not a file in the archive|PytorchStreamReader|weights_only|allow_pickle|Expecting value|"
    r"could not convert|magic number|invalid load key"
)


@pytest.mark.parametrize(
    "content", [b"", b"no file of any kind", b"PK\x03\x04 cut short", b"\x80\x02."]
)
@pytest.mark.parametrize(
    "line",
    ["posemamba train --data {clips} -o run --resume", "posemamba train --data {file} -o new",
     "posemamba evaluate --ckpt demo --data {file}",
     "posemamba evaluate --ckpt {file} --data {clips}",
     "posemamba plot skeleton --ckpt demo --inputs {file} -o a.png",
     "posemamba data h36m --source {file} -o out", "posemamba data 3dhp --source {file} -o out",
     "posemamba data pose2sim --wheel {file} -o out",
     "pmexport onnx --ckpt {file} -o M.onnx", "pmexport inspect {file}", "pmexport bench {file}",
     "pmexport check {file} --ckpt demo"],
)  # fmt: skip
def test_libraries_words_do_not_reach_the_user(
    line: str, content: bytes, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.npz").write_bytes(content)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pth.tr").write_bytes(content)
    tool, *arguments = line.format(file="file.npz", clips=clips).split()
    done = CliRunner().invoke(pmexport if tool == "pmexport" else posemamba, arguments)
    assert done.exit_code == 2, done.output
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not _THEIRS.search(done.stderr), done.stderr
    assert "not expected" not in done.stderr


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    line = f"data pybullet -o {folder} --clips 4 --held-out-clips 1 --frames 243"
    assert CliRunner().invoke(posemamba, line.split()).exit_code == 0
    return folder / "train.npz"


@pytest.mark.parametrize("lost", ["keypoints_2d", "poses_3d", "mm_per_unit", "names"])
def test_a_clip_set_says_what_it_lacks(lost: str, clips: Path, tmp_path: Path) -> None:
    with np.load(clips) as found:
        np.savez(tmp_path / "less.npz", **{key: found[key] for key in found if key != lost})
    line = f"evaluate --ckpt demo --data {tmp_path / 'less.npz'}"
    done = CliRunner().invoke(posemamba, line.split())
    assert f"is no clip set: it lacks '{lost}'" in done.output
