"""A process whose standard streams are full or were closed by who started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LIFT = f"'{sys.executable}' -m posemamba_runtime lift '$MODEL' keypoints.npz -o"


def shell(command: str, model: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command.replace("$MODEL", str(model))],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import numpy as np

    values = np.random.default_rng(0).uniform(100, 400, (12, 17, 2))
    np.savez(tmp_path / "keypoints.npz", keypoints=values, width=640, height=480)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("- > /dev/full", "the output cannot be written (No space left on device)"),
        ("- >&-", "standard output is closed, and poses go there: name a file with -o"),
    ],
)
def test_lines_that_go_nowhere(words: str, says: str, model: Path, folder: Path) -> None:
    if "/dev/full" in words and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    done = shell(f"{LIFT} {words}", model, folder)
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shut", [">&-", "2>&-", ">&- 2>&-"])
def test_a_file_needs_no_streams(shut: str, model: Path, folder: Path) -> None:
    assert shell(f"{LIFT} out.json {shut}", model, folder).returncode == 0
    assert (folder / "out.json").stat().st_size > 0


def test_the_exit_code_stays_where_nobody_reads(model: Path, folder: Path) -> None:
    assert shell(f"{LIFT} no_ending 2>&-", model, folder).returncode == 2
