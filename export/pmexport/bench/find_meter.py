"""Which meter this machine has."""

from __future__ import annotations

from collections.abc import Callable

from pmexport.bench.jetson import Tegrastats
from pmexport.bench.meters import Meter
from pmexport.bench.nvidia import NvidiaSmi, Nvml

_MAKERS: tuple[Callable[[], Meter | None], ...] = (Tegrastats.find, Nvml.find, NvidiaSmi.find)
"""A Jetson's comes first: its NVML, where it has one, knows no power."""


def find_meter() -> Meter | None:
    """The best meter of this machine's first visible GPU; None where there is none."""
    return next((meter for make in _MAKERS if (meter := make()) is not None), None)
