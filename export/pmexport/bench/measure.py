"""Timing one bound model: warm-up, steps apart, percentiles, and whether the times are steady."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from pmexport.bench.verdict import hides_a_change
from pmexport.runtimes.base import Bound, Enqueues, FloatArray, Lift

UNSTABLE_CV = 0.025
"""Above this coefficient of variation a median depends on when it was taken (trtexec's limit)."""

MIN_RUNS = 5
WINDOW = 5
"""Runs whose median tells whether a warm-up has settled ..."""
SETTLED = 0.02
"""... if it is within this share of the window's before."""
MOST_WARMUP = 10.0
"""A warm-up that does not settle ends after so many times its least length, and is told."""
PATIENCE = 3.0
"""A measurement whose noise would hide a change goes on, to so many times its length."""
LAUNCHES = 20
"""Runs of which the time to start the work is taken."""


@dataclass(frozen=True)
class Effort:
    """How much to run.

    Attributes:
        warmup_s: at least so long, and until the times have settled, before anything counts.
        measure_s: stop after so long, or :data:`PATIENCE` times that on a noisy machine ...
        runs: ... or after so many runs, whichever comes first, but not before :data:`MIN_RUNS`.
    """

    warmup_s: float = 0.5
    measure_s: float = 3.0
    runs: int = 100_000


@dataclass(frozen=True)
class Times:
    """Milliseconds of one step over all runs.

    Attributes:
        cv: coefficient of variation, deviation over mean.
        mad: median absolute deviation from the median.
    """

    median: float
    p90: float
    p95: float
    p99: float
    best: float
    mean: float
    cv: float
    mad: float

    @staticmethod
    def of(seconds: Iterable[float]) -> Times:
        ms = 1e3 * np.fromiter(seconds, dtype=np.float64)
        mean = float(ms.mean())
        p50, p90, p95, p99 = (float(value) for value in np.percentile(ms, (50, 90, 95, 99)))
        cv = float(ms.std() / mean) if mean else 0.0
        mad = float(np.median(np.abs(ms - p50)))
        return Times(p50, p90, p95, p99, float(ms.min()), mean, cv, mad)


@dataclass(frozen=True)
class Warmup:
    """What ran before anything counted; ``settled``: the last two windows' medians agreed."""

    runs: int
    seconds: float
    settled: bool


@dataclass(frozen=True)
class Measurement:
    """What was measured of one model and one input shape.

    Attributes:
        warmup: what came before.
        runs: how many counted.
        total: whole calls, from the input on the host to the poses on the host.
        steps: the same apart: ``upload``, ``compute``, ``download``; only ``compute`` where the
            network runs on the host.
        unstable: the times vary more than :data:`UNSTABLE_CV`.
        launch_ms: median time to start the work without waiting for it; None where a runtime
            cannot.
        samples_ms: the whole calls one by one, in order.
        poses_3d: of the last run.
    """

    warmup: Warmup
    runs: int
    total: Times
    steps: dict[str, Times]
    unstable: bool
    launch_ms: float | None
    samples_ms: list[float]
    poses_3d: FloatArray


class HostBound:
    """A function of host arrays, bound to one input: nothing to copy."""

    def __init__(self, lift: Lift, keypoints_2d: FloatArray) -> None:
        self.settings: dict[str, Any] = {}
        self._lift = lift
        self._keypoints = keypoints_2d
        self._poses: FloatArray | None = None

    def upload(self) -> None:
        """The input is where it is read."""

    def compute(self) -> None:
        self._poses = self._lift(self._keypoints)

    def download(self) -> FloatArray:
        assert self._poses is not None
        return self._poses


def measure(
    bound: Bound,
    effort: Effort,
    clock: Callable[[], float] = time.perf_counter,
    on_run: Callable[[], None] | None = None,
    watching: AbstractContextManager[object] | None = None,
) -> Measurement:
    """Run a bound model until the effort is spent.

    Args:
        clock: seconds, monotonic.
        on_run: called after every run that counts, for a progress bar.
        watching: entered after the warm-up, left after the last run that counts.
    """
    warmup = warm_up(bound, effort.warmup_s, clock)
    rows: list[tuple[float, float, float, float]] = []
    with watching or nullcontext():
        start, until = clock(), effort.measure_s
        while len(rows) < max(MIN_RUNS, effort.runs):
            if len(rows) >= MIN_RUNS and clock() - start >= until:
                if until >= PATIENCE * effort.measure_s or not hides_a_change(_whole_ms(rows)):
                    break
                until += effort.measure_s / 2
            at = [clock()]
            bound.upload()
            at.append(clock())
            bound.compute()
            at.append(clock())
            poses = bound.download()
            at.append(clock())
            rows.append((at[0], at[1], at[2], at[3]))
            if on_run is not None:
                on_run()
    samples = _whole_ms(rows)
    total = Times.of(each / 1e3 for each in samples)
    names = ("upload", "compute", "download")
    steps = {
        name: Times.of(row[i + 1] - row[i] for row in rows)
        for i, name in enumerate(names)
        if name == "compute" or not isinstance(bound, HostBound)
    }
    launch = _launch_ms(bound, clock) if isinstance(bound, Enqueues) else None
    unstable = total.cv > UNSTABLE_CV
    return Measurement(warmup, len(rows), total, steps, unstable, launch, samples, poses)


def _whole_ms(rows: Sequence[tuple[float, float, float, float]]) -> list[float]:
    return [1e3 * (row[3] - row[0]) for row in rows]


def warm_up(bound: Bound, least_s: float, clock: Callable[[], float]) -> Warmup:
    """Run until the least time has gone and the times have settled, or far too long."""
    _once(bound)  # the first compiles, captures and allocates: no sample
    start = clock()
    samples: list[float] = []
    while True:
        spent = clock() - start
        settled = _settled(samples)
        if (spent >= least_s and settled) or spent >= MOST_WARMUP * least_s:
            return Warmup(len(samples) + 1, spent, settled)
        before = clock()
        _once(bound)
        samples.append(clock() - before)


def _settled(samples: list[float]) -> bool:
    if len(samples) < 2 * WINDOW:
        return False
    before, last = (
        float(np.median(window)) for window in (samples[-2 * WINDOW : -WINDOW], samples[-WINDOW:])
    )
    return abs(last - before) <= SETTLED * before


def _launch_ms(bound: Enqueues, clock: Callable[[], float]) -> float:
    """Median time of the host to start the work."""
    taken = []
    for _ in range(LAUNCHES):
        bound.upload()
        start = clock()
        bound.enqueue()
        taken.append(clock() - start)
        bound.download()  # waits for it
    return 1e3 * float(np.median(taken))


def _once(bound: Bound) -> FloatArray:
    bound.upload()
    bound.compute()
    return bound.download()
