"""Watching a device while it works: power, clocks, heat, throttling and memory.

A meter gives readings until it is told to stop. :class:`Watch` takes them in a thread of its own
while something is measured, and says afterwards what it saw (:class:`Conditions`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

INTERVAL_S = 0.05
"""Between two readings of a meter that is asked; faster ones cost the measurement itself."""
LEAST_SECONDS = 1.0
"""Energy counters of GPUs move in steps of up to 0.1 s: over less than this they say little."""


@dataclass(frozen=True)
class Reading:
    """One moment; None where the meter does not say.

    Attributes:
        power_w: of what :attr:`Meter.scope` names.
        clock_mhz: of the GPU's multiprocessors.
        throttled: why the clock is held down, empty if it is not.
        memory_mib: used on the device, by whomever.
    """

    power_w: float | None = None
    clock_mhz: float | None = None
    temperature_c: float | None = None
    throttled: tuple[str, ...] = ()
    memory_mib: float | None = None


class Meter(Protocol):
    """What tells the state of a device.

    Attributes:
        name: as reports call it.
        scope: what its power is the power of.
        measures_host: that includes the host's processor.
        notes: what a reader of its figures has to know, such as clocks that float.
    """

    name: str
    scope: str
    measures_host: bool
    notes: tuple[str, ...]

    def readings(self, stop: threading.Event) -> Iterator[Reading]:
        """Readings, one after the other, until ``stop``."""
        ...

    def energy_j(self) -> float | None:
        """A counter of joules; None where the device has none."""
        ...


@dataclass(frozen=True)
class Conditions:
    """What a meter saw while something was measured; None where it does not say.

    Attributes:
        energy_j: over :attr:`seconds`, idle power included.
        energy_from: ``counter``, or ``samples``: mean power times time.
        clock_mhz: least and most.
        throttled: every reason seen.
        memory_mib: most.
    """

    meter: str
    scope: str
    seconds: float
    samples: int
    power_w: float | None
    most_power_w: float | None
    energy_j: float | None
    energy_from: str | None
    clock_mhz: tuple[float, float] | None
    temperature_c: float | None
    throttled: tuple[str, ...]
    memory_mib: float | None
    notes: tuple[str, ...]

    def energy_mj(self, runs: int, frames: int) -> float | None:
        """Millijoules for each frame of so many runs; None without a figure worth its name."""
        if self.energy_j is None or self.seconds < LEAST_SECONDS:
            return None
        return 1e3 * self.energy_j / (runs * frames)


class Watch:
    """Reads a meter while the block runs; :meth:`conditions` afterwards."""

    def __init__(self, meter: Meter, clock: Callable[[], float] = time.perf_counter) -> None:
        self._meter = meter
        self._clock = clock
        self._stop = threading.Event()
        self._readings: list[Reading] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        self._energy = self._meter.energy_j()
        self._start = self._clock()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = self._clock() - self._start
        after = self._meter.energy_j()
        self._stop.set()
        self._thread.join(5.0)
        both = self._energy is not None and after is not None
        self._counted = after - self._energy if both else None  # type: ignore[operator]

    def _read(self) -> None:
        for reading in self._meter.readings(self._stop):
            self._readings.append(reading)
            if self._stop.is_set():
                return

    def conditions(self) -> Conditions:
        """What was seen."""
        seen = list(self._readings)
        powers = [each.power_w for each in seen if each.power_w is not None]
        clocks = [each.clock_mhz for each in seen if each.clock_mhz is not None]
        heat = [each.temperature_c for each in seen if each.temperature_c is not None]
        memory = [each.memory_mib for each in seen if each.memory_mib is not None]
        mean = sum(powers) / len(powers) if powers else None
        energy, source = self._counted, "counter"
        if not energy:  # none, or a counter that has not moved
            energy, source = (None if mean is None else mean * self.seconds), "samples"
        elif mean is None:
            mean = energy / self.seconds
        return Conditions(
            meter=self._meter.name,
            scope=self._meter.scope,
            seconds=self.seconds,
            samples=len(seen),
            power_w=mean,
            most_power_w=max(powers, default=None),
            energy_j=energy,
            energy_from=None if energy is None else source,
            clock_mhz=(min(clocks), max(clocks)) if clocks else None,
            temperature_c=max(heat, default=None),
            throttled=tuple(sorted({why for each in seen for why in each.throttled})),
            memory_mib=max(memory, default=None),
            notes=self._meter.notes,
        )
