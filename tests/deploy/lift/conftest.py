"""A command that is refused: one line, exit code 2, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from posemamba_runtime.cli import main

Refused = Callable[[list[str], str], None]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(here: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs words and makes sure of it, and of what the line says."""

    def run(words: list[str], says: str) -> None:
        before = set(here.rglob("*"))
        assert main(words) == 2
        told = capsys.readouterr()
        assert told.err.startswith("Error: ")
        assert told.err.count("\n") == 1
        assert len(told.err) < 600
        assert says in told.err
        assert "Lifted" not in told.out
        assert set(here.rglob("*")) == before

    return run
