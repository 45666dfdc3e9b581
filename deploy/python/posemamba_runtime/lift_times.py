"""How long lifting takes on this machine, which whoever promises a latency measures first."""

from __future__ import annotations

import time

import numpy as np

from posemamba_runtime.lifter import Lifter

_RUNS = 3


def lift_times_ms(lifter: Lifter, batch: int, window: int) -> list[float]:
    """Milliseconds of a few runs of ``batch`` windows at once, after one that allocates."""
    clips = np.zeros((batch, window, 17, 2), np.float32)
    lifter.lift(clips)
    times = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        lifter.lift(clips)
        times.append((time.perf_counter() - start) * 1e3)
    return times
