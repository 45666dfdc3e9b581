"""Faster, slower or neither, on planted times and on recorded ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pmexport.bench.measure import Times
from pmexport.bench.verdict import (
    CANNOT_TELL,
    Comparison,
    Sample,
    best_spread,
    compare_samples,
)


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


STEADY = Sample(10.2, 10.0, 0.1, 200, 0.1, 0.0, 0.06)


@pytest.mark.parametrize(
    ("time", "pace", "waited", "verdict"),
    [
        (1.0, 1.0, 0.0, "no change"),
        (1.2, 1.0, 0.0, "slower"),
        (1.5, 1.5, 0.0, CANNOT_TELL),  # half a core's units less
        (2.9, 1.5, 0.0, CANNOT_TELL),
        (3.1, 1.5, 0.0, "slower"),  # from 2 x 1.5 on
        (1.0, 1.5, 0.0, CANNOT_TELL),  # a third faster, or untouched
        (1.0, 1.09, 0.0, "no change"),
        (0.7, 1 / 1.5, 0.0, CANNOT_TELL),
        (0.32, 1 / 1.5, 0.0, "faster"),  # from a third down
        (1.5, 1.0, 0.4, CANNOT_TELL),  # nobody knows what the best call had beside it
        (1.0, 1.0, 0.4, CANNOT_TELL),
        (2.1, 1.0, 0.4, "slower"),
        (2.1, 1.0, 0.9, CANNOT_TELL),  # calls that worked for 4.3 ms took at least 21
        (1.2, None, 0.0, "slower"),  # a report from before there was a yardstick
    ],
)
def test_what_the_machine_did_itself_is_no_change_of_a_program(
    time: float, pace: float | None, waited: float, verdict: str
) -> None:
    median = 10.2 * time / (1 - min(waited, 0.5))
    now = replace(
        STEADY, median=median, best=10.0 * time, waited=waited,
        yardstick=None if pace is None else 0.06 * pace,
    )  # fmt: skip
    assert compare_samples("a", STEADY, now).verdict == verdict


def test_a_machine_that_changed_is_named() -> None:
    now = replace(STEADY, median=15.3, best=15.0, yardstick=0.09)
    found = compare_samples("a", STEADY, now)
    assert found.machine == pytest.approx(0.5)
    assert found.line == (
        "Compare: a cannot tell: best 10.000 to 15.000 ms, +50.0 % (counts from 200.0 %; the "
        "machine itself changed by +50 %; close other programs and measure both again)"
    )
