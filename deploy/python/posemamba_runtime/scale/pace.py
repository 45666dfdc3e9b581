"""How often a pose can be given: measured on the machine, before any camera comes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.lift_times import lift_times_ms
from posemamba_runtime.lifter import Lifter
from posemamba_runtime.recordings import longest_window, window_limits

_BUSY = 0.4
"""Share of a core that lifting may take. Frames that come cost the same process as much again: at
0.6, with the cameras on the same two cores, half of the frames were refused."""

_TRIED = (1, 8)  # windows at once


@dataclass(frozen=True)
class Pace:
    """What was chosen.

    Attributes:
        window: frames.
        hop: frames from one pose of a camera to the next.
        window_ms: to lift one window, in batches.
        batch: frames taken for one step.
    """

    window: int
    hop: int
    window_ms: float
    batch: int


def choose(
    lifter: Lifter, *, window: int, hop: int, cameras: int, rate: float, max_latency_ms: float
) -> Pace:
    """Measure, and give as many poses as the machine keeps up with.

    Args:
        window: frames; 0: the model's longest.
        hop: frames between poses; 0: as measured.

    Raises:
        InputError: a window that the model does not take, or that takes longer than the latency.
        BadArgument: a model that does not say how many frames it takes, without a window.
    """
    shortest, longest = window_limits(lifter)
    window = window or longest_window(lifter)
    if longest is not None and not shortest <= window <= longest:
        raise InputError(f"--window {window}: the model takes {shortest} to {longest} frames")
    window_ms = min(_milliseconds(lifter, batch, window) for batch in _TRIED)
    if window_ms > max_latency_ms:
        raise InputError(
            f"a window of {window} frames takes {window_ms:.0f} ms here, more than "
            f"--max-latency-ms {max_latency_ms:g}: take a shorter --window or a smaller model"
        )
    busy = cameras * rate * window_ms / 1e3
    hop = hop or max(1, math.ceil(busy / _BUSY))
    # Half the latency for a step, so that a frame that has just missed one still makes the next.
    batch = max(1, int(max_latency_ms / 2 / window_ms * hop))
    return Pace(window, hop, window_ms, batch)


def _milliseconds(lifter: Lifter, batch: int, window: int) -> float:
    """Per window."""
    return min(lift_times_ms(lifter, batch, window)) / batch
