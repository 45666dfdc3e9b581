"""The window and the lag that a latency budget allows, measured on the machine itself.

A pose is better the more frames around it the network sees. Frames before it cost computing time;
frames after it have to be waited for. The longest window that keeps up with the camera is taken,
and the frame as far before the newest as the rest of the budget allows.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.lift_times import lift_times_ms
from posemamba_runtime.lifter import Lifter
from posemamba_runtime.recordings import longest_window, window_limits

WINDOWS = (243, 81, 27, 9, 5)
"""Frames: those that lifting networks are trained with, and live users run."""

_BUSY = 0.8
"""Share of the time between two frames that lifting may take; the rest is the caller's."""


@dataclass(frozen=True)
class Plan:
    """How to lift live.

    Attributes:
        window: frames.
        lag: frames that the pose's frame lies before the newest.
        lift_ms: of one window, measured.
    """

    window: int
    lag: int
    lift_ms: float

    def delay_ms(self, rate: float) -> float:
        """From a frame to its pose: waiting and computing."""
        return self.lag / rate * 1e3 + self.lift_ms


def plan(lifter: Lifter, *, budget_ms: float, rate: float, flip: bool) -> Plan:
    """Choose by trying.

    Raises:
        InputError: not even the shortest window is within the budget.
        BadArgument: the model does not say how many frames it takes.
    """
    shortest = window_limits(lifter)[0]
    longest = longest_window(lifter, "--window and --policy in place of --latency-ms")
    windows = [window for window in WINDOWS if shortest <= window <= longest] or [longest]
    return choose(
        windows, lambda window: _milliseconds(lifter, window, flip), budget_ms=budget_ms, rate=rate
    )


def choose(
    windows: list[int], measure: Callable[[int], float], *, budget_ms: float, rate: float
) -> Plan:
    """The first window, longest first, that fits the budget and keeps up with the rate.

    Args:
        windows: frames, longest first.
        measure: milliseconds that a window of so many frames takes.
        rate: frames a second.

    Raises:
        InputError: none fits.
    """
    between = 1e3 / rate
    fastest = 0.0
    for window in windows:
        fastest = measure(window)
        if fastest <= min(budget_ms, _BUSY * between):
            lag = min(int((budget_ms - fastest) / between), (window - 1) // 2)
            return Plan(window, lag, fastest)
    limit = min(budget_ms, _BUSY * between)
    raise InputError(
        f"a window of {windows[-1]} frames takes {fastest:.1f} ms here, more than the {limit:.1f} "
        f"ms that --latency-ms {budget_ms:g} and {rate:g} frames/s leave: take a smaller model"
    )


def _milliseconds(lifter: Lifter, window: int, flip: bool) -> float:
    return statistics.median(lift_times_ms(lifter, 2 if flip else 1, window))
