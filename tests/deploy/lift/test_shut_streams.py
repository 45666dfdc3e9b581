"""A process whose standard streams are full or were closed by who started it, or that is told to
end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from posemamba_runtime.cli import main
from posemamba_runtime.outputs import csv_table

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


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_nothing_half_written_stays(
    stop: signal.Signals, model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to end in the middle of a file, by a person or by a service manager."""

    def half(path: Path, *_: object) -> None:
        path.write_text("half")
        os.kill(os.getpid(), stop)

    monkeypatch.setattr(csv_table, "write", half)
    former = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    try:
        words = ["lift", str(model), str(folder / "keypoints.npz"), "-o", str(folder / "o.csv")]
        assert main(words) == 130
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
    assert [path.name for path in folder.iterdir()] == ["keypoints.npz"]
