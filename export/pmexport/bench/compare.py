"""Is it faster than it was? Two reports of ``pmexport bench``, and the noise of both.

Other load on a machine moves medians by a third and more, but seldom every run: the best time
stays. So the best times decide. Their noise is how far the best times of tenths of a measurement
lie apart, and a change counts from :data:`LEAST_CHANGE` and from :data:`SPREADS` of it. A median
far above the best time says that perhaps no call was undisturbed: :data:`EXCESS` of that is noise
too. Where both measurements were quiet, medians decide too: they see what hits some calls alone.
Reports from before the spread was kept are judged by medians and best times together.

Best times that lie apart by more than a change, and by less than their noise, could be either: the
verdict is ``cannot tell``. So that it is seldom needed, a measurement goes on while its own noise
would hide a change (:func:`hides_a_change`). Nor can noise explain everything: where the system
tells how long a measurement's threads waited for cores that others had, it would have lost no more
than that without them, and :data:`UNSEEN` times what is left for caches and clocks.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pmexport.format.files import read_report_json
from posemamba.text import one_line, problem

Reported: TypeAlias = Any
"""Whatever a report holds where a number should be."""

LEAST_CHANGE = 0.05
"""Less than this share is no change: clocks and caches alone make so much between two processes."""
SPREADS = 2.0
EXCESS = 0.1
"""Two threads on two cores at a load of 18 had medians twelve times the best, which moved by half;
one thread at the same time had 1.2 times the best, which stayed within 1.5 %."""
UNSEEN = 2.0
"""What other programs do to a thread while it runs, by shared caches and lower clocks, makes it
slower by no more than this."""
SIGMAS = 3.0
QUIET = 0.01
"""A measurement whose median absolute deviation is below this share of its median is quiet."""
MOST_RUNS = 50
"""Runs after each other are no independent draws: more than these narrow no error."""
_TENTHS = 10
_LEAST_BLOCK = 3  # runs whose best says something
_SIGMA_OF_MAD = 1.4826  # of a normal distribution
_ERROR_OF_MEDIAN = 1.2533
_KIND = ("variant", "scan_order", "ops", "precision", "max_frames")  # what a model's time is of
_NEEDED = ("median", "best", "mad")

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
    """

    median: float
    best: float
    mad: float
    runs: int
    spread: float | None = None
    waited: float | None = None

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
    """

    runtime: str
    witness: Witness
    old_ms: float
    new_ms: float
    change: float
    noise: float
    verdict: str

    @property
    def line(self) -> str:
        witness = "best " if self.witness == "best" else ""
        more = "; close other programs and measure both again" * (self.verdict == CANNOT_TELL)
        return (
            f"Compare: {self.runtime} {self.verdict}: {witness}{self.old_ms:.3f} to "
            f"{self.new_ms:.3f} ms, {100 * self.change:+.1f} % (counts from "
            f"{100 * self.noise:.1f} %{more})"
        )


def compare_samples(runtime: str, old: Sample, new: Sample) -> Comparison:
    """Hold new times against old ones."""
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


def read_report(path: str | os.PathLike[str]) -> dict[str, Any]:
    """An older report.

    Raises:
        InputError: no report of ``pmexport bench``, or one from before it kept what is needed.
    """
    path = Path(path)
    report = read_report_json(path, "pmexport bench M --json")
    try:
        shape = {key: int(report["shape"][key]) for key in ("batch", "frames", "joints")}
        samples = {str(name): _sample(row) for name, row in report["runtimes"].items()}
        machine = measured_on(report["environment"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise problem(
            path, f"lacks the shape or {', '.join(_NEEDED)} of its runtimes: measure again with "
            "'pmexport bench M --json'"
        ) from None  # fmt: skip
    return {
        "path": path,
        "shape": shape,
        "runtimes": samples,
        "machine": machine,
        "model": report.get("model"),
    }


def measured_on(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What times depend on, of a report's environment; older ones told less.

    Raises:
        KeyError, TypeError: it is none.
    """
    return {
        key: environment[key]
        for key in ("machine", "gpu", "processor", "cores", "threads")
        if key in ("machine", "gpu") or key in environment
    }


def refuse_other_machine(path: Path, old: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Times of two machines say nothing of a program.

    Args:
        path: of the older report, with ``old`` as :func:`measured_on`.

    Raises:
        InputError: another machine, or another number of threads.
    """
    for key, was in old.items():
        if was != now[key]:
            fix = "give --threads as there" if key == "threads" else "measure again here"
            raise problem(path, f"was measured on {key} {one_line(was)}, this on {now[key]}: {fix}")


def _sample(row: dict[str, Any]) -> Sample:
    median, best, mad = (row["total"][key] for key in _NEEDED)
    return checked_sample(
        median,
        best,
        mad,
        row["runs"],
        spread=row.get("best_spread_ms"),
        waited=row.get("host", {}).get("waited_share"),
    )


def checked_sample(
    median: Reported,
    best: Reported,
    mad: Reported,
    runs: Reported,
    spread: Reported = None,
    waited: Reported = None,
) -> Sample:
    """A sample that somebody wrote down.

    Raises:
        TypeError, ValueError: it holds no times.
    """
    median, best, mad, runs = float(median), float(best), float(mad), int(runs)
    spread, waited = (None if value is None else float(value) for value in (spread, waited))
    finite = 0 < best <= median < math.inf and 0 <= mad < math.inf and runs >= 1
    if not finite or not 0 <= (spread or 0.0) < math.inf or not 0 <= (waited or 0.0) <= 1:
        raise ValueError
    return Sample(median, best, mad, runs, spread, waited)


def another_model(old: Mapping[str, Any], model: object) -> str | None:
    """What to say of a report that measured another kind of model; None where it did not.

    Args:
        old: of :func:`read_report`.
        model: as a report describes it.
    """
    was = old["model"]
    if not isinstance(was, Mapping) or not isinstance(model, Mapping):
        return None
    differs = [
        f"{key.replace('_', ' ')} {one_line(was[key])} there, {model[key]} here"
        for key in _KIND
        if key in was and key in model and was[key] != model[key]
    ]
    if not differs:
        return None
    return (
        f"{old['path']} measured another model ({'; '.join(differs)}): what is faster or slower "
        "may be that"
    )


def compare_reports(old: dict[str, Any], new: dict[str, Any]) -> list[Comparison]:
    """Every runtime that both have.

    Args:
        old: of :func:`read_report`.
        new: as ``--json`` writes it.

    Raises:
        InputError: other sizes, another machine, or no runtime in common.
    """
    refuse_incomparable(old, new["shape"], new["runtimes"], new["environment"])
    return [
        compare_samples(name, old["runtimes"][name], _sample(new["runtimes"][name]))
        for name in new["runtimes"]
        if name in old["runtimes"]
    ]


def refuse_incomparable(
    old: dict[str, Any],
    shape: dict[str, int],
    runtimes: Iterable[str],
    environment: dict[str, Any],
) -> None:
    """Make sure that a report says something of a measurement, before it is made.

    Raises:
        InputError: other sizes, another machine, or no runtime in common.
    """
    path = old["path"]
    if old["shape"] != shape:
        was, now = (f"batch {s['batch']}, frames {s['frames']}" for s in (old["shape"], shape))
        raise problem(path, f"was measured at {was}, this at {now}: give the same sizes")
    refuse_other_machine(path, old["machine"], environment)
    if not any(name in old["runtimes"] for name in runtimes):
        had = ", ".join(old["runtimes"]) or "none"
        raise problem(path, f"has other runtimes ({had}): give --runtime as there")
