"""The energy report's arithmetic and page, from made-up measurements: no GPU is here."""

from __future__ import annotations

import pytest

from benchmarks.networks import energy
from pmexport.bench.measure import Times, Warmup
from pmexport.bench.meters import Conditions
from pmexport.bench.timed import Host, RuntimeTimes

SEEN = Conditions(
    meter="nvml", scope="the GPU's board", seconds=3.0, samples=60, power_w=400.0,
    most_power_w=450.0, energy_j=1200.0, energy_from="counter", clock_mhz=(1755.0, 1980.0),
    temperature_c=61.0, throttled=("power cap",), memory_mib=900.0, notes=(),
)  # fmt: skip


def times(ms: float, conditions: Conditions | None) -> RuntimeTimes:
    total = Times.of([ms / 1e3] * 9)
    return RuntimeTimes(
        load_s=0.1, warmup=Warmup(9, 0.5, True), runs=9, total=total, steps={"compute": total},
        unstable=False, best_spread_ms=0.0, host=Host(None, None, None, 0.01, False, ""),
        clips_per_s=1e3 / ms, frames_per_s=243e3 / ms, host_peak_mib=100.0, device_mib=80.0,
        conditions=conditions,
        energy_mj_per_frame=None if conditions is None else 8.0, settings={}, samples_ms=[],
    )  # fmt: skip


CELL = (energy.GRAPH, "L", 1)


def test_what_the_work_adds_is_the_energy_without_the_idle_share() -> None:
    row = energy.row(CELL, times(2.7, SEEN), 100.0, "no change")
    assert dict(zip(energy._HEADER, row, strict=True)) == {
        "": "L, PyTorch, CUDA graph", "batch": "1", "p50 ms": "2.700", "p95": "2.700",
        "p99": "2.700", "frames/s": "90,000", "W": "400", "mJ per frame": "8.000",
        "less idle": "6.000", "clock MHz": "1755 to 1980", "C": "61", "CV %": "0.0",
        "again": "no change",
    }  # fmt: skip


def test_without_a_meter_there_are_no_figures() -> None:
    row = energy.row(CELL, times(2.7, None), None, "no change")
    assert row[6:11] == ["-"] * 5


@pytest.mark.parametrize(("again", "verdict"), [(2.7, "no change"), (3.0, "slower")])
def test_every_cell_is_held_against_itself(again: float, verdict: str) -> None:
    found = energy.verdicts({CELL: times(2.7, SEEN)}, {CELL: times(again, SEEN)})
    assert found[CELL].verdict == verdict


def test_the_page_says_how_it_was_measured() -> None:
    machine = {"date": "2026-11-29", "nvidia_smi": "a GPU, 1 W", "torch": "2", "onnxruntime": None}
    record = {"environment": machine, "idle_w": 100.0, "frames": None, "meter": "nvml"}
    page = energy.page(record, [energy.row(CELL, times(2.7, SEEN), 100.0, "")], ["a note"])
    for words in ("2026-11-29", "a GPU, 1 W", "243 frames", "by nvml; idle 100 W", "- a note"):
        assert words in page
