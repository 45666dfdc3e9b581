"""A small checkpoint with its export, and commands that must refuse."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from example_networks import EXAMPLES, FOLDER
from places import TINY

from pmexport.cli.main import cli


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny.pth.tr`` and ``tiny.onnx``: what ``here`` copies unless a module has its own."""
    folder = tmp_path_factory.mktemp("tiny")
    shutil.copy(TINY, folder / "tiny.pth.tr")
    arguments = ["onnx", "--ckpt", str(TINY), "-o", str(folder / "tiny.onnx"), "--no-check"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    return folder


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with ``vim.onnx`` and the other three, and what their exports printed."""
    folder = tmp_path_factory.mktemp("examples")
    said = {}
    for name, arguments in EXAMPLES.items():
        factory = f"{FOLDER / name}.py:build"
        target = ("-o", str(folder / f"{name}.onnx"))
        done = CliRunner().invoke(cli, ["export-module", factory, *arguments, *target])
        assert done.exit_code == 0, done.output
        said[name] = done.output
    return folder, said


@pytest.fixture
def refused(here: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Run a command that must be refused, and must change no file."""

    def run(arguments: tuple[str, ...], *words: str) -> None:
        before = contents(here)
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 2, result.output
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ")
        assert "not expected" not in line, "an exception nobody thought of"
        for word in words:
            assert word in line
        assert contents(here) == before
        assert capfd.readouterr().err == "", "a native library wrote past Python"

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
