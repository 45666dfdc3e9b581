"""One process of a run, without Ray: what is written, what is not again, and what is given up."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import keypoint_files as files
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from benchmarks.scale.archive import make_archive, outputs
from posemamba_runtime.cli import main
from posemamba_runtime.cli.archive import refuse_shared_outputs
from posemamba_runtime.cli.summary import remarks
from posemamba_runtime.errors import BadArgument
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.recordings import LiftOptions
from posemamba_runtime.scale.ledger import NAME, Entry, opened
from posemamba_runtime.scale.sources import Item, find
from posemamba_runtime.scale.worker import Job, Worker, content_hash, stem_of

SIZE = (files.WIDTH, files.HEIGHT)


@pytest.fixture
def job(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.chdir(tmp_path)  # a process goes where its job begins; this one comes back
    make_archive(tmp_path / "in", 2, 20)
    (tmp_path / "out" / "staging").mkdir(parents=True)
    return Job(
        start=str(tmp_path),
        model=str(model), model_name="net", model_sha256=content_hash(model),
        backend="onnxruntime-cpu", threads=1, tf32=False, reading={"size": SIZE, "rate": 30.0},
        options=LiftOptions(), root=False, focal=None, output=str(tmp_path / "out"),
        suffix=".npz", staging=str(tmp_path / "out" / "staging"),
    )  # fmt: skip


def answers(
    job: Job, items: tuple[Item, ...], known: list[Entry | None]
) -> list[tuple[str, Entry]]:
    rows: dict[str, list[Any]] = {
        "item": [json.dumps(dataclasses.asdict(item)) for item in items],
        "known": [json.dumps(entry and dataclasses.asdict(entry)) for entry in known],
    }
    got = Worker(job, remarks)(rows)
    return [
        (status, Entry(**json.loads(entry)))
        for status, entry in zip(got["status"], got["entry"], strict=True)
    ]


def items(job: Job) -> tuple[Item, ...]:
    return find(str(Path(job.output).parent / "in")).items


def test_what_is_there_is_not_lifted_again(job: Job) -> None:
    first = answers(job, items(job), [None, None])
    assert [status for status, _ in first] == ["lifted", "lifted"]
    known: list[Entry | None] = [entry for _, entry in first]
    assert [status for status, _ in answers(job, items(job), known)] == ["there", "there"]


@pytest.mark.parametrize("change", ["input", "options", "model name", "output", "output's size"])
def test_what_has_changed_is_lifted_again(job: Job, change: str) -> None:
    ((_, entry),) = answers(job, items(job)[:1], [None])
    made = Path(job.output) / next(iter(entry.files))
    before = made.read_bytes()
    if change == "input":
        source = Path(items(job)[0].source)
        source.write_text(source.read_text("utf-8").replace("1}", "2}"), encoding="utf-8")
    elif change == "options":
        job = dataclasses.replace(job, options=LiftOptions(smoothing=0.5))
    elif change == "model name":
        job = dataclasses.replace(job, model_name="other")
    elif change == "output":
        made.unlink()
    else:
        made.write_bytes(before[:-1])
    ((status, after),) = answers(job, items(job)[:1], [entry])
    assert status == "lifted"
    assert (after.key != entry.key) == (change in ("input", "options", "model name"))
    assert (made.read_bytes() == before) == change.startswith(("output", "input"))


def test_relative_names_begin_where_the_driver_is(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes of a cluster begin where their machine's Ray was started."""
    monkeypatch.chdir(tmp_path)
    (first, *_) = find("in").items
    assert not Path(first.source).is_absolute()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ((status, _),) = answers(job, (first,), [None])
    assert status == "lifted"


@pytest.mark.parametrize(
    "name", [b"caf\xe9.json", "a\nb \u2028c.json".encode(), "汉字 é.json".encode()]
)
def test_names_in_any_letters(job: Job, tmp_path: Path, name: bytes) -> None:
    """Old archives hold names that are no UTF-8; what fails is told in one line all the same."""
    place = tmp_path / "in" / os.fsdecode(name)
    first = items(job)[0]
    place.write_bytes(Path(first.source).read_bytes())
    item = Item(os.fsdecode(name), str(place))
    ((status, entry),) = answers(job, (item,), [None])
    assert status == "lifted", entry.failed
    assert all((Path(job.output) / written).is_file() for written in entry.files)
    place.write_bytes(b"[{")
    ((status, entry),) = answers(job, (item,), [entry])
    assert status == "failed"
    assert entry.failed.isprintable()


def test_what_cannot_be_written_is_named_by_its_place(job: Job) -> None:
    """A name longer than file systems take."""
    item = Item(f"{'n' * 256}.json", items(job)[0].source)
    ((status, entry),) = answers(job, (item,), [None])
    assert status == "failed"
    assert job.staging not in entry.failed
    assert entry.failed.startswith(f"'{job.output}/nnn")


def test_a_pipe_is_not_waited_for(job: Job, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    ((status, entry),) = answers(job, (Item("pipe.json", str(tmp_path / "pipe.json")),), [None])
    assert status == "failed"
    assert "pipe.json: is a pipe or a device" in entry.failed


def test_threads_change_no_output(job: Job) -> None:
    assert job.fingerprint() == dataclasses.replace(job, threads=4, staging="x").fingerprint()


def test_a_recording_that_kills_its_process_is_given_up(job: Job) -> None:
    """Two processes have died on it: their marks are there, as each leaves one before it starts."""
    import hashlib

    item = items(job)[0]
    mark = Path(job.staging) / hashlib.sha256(item.name.encode()).hexdigest()
    mark.write_bytes(b"..")
    (status, entry), (other, _) = answers(job, items(job), [None, None])
    assert (status, other) == ("failed", "lifted")
    assert entry.failed == f"'{item.source}': the process that lifted it died 2 times"


def test_files_of_people_who_are_gone_are_removed(job: Job) -> None:
    ((_, entry),) = answers(job, items(job)[:1], [None])
    stale = Path(job.output) / "day0" / "r00000-person2.npz"
    stale.write_bytes(b"old")
    known = dataclasses.replace(
        entry, key="old", files={**entry.files, "day0/r00000-person2.npz": 3}
    )
    answers(job, items(job)[:1], [known])
    assert not stale.exists()


def test_a_model_that_is_another_file_stops_the_run(job: Job) -> None:
    ((status, entry),) = answers(dataclasses.replace(job, model_sha256="0"), items(job)[:1], [None])
    assert status == "stop"
    assert "is another file on this machine" in entry.failed


def test_a_row_of_a_table_is_lifted_as_its_file(job: Job, tmp_path: Path) -> None:
    sources = [Path(item.source) for item in items(job)]
    columns = {"path": [f"/x/{p.parent.name}/{p.name}" for p in sources],
               "bytes": [p.read_bytes() for p in sources]}  # fmt: skip
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    from_table = answers(job, find(str(tmp_path / "t.parquet")).items, [None, None])
    assert [status for status, _ in from_table] == ["lifted", "lifted"]
    assert sorted(outputs(Path(job.output))) == ["day0/r00000.npz", "day1/r00001.npz"]


def test_a_row_that_is_damaged_is_named(job: Job, tmp_path: Path) -> None:
    columns = {"path": ["a.json", "b.json"], "bytes": [b'[{"x', None]}
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    got = answers(job, find(str(tmp_path / "t.parquet")).items, [None, None])
    assert [status for status, _ in got] == ["failed", "failed"]
    assert got[0][1].failed.startswith("a.json: breaks off")
    assert "has no 'bytes'" in got[1][1].failed


def test_a_ledger_survives_a_line_that_broke_off(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.add(Entry("a", "k"))
    with (tmp_path / NAME).open("a") as stream:
        stream.write('{"recording": "b", "ke')
    with opened(tmp_path) as ledger:
        assert ledger.entries == {"a": Entry("a", "k")}
        ledger.add(Entry("c", failed="no"))
        with pytest.raises(BadArgument, match="another run is writing"), opened(tmp_path):
            pass
    with opened(tmp_path) as ledger:
        assert set(ledger.entries) == {"a", "c"}


def test_two_recordings_of_one_output_are_refused() -> None:
    both = (Item("a/x.json", "1"), Item("a/x.npz", "2"))
    with pytest.raises(InputError, match=r"'a/x.json' and 'a/x.npz' would be written to one"):
        refuse_shared_outputs(both, [stem_of(item.name) for item in both])


WORDS = {
    "no folder": (["in/day0/r00000.json", "-o", "o", "--ray"], "is one file"),
    "output in the archive": (["in", "-o", "in/o", "--ray"], "folders apart"),
    "archive in the output": (["in/day0", "-o", "in", "--ray"], "folders apart"),
    "output is a file": (["in", "-o", "m.onnx", "--ray"], "'m.onnx' is a file"),
    "standard output": (["in", "-o", "-", "--ray"], "-o is missing"),
    "the folder as address": (["--ray", "in", "-o", "o"], "--ray last"),
    "live": (["in", "-o", "o", "--live", "--ray"], "--live"),
    "a video": (["in", "-o", "o", "--detector", "mediapipe", "--ray"], "leave --detector out"),
    "lengths": (["in", "-o", "o", "--to", "bvh", "--ray"], "--height-m"),
    "another format": (["in", "-o", "o", "--to", "nzp", "--ray"], "did you mean 'npz'?"),
    "workers without ray": (["in", "-o", "o.npz", "--workers", "2"], "give --ray"),
    "a format without ray": (["in", "-o", "o.npz", "--to", "csv"], "give --ray"),
    "no worker": (["in", "-o", "o", "--ray", "--workers", "0"], "whole number from 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", WORDS)
def test_words_that_are_refused(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_archive(Path("in"), 1, 2)
    Path("m.onnx").write_bytes(b"")
    words, says = WORDS[case]
    assert main(["lift", "m.onnx", *words]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("Error: ")
    assert told.err.count("\n") == 1
    assert says in told.err
    assert sorted(path.name for path in Path().iterdir()) == ["in", "m.onnx"]
