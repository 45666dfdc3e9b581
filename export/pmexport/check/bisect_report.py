"""What a bisection found, as lines for people."""

from __future__ import annotations

import math
from pathlib import Path

from pmexport.check.bisect import BisectReport, Difference, Limits, PairResult, Statistics
from pmexport.check.keep import KeepReport
from posemamba.text import pasted, plural, table

_SHOWN = 8


def bisect_lines(report: BisectReport) -> list[str]:
    """For every two sides, the module where they part, or that they do not."""
    lines = [f"Bisect: {report.case}, {plural(report.frames, 'frame')}"]
    for pair in report.pairs:
        lines += _pair_lines(pair, report.limits)
    return lines


def keep_lines(report: KeepReport, path: Path) -> list[str]:
    """What a search for a keep list found."""
    tried = f"{plural(report.tried, 'list')} tried"
    without = f"{report.without_mm:.3g} mm" if math.isfinite(report.without_mm) else "broken poses"
    if report.entries is None:
        return [
            f"Keep: no list helps: with everything in fp32 the drift is {report.drift_mm:.3g} mm, "
            f"over {report.limit_mm:g} mm: fp16 is not what is wrong"
        ]
    if not report.entries:
        return [
            f"Keep: nothing need be kept: an fp16 export of this checkpoint drifts by {without}, "
            f"the bound is {report.limit_mm:g} mm"
        ]
    names = ", ".join(report.entries[:_SHOWN])
    more = len(report.entries) - _SHOWN
    return [
        f"Keep: {names}{f' and {more} more' if more > 0 else ''} in fp32: drift "
        f"{report.drift_mm:.3g} mm, {without} without ({tried}; none of them can be left out)",
        f"  written as {path}: pmexport onnx --fp16 --keep {pasted(path)} --ckpt C",
    ]


def _pair_lines(pair: PairResult, limits: Limits) -> list[str]:
    one, two = pair.sides
    lines = []
    if pair.first is None:
        assert pair.worst is not None
        lines.append(
            f"  {one} and {two}: no module leaves tolerance, {plural(pair.compared, 'tensor')} "
            f"compared; the largest difference is {pair.worst.rms:.1e} of the values' RMS, in "
            f"{pair.worst.point}"
        )
    else:
        first, before = pair.first, pair.before
        lines.append(f"  {one} and {two} part in {first.point}")
        rows = [_row(name, values) for name, values in first.values.items()]
        lines.append(table(("", "min", "max", "mean", "RMS", "not finite"), rows))
        lines.append(
            f"  apart by {_share(first.rms)} of the values' RMS (limit {limits.rms:g}), at most "
            f"{_share(first.largest)} (limit {limits.largest:g}) at {_place(first)}"
        )
        if before is not None:
            lines.append(f"  before it, {before.point} is apart by {before.rms:.1e}")
    return [*lines, *_observed_lines(pair)]


def _observed_lines(pair: PairResult) -> list[str]:
    """Whether looking changed the poses, and what follows from that."""
    moved = {name: apart for name, apart in pair.observed.items() if apart}
    if not moved:
        return ["  observing changed nothing: the poses are the unobserved ones, bit for bit"]
    told = ", ".join(f"{name}'s poses by at most {apart:.1e}" for name, apart in moved.items())
    if pair.confirmed is None:
        return [f"  observing moved {told}"]
    if pair.confirmed:
        return [f"  observing moved {told}; seen again in a run that ends at that module"]
    return [
        f"  observing moved {told}, and in a run that ends at that module the two do NOT part: "
        "what is seen there is what observing did"
    ]


def _row(name: str, values: Statistics) -> tuple[str, ...]:
    numbers = (values.smallest, values.largest, values.mean, values.rms)
    return (
        name,
        *("-" if number is None else f"{number:.4g}" for number in numbers),
        str(values.not_finite),
    )


def _share(value: float) -> str:
    return f"{value:.1e}" if value < float("inf") else "infinity (one side is not finite)"


def _place(found: Difference) -> str:
    return f"[{', '.join(str(i) for i in found.where)}] of {found.shape}"
