"""Comparisons of real runs on whatever machine this is, other load included.

One thing twice is no change, 20 times of 20. A tenth more work is slower, 19 times of 20. On a busy
machine a comparison may say that it cannot tell; a wrong answer it may not give.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from pmexport.bench.compare import CANNOT_TELL, Sample, compare_samples
from pmexport.bench.measure import Effort, HostBound
from pmexport.bench.timed import time_bound
from pmexport.check.cases import bounce
from pmexport.runtimes.base import FloatArray, RuntimeOptions
from pmexport.runtimes.ort_cpu import OrtCpu
from posemamba.pose.clips import bundled_clips

PAIRS = 20
SHORT_S, USUAL_S = 0.6, 2.5
BUSY = 1.1
"""A median so far above the best time is other load: there each run lasts about as long as the
command's usual three seconds, for it needs calls that nobody disturbed."""


@pytest.mark.alone
@pytest.mark.slow
def test_no_change_and_a_planted_tenth(here: Path) -> None:
    lift = OrtCpu(RuntimeOptions(threads=1)).load(here / "tiny.onnx")
    clip = bounce(next(iter(bundled_clips().values())), 9)[None]

    def sample(extra_s: float, seconds: float) -> Sample:
        def run(keypoints: FloatArray) -> FloatArray:
            poses = lift(keypoints)
            end = time.perf_counter() + extra_s
            while time.perf_counter() < end:  # work, not sleep
                pass
            return poses

        return time_bound(lambda: HostBound(run, clip), 1, 9, Effort(0.1, seconds, 100_000)).sample

    first = sample(0.0, SHORT_S)
    seconds = USUAL_S if first.median > BUSY * first.best else SHORT_S
    old = sample(0.0, seconds)
    extra_s = 1e-4 * old.best  # a tenth of a call
    same = [compare_samples("a", old, sample(0.0, seconds)) for _ in range(PAIRS)]
    slower = [compare_samples("a", old, sample(extra_s, seconds)) for _ in range(PAIRS)]
    told = {CANNOT_TELL} if seconds == USUAL_S else set()
    assert {each.verdict for each in same} <= told | {"no change"}, same
    caught = sum(each.verdict in told | {"slower"} for each in slower)
    assert caught >= PAIRS - 1, slower


@pytest.mark.alone
@pytest.mark.slow
def test_a_slowdown_of_more_than_twice_that_drifts_is_told() -> None:
    """The tenths of it lie so far apart that noise alone would explain it, had anybody else run."""

    def sample(first_s: float, more_s: float) -> Sample:
        calls = 0

        def run(keypoints: FloatArray) -> FloatArray:
            nonlocal calls
            calls += 1
            end = time.thread_time() + first_s + more_s * calls
            while time.thread_time() < end:
                pass
            return keypoints

        clip = np.zeros((1, 9, 17, 2), np.float32)
        return time_bound(lambda: HostBound(run, clip), 1, 9, Effort(0.01, SHORT_S, 60)).sample

    found = compare_samples("a", sample(0.002, 0.0), sample(0.006, 0.0005))
    assert found.noise > 0.9  # as the spread has it, or all that other programs can do
    assert found.verdict == "slower", found
