"""What comparisons say of one program, by measurements that were recorded while others worked."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from places import ROOT

from benchmarks.networks.compare_runs import OTHERS, verdict_table, verdicts
from pmexport.bench.verdict import Sample

PLACE = ROOT / "reports" / "2026-12-01-compare-runs.json"
RUNS = {
    name: [Sample(**row) for row in rows]
    for name, rows in json.loads(PLACE.read_text(encoding="utf-8"))["samples"].items()
}
PAIRS = 60 * 59
#: Of "alone": in the first twenty somebody had the other half of the core, whoever it was.
QUIET = RUNS["alone"][20:]


def wrong(said: Counter[str]) -> int:
    """One program held against itself has not changed."""
    return said["slower"] + said["faster"]


def test_every_kind_was_recorded() -> None:
    assert list(RUNS) == list(OTHERS)
    assert all(len(samples) == 60 for samples in RUNS.values())


@pytest.mark.parametrize("name", RUNS)
def test_the_yardstick_leaves_a_tenth_of_the_wrong_answers(name: str) -> None:
    without, with_it = (wrong(verdicts(RUNS[name], 1.0, held)) for held in (False, True))
    assert without > 0.4 * PAIRS
    assert with_it < 0.1 * without


def test_a_quiet_machine_has_none_and_misses_little() -> None:
    pairs = len(QUIET) * (len(QUIET) - 1)
    assert wrong(verdicts(QUIET, 1.0)) == 0
    assert verdicts(QUIET, 1.0)["no change"] > 0.95 * pairs
    assert verdicts(QUIET, 1.1)["slower"] > 0.95 * pairs
    assert verdicts(QUIET, 1 / 1.1)["faster"] > 0.95 * pairs


def test_the_page_shows_what_the_record_gives() -> None:
    assert verdict_table(RUNS) in PLACE.with_suffix(".md").read_text(encoding="utf-8")
