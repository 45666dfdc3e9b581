"""Who kept a measurement waiting: the host, or the device.

On the CPU a call that sleeps or waits for others has a thread that neither runs nor wants to run.
Linux tells both times of each thread (``/proc/self/task/*/schedstat``), so that waiting for a core
that another program has is not taken for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HOST_BOUND_SHARE = 0.25
"""Above this share of time in which nobody computed the host sets the pace."""
LAUNCH_BOUND_SHARE = 0.5
"""Above this share of a device's computing that goes by before its work is started."""

_TASKS = Path("/proc/self/task")


class ThreadSeconds(NamedTuple):
    """What one thread did since it began: computed, and waited for a core that others had."""

    ran: float
    waited: float


def thread_seconds(tasks: Path = _TASKS) -> dict[str, ThreadSeconds] | None:
    """Every living thread's account; None where the system keeps none."""
    found: dict[str, ThreadSeconds] = {}
    try:
        for task in tasks.iterdir():
            try:
                text = (task / "schedstat").read_text(encoding="ascii")
            except OSError:  # it has ended meanwhile
                continue
            ran, waited = (int(part) / 1e9 for part in text.split()[:2])
            found[task.name] = ThreadSeconds(ran, waited)
    except (OSError, ValueError):
        return None
    return found if any(map(any, found.values())) else None


class Idle:
    """Watches the threads of this process around a block.

    Attributes:
        share: of the block's time in which no thread ran or wanted to.
        waited: of the same, all threads' waiting for a core, at most 1. Without other programs the
            block would have taken no less than the rest, whatever thread waited for another.
            Both are None where the system keeps no account.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        account: Callable[[], dict[str, ThreadSeconds] | None] = thread_seconds,
    ) -> None:
        self._clock, self._account = clock, account
        self.share: float | None = None
        self.waited: float | None = None

    def __enter__(self) -> Idle:
        self._before = self._account()
        self._start = self._clock()
        return self

    def __exit__(self, *_: object) -> None:
        seconds = self._clock() - self._start
        after = self._account()
        if self._before is None or after is None or seconds <= 0:
            return
        new = ThreadSeconds(0.0, 0.0)
        spent = [
            ThreadSeconds(
                *(now - then for now, then in zip(each, self._before.get(task, new), strict=True))
            )
            for task, each in after.items()
        ]
        # Threads work beside each other: the one that was busy longest tells.
        most = max(sum(each) for each in spent)
        self.share = min(1.0, max(0.0, 1.0 - most / seconds))
        self.waited = min(1.0, sum(each.waited for each in spent) / seconds)
