"""Is it faster than it was? Two reports of ``pmexport bench``, and the noise of both.

A change counts where two witnesses agree. The medians must differ by more than
:data:`LEAST_CHANGE` and than :data:`SIGMAS` standard errors, which come from the median absolute
deviations: outliers do not widen them. And the best times must differ by half of that: other
load on the machine moves a median, but seldom every run.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posemamba.text import problem

LEAST_CHANGE = 0.05
"""Less than this share is no change: clocks and caches alone make so much between two processes."""
SIGMAS = 3.0
MOST_RUNS = 50
"""Runs after each other are no independent draws: more than these narrow no error."""
_SIGMA_OF_MAD = 1.4826  # of a normal distribution
_ERROR_OF_MEDIAN = 1.2533
_NEEDED = ("median", "best", "mad")


@dataclass(frozen=True)
class Sample:
    """Whole calls of one runtime, milliseconds."""

    median: float
    best: float
    mad: float
    runs: int

    @property
    def error(self) -> float:
        """Standard error of the median."""
        return _ERROR_OF_MEDIAN * _SIGMA_OF_MAD * self.mad / math.sqrt(min(self.runs, MOST_RUNS))


@dataclass(frozen=True)
class Comparison:
    """One runtime, then and now.

    Attributes:
        change: of the median, a share: 0.1 is 10 % slower.
        noise: the least change that would count, a share.
        verdict: ``no change``, ``faster`` or ``slower``.
    """

    runtime: str
    old_ms: float
    new_ms: float
    change: float
    noise: float
    verdict: str

    @property
    def line(self) -> str:
        return (
            f"Compare: {self.runtime} {self.verdict}: {self.old_ms:.3f} to {self.new_ms:.3f} ms, "
            f"{100 * self.change:+.1f} % (counts from {100 * self.noise:.1f} %)"
        )


def compare_samples(runtime: str, old: Sample, new: Sample) -> Comparison:
    """Hold new times against old ones."""
    error = math.hypot(old.error, new.error) / old.median
    noise = max(LEAST_CHANGE, SIGMAS * error)
    change = new.median / old.median - 1
    best = new.best / old.best - 1
    verdict = "no change"
    if abs(change) > noise and change * best > 0 and abs(best) > noise / 2:
        verdict = "slower" if change > 0 else "faster"
    return Comparison(runtime, old.median, new.median, change, noise, verdict)


def read_report(path: Path) -> dict[str, Any]:
    """An older report.

    Raises:
        InputError: no report of ``pmexport bench``, or one from before it kept what is needed.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError):
        raise problem(path, "is no JSON: write it with 'pmexport bench M --json'") from None
    try:
        shape = {key: int(report["shape"][key]) for key in ("batch", "frames", "joints")}
        samples = {str(name): _sample(row) for name, row in report["runtimes"].items()}
        machine = [report["environment"][key] for key in ("machine", "gpu")]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise problem(
            path, f"lacks the shape or {', '.join(_NEEDED)} of its runtimes: measure again with "
            "'pmexport bench M --json'"
        ) from None  # fmt: skip
    return {"path": path, "shape": shape, "runtimes": samples, "machine": machine}


def _sample(row: dict[str, Any]) -> Sample:
    median, best, mad = (float(row["total"][key]) for key in _NEEDED)
    runs = int(row["runs"])
    if not (0 < best <= median < math.inf and 0 <= mad < math.inf and runs >= 1):
        raise ValueError
    return Sample(median, best, mad, runs)


def compare_reports(old: dict[str, Any], new: dict[str, Any]) -> list[Comparison]:
    """Every runtime that both have.

    Args:
        old: of :func:`read_report`.
        new: as ``--json`` writes it.

    Raises:
        InputError: other sizes, another machine, or no runtime in common.
    """
    path = old["path"]
    if old["shape"] != new["shape"]:
        was, now = (
            f"batch {s['batch']}, frames {s['frames']}" for s in (old["shape"], new["shape"])
        )
        raise problem(path, f"was measured at {was}, this at {now}: give the same sizes")
    machine = [new["environment"][key] for key in ("machine", "gpu")]
    if old["machine"] != machine:
        raise problem(path, f"was measured on {old['machine']}, this on {machine}")
    common = [name for name in new["runtimes"] if name in old["runtimes"]]
    if not common:
        had = ", ".join(old["runtimes"]) or "none"
        raise problem(path, f"has other runtimes ({had}): give --runtime as there")
    return [
        compare_samples(name, old["runtimes"][name], _sample(new["runtimes"][name]))
        for name in common
    ]
