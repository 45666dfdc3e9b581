"""Gates and comparisons, on planted times: no machine's mood is in them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pmexport.bench.compare import (
    CANNOT_TELL,
    Comparison,
    Sample,
    another_model,
    best_spread,
    compare_reports,
    compare_samples,
    read_report,
)
from pmexport.bench.gates import Gate, drop_share, judge, parse_gates
from pmexport.bench.measure import Times, Warmup
from pmexport.bench.timed import Host, RuntimeTimes
from posemamba.errors import InputError


def times(samples_ms: list[float], frames: int = 9) -> RuntimeTimes:
    total = Times.of(ms / 1e3 for ms in samples_ms)
    clips = 1e3 / total.median
    return RuntimeTimes(
        load_s=0.0, warmup=Warmup(1, 0.1, True), runs=len(samples_ms), total=total, steps={},
        unstable=False, best_spread_ms=0.0, host=Host(0.0, None, None, False, ""),
        clips_per_s=clips, frames_per_s=clips * frames, host_peak_mib=1.0, device_mib=None,
        conditions=None, energy_mj_per_frame=None, settings={}, samples_ms=samples_ms,
    )  # fmt: skip


RAMP = [float(ms) for ms in range(1, 102)]  # 1 to 101 ms: p50 51, p90 91, p95 96, p99 100


@pytest.mark.parametrize(
    ("gate", "found"),
    [("p50", 51.0), ("p90", 91.0), ("p95", 96.0), ("p99", 100.0), ("jitter", 49.0)],
)
def test_times_have_a_most(gate: str, found: float) -> None:
    for limit, met in ((found + 0.01, True), (found - 0.01, False)):
        (result,) = judge([Gate(gate, limit)], {"ort-cpu": times(RAMP)})
        assert result.found == pytest.approx(found)
        assert result.met is met


def test_frames_per_second_have_a_least() -> None:
    (met,) = judge([Gate("fps", 899.0)], {"a": times([10.0] * 9)})
    (missed,) = judge([Gate("fps", 901.0)], {"a": times([10.0] * 9)})
    assert (met.found, met.met, missed.met) == (pytest.approx(900.0), True, False)


@pytest.mark.parametrize(
    ("samples", "rate", "share"),
    [
        ([20.0] * 10, 30.0, 0.0),
        ([20.0] * 10, 50.0, 0.0),  # exactly the period
        ([20.1] * 10, 50.0, 50.0),  # every second frame finds the model busy
        ([50.0] * 10, 30.0, 50.0),
        ([100.0] * 10, 30.0, 200 / 3),
        ([10.0] * 9 + [90.0], 30.0, 100 * 2 / 12),  # one slow call loses two of twelve
    ],
)
def test_drops_of_a_live_stream(samples: list[float], rate: float, share: float) -> None:
    assert drop_share(samples, rate) == pytest.approx(share)


def test_every_runtime_and_gate_has_a_line() -> None:
    gates = parse_gates("p95=12,fps=400,jitter=3,drops=1@30")
    results = judge(gates, {"a": times([5.0] * 9), "b": times([50.0] * 9)})
    lines = [result.line for result in results]
    assert lines[0] == "Gate p95=12: a has 5 ms: met"
    assert lines[4] == "Gate p95=12: b has 50 ms: MISSED"
    assert lines[7] == "Gate drops=1@30: b has 50 % dropped: MISSED"
    assert [result.met for result in results] == [True] * 4 + [False, False, True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("p96=3", "'p96' is no gate: did you mean 'p9"),
        ("", "no gate"),
        ("p95", "write it as p95=12"),
        ("p95=fast", "'fast' is no number"),
        ("p95=nan", "'nan'"),
        ("p95=inf", "'inf'"),
        ("p95=-1", "'-1'"),
        ("p95=3,p95=4", "twice"),
        ("p95=3@30", "write it as"),
        ("drops=1@0", "'0'"),
        ("drops=1@", "''"),
        ("p95=3,", "no gate"),
    ],
)
def test_gates_that_are_none(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_gates(text)


def test_spaces_case_and_rate() -> None:
    assert parse_gates(" P95=3, drops=0@60 ") == (Gate("p95", 3.0), Gate("drops", 0.0, 60.0))
    assert parse_gates("drops=1")[0].rate == 30.0


def run(seed: int, slower: float = 1.0, load: float = 0.0, kept: bool = True) -> Sample:
    """200 calls of 10 ms on a noisy machine: jitter upwards, outliers, and other load that takes
    some of the calls for a while."""
    generator = np.random.default_rng(seed)
    ms = 10.0 + generator.gamma(2.0, 0.4, 200)
    ms += (generator.uniform(size=200) < 0.05) * generator.uniform(5, 40, 200)
    ms[: int(200 * load)] += generator.uniform(2, 6)
    total = Times.of(slower * ms / 1e3)
    spread = best_spread(list(slower * ms)) if kept else None
    return Sample(total.median, total.best, total.mad, 200, spread)


def verdicts(pairs: int, slower: float, load: float = 0.0) -> list[str]:
    return [
        compare_samples("a", run(2 * i), run(2 * i + 1, slower, load)).verdict for i in range(pairs)
    ]


def test_one_thing_twice_is_no_change() -> None:
    assert verdicts(200, 1.0).count("no change") == 200


def test_other_load_is_no_slowdown() -> None:
    """It takes 70 % of the calls and moves the median far, the best time not at all."""
    assert verdicts(50, 1.0, load=0.7).count("no change") == 50


@pytest.mark.parametrize(("factor", "verdict"), [(1.1, "slower"), (1 / 1.1, "faster")])
def test_ten_percent_are_caught(factor: float, verdict: str) -> None:
    assert verdicts(200, factor).count(verdict) >= 190


def test_two_percent_are_no_change() -> None:
    steady = Sample(10.0, 10.0, 0.0, 200)
    assert compare_samples("a", steady, Sample(10.2, 10.2, 0.0, 200)).verdict == "no change"


def test_more_noise_needs_more_change() -> None:
    def verdict(mad: float) -> Comparison:
        return compare_samples("a", Sample(10.0, 9.0, mad, 50), Sample(11.5, 10.4, mad, 50))

    assert verdict(0.1).verdict == "slower"
    assert verdict(2.0).verdict == CANNOT_TELL
    assert verdict(2.0).noise > verdict(0.1).noise


def test_two_halves_tell_of_noise_too() -> None:
    """Calls of half a second leave six or seven runs to a measurement."""
    assert best_spread([500, 510, 505, 560, 570, 565]) == 60
    assert best_spread([500, 510, 505, 500, 570, 565]) == 0


@pytest.mark.parametrize(
    ("now", "verdict"),
    [(10.0, "no change"), (10.4, "no change"), (11.0, CANNOT_TELL), (9.0, CANNOT_TELL),
     (12.5, "slower"), (8.0, "faster")],
)  # fmt: skip
def test_between_a_change_and_the_noise_nobody_can_tell(now: float, verdict: str) -> None:
    """Each measurement's best times lie 0.5 ms apart: twice both together are 14 %."""
    found = compare_samples(
        "a", Sample(11.0, 10.0, 0.5, 200, 0.5), Sample(1.1 * now, now, 0.5, 200, 0.5)
    )
    assert found.noise == pytest.approx(0.1414, abs=1e-3)
    assert found.verdict == verdict
    assert ("measure both again" in found.line) == (verdict == CANNOT_TELL)


@pytest.mark.parametrize(
    ("old", "new", "waited", "verdict"),
    [
        (10.0, 25.0, 0.0, "slower"),  # it drifts to 50, and nobody was in its way
        (10.0, 25.0, 0.1, "slower"),
        (10.0, 25.0, 0.3, CANNOT_TELL),  # without them 17.5, and by caches 8.75
        (10.0, 25.0, 1.0, CANNOT_TELL),
        (10.0, 25.0, None, CANNOT_TELL),  # a device, or a system that keeps no account
        (10.0, 19.0, 0.0, CANNOT_TELL),
        (25.0, 10.0, 0.0, "faster"),
        (25.0, 10.0, 0.3, CANNOT_TELL),
        (19.0, 10.0, 0.0, CANNOT_TELL),
    ],
)
def test_other_programs_explain_no_more_than_they_took(
    old: float, new: float, waited: float | None, verdict: str
) -> None:
    """The slower of both drifts: its tenths' best times lie further apart than both's times."""

    def sample(best: float) -> Sample:
        drifts = best > 10.0
        spread = 2 * best if drifts else 0.1
        return Sample(1.4 * best, best, 0.1 * best, 200, spread, waited if drifts else 0.9)

    assert compare_samples("a", sample(old), sample(new)).verdict == verdict


@pytest.mark.parametrize("waited", [-0.1, 1.1, "much", float("nan")])
def test_a_share_that_is_none_is_no_report(tmp_path: Path, waited: object) -> None:
    whole = report()
    whole["runtimes"]["ort-cpu"]["host"] = {"waited_share": waited}
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
