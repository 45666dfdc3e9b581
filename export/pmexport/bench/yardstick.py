"""How fast the machine itself was: the same small piece of work, timed between the calls.

A core that shares its units with one that others use, a virtual machine with busy neighbours, a
lower clock: all of them make every call slower, the fastest one too, and no account of threads
tells. Work that never changes does: where it took longer than beside an older measurement, so did
everything else.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

SHARE = 0.03
"""Of a measurement's time, at most; more than that only by the first piece."""

_SIDE = 64
_LEFT, _RIGHT = (np.ones((_SIDE, _SIDE), np.float32) for _ in range(2))
_PRODUCT = np.empty((_SIDE, _SIDE), np.float32)


def small_product() -> None:
    """A matrix product of 64 x 64 by NumPy's own loop: one thread, 48 KiB, 60 us in 2023's servers.

    It keeps a core's units as busy as a network does. While a compiler ran on the other half of a
    core it took 1.6 times as long, a network 1.5; SHA-256 took 1.1 times, a product by BLAS
    twice as long.
    """
    np.einsum("ij,jk->ik", _LEFT, _RIGHT, out=_PRODUCT)


class Yardstick:
    """Called after every call that counts; measures where there is time for it.

    Args:
        clock: seconds, monotonic.
        work: what is timed.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        work: Callable[[], object] = small_product,
    ) -> None:
        self._clock, self._work = clock, work
        self._best: float | None = None
        self._spent = 0.0
        self._start = clock()

    def __call__(self) -> None:
        while self._best is None or self._spent < SHARE * (self._clock() - self._start):
            before = self._clock()
            self._work()
            taken = self._clock() - before
            self._spent += taken
            self._best = taken if self._best is None else min(self._best, taken)

    @property
    def best_ms(self) -> float | None:
        """The fastest piece, as of the calls; None before the first call."""
        return None if self._best is None else 1e3 * self._best
