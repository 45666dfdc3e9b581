"""Two reports of ``pmexport bench``: what is asked of an older one, and the verdicts on both."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pmexport.bench.verdict import Comparison, Sample, compare_samples
from pmexport.format.files import read_report_json
from posemamba.text import one_line, problem

Reported: TypeAlias = Any
"""Whatever a report holds where a number should be."""

_KIND = ("variant", "scan_order", "ops", "precision", "max_frames")  # what a model's time is of
_NEEDED = ("median", "best", "mad")


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
    host = row.get("host", {})
    return checked_sample(
        median,
        best,
        mad,
        row["runs"],
        spread=row.get("best_spread_ms"),
        waited=host.get("waited_share"),
        yardstick=host.get("yardstick_ms"),
    )


def checked_sample(
    median: Reported,
    best: Reported,
    mad: Reported,
    runs: Reported,
    spread: Reported = None,
    waited: Reported = None,
    yardstick: Reported = None,
) -> Sample:
    """A sample that somebody wrote down.

    Raises:
        TypeError, ValueError: it holds no times.
    """
    median, best, mad, runs = float(median), float(best), float(mad), int(runs)
    spread, waited, yardstick = (
        None if value is None else float(value) for value in (spread, waited, yardstick)
    )
    finite = 0 < best <= median < math.inf and 0 <= mad < math.inf and runs >= 1
    if not finite or not 0 <= (spread or 0.0) < math.inf or not 0 <= (waited or 0.0) <= 1:
        raise ValueError
    if yardstick is not None and not 0 < yardstick < math.inf:
        raise ValueError
    return Sample(median, best, mad, runs, spread, waited, yardstick)


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
