"""Gates, on planted times: no machine's mood is in them."""

from __future__ import annotations

import pytest

from pmexport.bench.gates import Gate, drop_share, judge, parse_gates
from pmexport.bench.measure import Times, Warmup
from pmexport.bench.timed import Host, RuntimeTimes
from posemamba.errors import InputError


def times(samples_ms: list[float], frames: int = 9) -> RuntimeTimes:
    total = Times.of(ms / 1e3 for ms in samples_ms)
    clips = 1e3 / total.median
    return RuntimeTimes(
        load_s=0.0, warmup=Warmup(1, 0.1, True), runs=len(samples_ms), total=total, steps={},
        unstable=False, best_spread_ms=0.0, host=Host(0.0, None, None, None, False, ""),
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
