"""Is it faster than it was? Two measurements, and the noise of both.

Other load on a machine moves medians by a third and more, but seldom every run: the best time
stays. So the best times decide. Their noise is how far the best times of tenths of a measurement
lie apart, and a change counts from :data:`LEAST_CHANGE` and from :data:`SPREADS` of it. A median
far above the best time says that perhaps no call was undisturbed: :data:`EXCESS` of that is noise
too. Where both measurements were quiet, medians decide too: they see what hits some calls alone.
Measurements from before the spread was kept are judged by medians and best times together.

Best times that lie apart by more than a change, and by less than their noise, could be either: the
verdict is ``cannot tell``. So that it is seldom needed, a measurement goes on while its own noise
would hide a change (:func:`hides_a_change`). Nor can noise explain everything: where the system
tells how long a measurement's threads waited for cores that others had, it would have lost no more
than that without them, and :data:`UNSEEN` times what is left for caches and clocks.

The machine itself changes too: a core shares its units with one that others use, its clock falls.
Then every call takes longer, and nothing of the above shows it. The yardstick does
(:mod:`pmexport.bench.yardstick`). Where it changed (:data:`OTHER_PACE`), or threads waited for
cores much of the time (:data:`CROWDED`), a change counts from :data:`UNSEEN` times that of the
yardstick.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

LEAST_CHANGE = 0.05
"""Less than this share is no change: clocks and caches alone make so much between two processes."""
SPREADS = 2.0
EXCESS = 0.1
"""Two threads on two cores at a load of 18 had medians twelve times the best, which moved by half;
one thread at the same time had 1.2 times the best, which stayed within 1.5 %."""
UNSEEN = 2.0
"""What other programs do to a thread while it runs, by shared caches and lower clocks, makes it
slower by no more than this."""
OTHER_PACE = 0.1
"""Yardsticks further apart than this were measured on two machines, in effect. On a quiet one they
lie within 10 %; half a core's units make 40 % (reports/2026-12-01-compare-runs.md)."""
CROWDED = 0.1
"""Share of the time that threads waited for cores: above it no call and no yardstick is known to
have run alone."""
SIGMAS = 3.0
QUIET = 0.01
"""A measurement whose median absolute deviation is below this share of its median is quiet."""
MOST_RUNS = 50
"""Runs after each other are no independent draws: more than these narrow no error."""
_LEAST_SHARE = 1e-3  # of a best time, that a call worked: keeps factors finite
_TENTHS = 10
_LEAST_BLOCK = 3  # runs whose best says something
_SIGMA_OF_MAD = 1.4826  # of a normal distribution
_ERROR_OF_MEDIAN = 1.2533

CANNOT_TELL = "cannot tell"

Witness = Literal["best", "median"]


def best_spread(samples_ms: Sequence[float]) -> float:
    """How far the best times of tenths of a measurement lie above the best of all, ms.

    Only the third of them that is nearest counts, for other load may take the rest. Of a few runs,
    how far the median lies.
    """
    best = min(samples_ms)
    blocks = min(_TENTHS, len(samples_ms) // _LEAST_BLOCK)
    if blocks < 2:
        return sorted(samples_ms)[len(samples_ms) // 2] - best
    edges = [len(samples_ms) * i // blocks for i in range(blocks + 1)]
    floors = sorted(min(samples_ms[i:j]) for i, j in pairwise(edges))
    nearest = max(1, blocks // 3)  # of two or three blocks the first would be the best itself
    return floors[nearest] - best


def hides_a_change(samples_ms: Sequence[float]) -> bool:
    """Whether the noise of a measurement alone is more than the least change that counts."""
    return SPREADS * best_spread(samples_ms) > LEAST_CHANGE * min(samples_ms)


@dataclass(frozen=True)
class Sample:
    """Whole calls of one runtime, milliseconds.

    Attributes:
        spread: as :func:`best_spread`; None in an older report.
        waited: share of the time in which threads waited for cores that others had; None where
            nobody knows.
        yardstick: the same piece of work in every measurement, ms; None as above.
    """

    median: float
    best: float
    mad: float
    runs: int
    spread: float | None = None
    waited: float | None = None
    yardstick: float | None = None

    @property
    def pace(self) -> float | None:
        """The yardstick, longer by what even the best call waited, ms; None where nobody knows.

        A call worked for the share of its time in which its threads did not wait. A best time
        longer than that was never left alone; the yardstick, shorter than a scheduler's turn, was.
        """
        if self.yardstick is None:
            return None
        worked = self.median * (1.0 - (self.waited or 0.0))
        return self.yardstick * max(1.0, self.best / max(worked, _LEAST_SHARE * self.best))

    @property
    def error(self) -> float:
        """Standard error of the median."""
        return _ERROR_OF_MEDIAN * _SIGMA_OF_MAD * self.mad / math.sqrt(min(self.runs, MOST_RUNS))

    @property
    def quiet(self) -> bool:
        return self.mad <= QUIET * self.median


@dataclass(frozen=True)
class Comparison:
    """One runtime, then and now.

    Attributes:
        witness: whether best times or medians decided.
        old_ms, new_ms: of the witness.
        change: of the witness, a share: 0.1 is 10 % slower.
        noise: the least change that would count, a share.
        verdict: ``no change``, ``faster``, ``slower`` or ``cannot tell``.
        machine: by which share the machine itself was slower than then; None where nobody knows.
    """

    runtime: str
    witness: Witness
    old_ms: float
    new_ms: float
    change: float
    noise: float
    verdict: str
    machine: float | None = None

    @property
    def line(self) -> str:
        witness = "best " if self.witness == "best" else ""
        more = ""
        if self.verdict == CANNOT_TELL:
            more = "; close other programs and measure both again"
            if self.machine is not None and abs(self.machine) > OTHER_PACE:
                more = f"; the machine itself changed by {100 * self.machine:+.0f} %{more}"
        return (
            f"Compare: {self.runtime} {self.verdict}: {witness}{self.old_ms:.3f} to "
            f"{self.new_ms:.3f} ms, {100 * self.change:+.1f} % (counts from "
            f"{100 * self.noise:.1f} %{more})"
        )


def compare_samples(runtime: str, old: Sample, new: Sample) -> Comparison:
    """Hold new times against old ones."""
    found = _by_times(runtime, old, new)
    if old.pace is None or new.pace is None:
        return found
    machine = new.pace / old.pace - 1
    apart = max(old.pace, new.pace) / min(old.pace, new.pace) - 1
    if apart <= OTHER_PACE and max(old.waited or 0.0, new.waited or 0.0) <= CROWDED:
        return replace(found, machine=machine)
    factor = UNSEEN * (1 + apart)
    explained = factor - 1 if found.change > 0 else 1 - 1 / factor
    noise = max(found.noise, explained)
    told = found.verdict != "no change" and abs(found.change) > noise
    return replace(
        found, noise=noise, verdict=found.verdict if told else CANNOT_TELL, machine=machine
    )


def _by_times(runtime: str, old: Sample, new: Sample) -> Comparison:
    """What the times alone say."""
    error = math.hypot(old.error, new.error) / old.median
    by_median = _judged(
        runtime, "median", old.median, new.median, max(LEAST_CHANGE, SIGMAS * error)
    )
    best = new.best / old.best - 1
    if old.spread is None or new.spread is None:
        doubted = by_median.change * best <= 0 or abs(best) <= by_median.noise / 2
        return replace(by_median, verdict="no change") if doubted else by_median
    spread = SPREADS * math.hypot(old.spread, new.spread) / old.best
    excess = EXCESS * max(each.median / each.best - 1 for each in (old, new))
    noise = min(max(LEAST_CHANGE, spread, excess), _most_noise(old, new))
    by_best = _judged(runtime, "best", old.best, new.best, noise)
    if by_best.verdict in ("no change", CANNOT_TELL) and old.quiet and new.quiet:
        return by_median
    return by_best


def _most_noise(old: Sample, new: Sample) -> float:
    """The largest change of best times that other programs can have made to the slower of two."""
    slower = max(old, new, key=lambda each: each.best)
    if slower.waited is None:
        return math.inf
    left = (1.0 - slower.waited) / UNSEEN  # of its time, at least, had it been alone
    if slower is old:
        return 1.0 - left
    return 1.0 / left - 1.0 if left else math.inf


def _judged(runtime: str, witness: Witness, old: float, new: float, noise: float) -> Comparison:
    change = new / old - 1
    if abs(change) > noise:
        verdict = "slower" if change > 0 else "faster"
    else:
        verdict = "no change" if abs(change) <= LEAST_CHANGE else CANNOT_TELL
    return Comparison(runtime, witness, old, new, change, noise, verdict)
