"""What the tests of both command-line tools share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def here(exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a copy of what the module's ``exports`` made once."""
    folder = tmp_path / "here"
    shutil.copytree(exports, folder)
    monkeypatch.chdir(folder)
    return folder
