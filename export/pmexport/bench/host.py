"""Who kept a measurement waiting: the host, or the device.

On the CPU a call that sleeps or waits for others has a thread that neither runs nor wants to run.
Linux tells both times of each thread (``/proc/self/task/*/schedstat``), so that waiting for a core
that another program has is not taken for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

HOST_BOUND_SHARE = 0.25
"""Above this share of time in which nobody computed the host sets the pace."""
LAUNCH_BOUND_SHARE = 0.5
"""Above this share of a device's computing that goes by before its work is started."""

_TASKS = Path("/proc/self/task")


def busy_seconds(tasks: Path = _TASKS) -> dict[str, float] | None:
    """Seconds each living thread ran or waited for a core; None where the system does not tell."""
    found: dict[str, float] = {}
    try:
        for task in tasks.iterdir():
            try:
                text = (task / "schedstat").read_text(encoding="ascii")
            except OSError:  # it has ended meanwhile
                continue
            found[task.name] = sum(int(part) for part in text.split()[:2]) / 1e9
    except (OSError, ValueError):
        return None
    return found if any(found.values()) else None


class Idle:
    """Measures, around a block, the share of it in which no thread ran or wanted to."""

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        busy: Callable[[], dict[str, float] | None] = busy_seconds,
    ) -> None:
        self._clock, self._busy = clock, busy
        self.share: float | None = None

    def __enter__(self) -> Idle:
        self._before = self._busy()
        self._start = self._clock()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        seconds = self._clock() - self._start
        after = self._busy()
        if self._before is None or after is None or seconds <= 0:
            return
        # Threads work beside each other: the one that was busy longest tells.
        most = max(spent - self._before.get(task, 0.0) for task, spent in after.items())
        self.share = min(1.0, max(0.0, 1.0 - most / seconds))
