"""What is asked of an older report of ``pmexport bench`` before it is held against a newer one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pmexport.bench.compare import another_model, compare_reports, read_report
from pmexport.bench.measure import Times
from posemamba.errors import InputError


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("waited_share", value) for value in (-0.1, 1.1, "much", float("nan"))),
        *(("yardstick_ms", value) for value in (0, -0.1, "long", float("nan"), float("inf"))),
    ],
)
def test_what_the_host_cannot_have_told_is_no_report(
    tmp_path: Path, key: str, value: object
) -> None:
    whole = report()
    whole["runtimes"]["ort-cpu"]["host"] = {key: value}
    with pytest.raises(InputError, match=r"old.json: lacks"):
        read_report(write(tmp_path / "old.json", whole))


HERE = {"machine": "x86_64", "gpu": None, "processor": "Xeon", "cores": 2, "threads": 1}


def report(**changes: Any) -> dict[str, Any]:
    total = dataclasses.asdict(Times.of([0.01] * 9))
    return {
        "shape": {"batch": 1, "frames": 9, "joints": 17},
        "runtimes": {"ort-cpu": {"runs": 9, "total": total}},
        "environment": HERE,
        **changes,
    }


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


MODEL = {"variant": "S", "precision": "fp32", "max_frames": 243, "sha256": "0"}


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (MODEL | {"sha256": "1"}, None),
        (MODEL | {"variant": "L"}, "variant S there, L here"),
        (MODEL | {"precision": "fp16", "max_frames": 81}, "fp16 here; max frames 243 there, 81"),
        ({}, None),
        (None, None),
    ],
)
def test_times_of_another_model_are_doubted(
    tmp_path: Path, model: dict[str, Any] | None, says: str | None
) -> None:
    old = read_report(write(tmp_path / "old.json", report(model=model)))
    doubt = another_model(old, MODEL)
    assert (doubt is None) == (says is None)
    assert says is None or doubt is None or ("old.json" in doubt and says.split()[0] in doubt)
    older = read_report(write(tmp_path / "older.json", report()))  # from before it said
    assert another_model(older, MODEL) is None


def test_a_report_against_itself(tmp_path: Path) -> None:
    old = read_report(write(tmp_path / "old.json", report()))
    (found,) = compare_reports(old, report())
    assert found.line == (
        "Compare: ort-cpu no change: 10.000 to 10.000 ms, +0.0 % (counts from 5.0 %)"
    )


@pytest.mark.parametrize(
    "content",
    [
        {}, [], None, 3, report(runtimes=[]), report(runtimes={"a": {"runs": 1, "total": {}}}),
        report(shape={}), report(environment={}), report(environment=[]), report(environment=None),
        report(runtimes={"a": {"runs": float("inf"), "total": {"median": 1, "best": 1, "mad": 0}}}),
        report(runtimes={"a": {"runs": 9, "host": 3, "total": {"median": 1, "best": 1, "mad": 0}}}),
        report(runtimes={"a": {"runs": 0, "total": dataclasses.asdict(Times.of([0.01]))}}),
        report(runtimes={"a": {"runs": 1, "total": {"median": 0, "best": 0, "mad": 0}}}),
    ],
)  # fmt: skip
def test_reports_that_are_none(tmp_path: Path, content: object) -> None:
    with pytest.raises(InputError, match=r"old.json: lacks .*measure again"):
        read_report(write(tmp_path / "old.json", content))


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (report(shape={"batch": 2, "frames": 9, "joints": 17}), "batch 1, .* at batch 2"),
        (report(runtimes={}), "other runtimes .ort-cpu"),
        (report(environment=HERE | {"machine": "aarch64"}), "aarch64"),
        (report(environment=HERE | {"gpu": "H200"}), "gpu None, this on H200"),
        (report(environment=HERE | {"processor": "Zen"}), "processor Xeon, this on Zen"),
        (report(environment=HERE | {"cores": 64}), "cores 2, this on 64"),
        (report(environment=HERE | {"threads": None}), "threads 1, .*give --threads as there"),
    ],
)
def test_reports_that_cannot_be_compared(tmp_path: Path, now: dict[str, Any], words: str) -> None:
    old = read_report(write(tmp_path / "old.json", report()))
    with pytest.raises(InputError, match=words):
        compare_reports(old, now)


def test_a_report_from_before_processors_were_told(tmp_path: Path) -> None:
    short = {key: HERE[key] for key in ("machine", "gpu")}
    old = read_report(write(tmp_path / "old.json", report(environment=short)))
    assert [found.verdict for found in compare_reports(old, report())] == ["no change"]


def test_no_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_report(tmp_path / "gone.json")
    (tmp_path / "text.json").write_text("fast")
    with pytest.raises(InputError, match="is no JSON"):
        read_report(tmp_path / "text.json")
    (tmp_path / "twice.json").write_text('{"schema": 1, "schema": 2}')
    with pytest.raises(InputError, match="it has 'schema' 2 times"):
        read_report(tmp_path / "twice.json")
