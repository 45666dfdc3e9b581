"""An archive on a Ray of two nodes that loses a process and its driver; and one of every kind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from benchmarks.scale import archive
from posemamba_runtime.cli import main

RECORDINGS, FRAMES = 150, 30


@pytest.mark.slow
def test_nothing_is_lost_when_processes_die(model: Path, tmp_path: Path) -> None:
    source, output, alone = tmp_path / "in", tmp_path / "out", tmp_path / "alone"
    archive.make_archive(source, RECORDINGS, FRAMES)
    survived = archive.kill_and_resume(model, source, output, RECORDINGS)
    assert survived.code == 0, survived.second_run
    assert f"There already: {survived.before_kill}" in survived.second_run
    # Byte for byte: the same reader, window, batch and writer, on one thread each.
    archive.one_process(model, source, alone, threads=1)
    assert archive.outputs(output) == archive.outputs(alone)
    lines = (output / "_lifted.jsonl").read_text("utf-8").splitlines()
    names = [json.loads(line)["recording"] for line in lines]
    assert len(names) == len(set(names)) == RECORDINGS, "every recording once"


def test_a_damaged_recording_stops_no_other(model: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    archive.make_archive(source, 3, 20)
    (source / "broken.json").write_text('[{"image_id"', encoding="utf-8")
    command = archive.lift_command(model, source, output, "--to", "parquet", "--ray")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "Lifted: 3 recordings" in done.stdout
    assert "broken.json: breaks off" in done.stdout
    assert done.stderr == ""
    made = sorted(path.name for path in output.rglob("*.parquet"))
    assert made == ["r00000.parquet", "r00001.parquet", "r00002.parquet"]
    assert list(output.rglob(".*")) == []

    table = parquet.read_table(output)  # the ledger is no part of it
    assert table.num_rows == 3 * 20
    assert len(set(table["recording"].to_pylist())) == 3


@pytest.mark.parametrize(
    ("address", "says"),
    [("ray://127.0.0.1:1", "inside the cluster"), ("127.0.0.1:1", "nobody answers"),
     ("here", "give HOST:PORT")],
)  # fmt: skip
def test_no_ray_there(
    address: str, says: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.make_archive(tmp_path / "in", 1, 5)
    words = ["lift", str(model), str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert main([*words, "--ray", address]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"Error: --ray {address}: ")
    assert says in told.err
    assert told.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
