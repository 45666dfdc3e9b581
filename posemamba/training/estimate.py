"""How long a run will take on this machine, told before it has taken it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from posemamba.text import plural

STEPS = 3
"""An estimate is made after so many steps; the first, which warms everything up, is not counted."""

LONG_S = 24 * 3600.0
INSTEAD = (
    "a GPU (--device cuda --scan mamba-ssm), a smaller network (--depth 2 --d-model 32 "
    "--frames 27), fewer --steps, or --minutes"
)


def duration(seconds: float) -> str:
    """``40 seconds``, ``3 minutes``, ``5.5 hours``, ``12 days``: as a person would say it."""
    for size, noun in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        count = seconds / size
        if count >= 2 or (noun == "day" and count >= 1):
            whole = count >= 10 or noun == "minute"
            return plural(round(count), noun) if whole else f"{count:.1f} {noun}s"
    return plural(max(round(seconds), 1), "second")


@dataclass
class Estimate:
    """Times the first steps of a run, then says how long the rest takes.

    Attributes:
        minutes: what the run is limited to; None for nothing.
        clock: seconds from anywhere.
        seconds: of the whole rest of the run, when it is known.
    """

    minutes: float | None = None
    clock: Callable[[], float] = time.perf_counter
    seconds: float | None = None
    _seen: list[float] = field(default_factory=list)

    def step(self, step: int, steps: int) -> str | None:
        """Told after each step; once, after :data:`STEPS` of them, what a user should know."""
        if len(self._seen) >= STEPS:
            return None
        self._seen.append(self.clock())
        if len(self._seen) < STEPS:
            return None
        each = (self._seen[-1] - self._seen[0]) / (STEPS - 1)
        left = each * (steps - step)
        self.seconds = left if self.minutes is None else min(left, 60.0 * self.minutes)
        return (
            f"{plural(steps - step, 'step')} to go at {each:.2g} s each: "
            f"about {duration(self.seconds)} on this machine"
        )

    @property
    def warning(self) -> str | None:
        """What to choose instead, of a run of a day or more."""
        if self.seconds is None or self.seconds < LONG_S:
            return None
        return f"this run takes {duration(self.seconds)} on this machine; instead: {INSTEAD}"
