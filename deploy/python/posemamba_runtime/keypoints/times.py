"""When the frames of a recording were taken: their numbers, gaps and seconds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.judge import Judged
from posemamba_runtime.keypoints.people import Floats32, Ints, areas
from posemamba_runtime.keypoints.recording import Detections, Floats
from posemamba_runtime.text import counted

Bools = npt.NDArray[np.bool_]

_SPARSE = 10
"""Where the middle step between frame numbers is this, they count something else than frames."""

_APART = 0.1  # of a rate
DEFAULT_RATE = 30.0

_FRAMES_TO_TELL = 3  # by which times are doubted

_JUMP = 10.0  # times the usual step

#: A detector that hands over several frames at once, then pauses: so many times the usual step, in
#: so large a share of the steps, and not once or twice.
_BURST, _OFTEN = 4, 0.05

#: Seconds, a name, and the frames a second that make the unit likely.
_UNITS_OF_TIME = {
    1.0: ("", 0.29, 1000.5),
    1e-3: ("milliseconds", 4.0, 1000.5),
    1e-6: ("microseconds", 4.0, 1000.5),
    1e-9: ("nanoseconds", 4.0, 1000.5),
}

_HOUR = 3600.0  # seconds; no camera takes a frame every 3,600 or 7,200 microseconds

_SLOW = 0.05
"""Of a person's size, from one frame to the next. A frame a second and one a millisecond are both
one a unit: nearly nobody moves so little in a second, and nobody so much in a few milliseconds."""
_NOW = (1e9, 1e10)  # seconds since 1970: from 2001 on
_PAIRS = 300  # of frames, by which movement is judged


def settle_numbers(numbers: Ints, found: Detections) -> Ints:
    """(rows,) frame numbers that count frames: what the file's numbers or its times say."""
    return _by_time(_consecutive(numbers, found), found)


def _consecutive(numbers: Ints, found: Detections) -> Ints:
    """Frame numbers, or places where the numbers jump too far to be frames."""
    all_numbers = found.people.frames()
    if len(all_numbers) < 3:
        return numbers
    step = float(np.median(np.diff(all_numbers)))
    if step < _SPARSE:
        return numbers
    found.sparse = True
    found.notes.append(f"frame numbers go up by {step:g}: frames taken one after the other")
    return np.searchsorted(all_numbers, numbers).astype(np.int64)


def _by_time(numbers: Ints, found: Detections) -> Ints:
    """Frame numbers with gaps where times leave frames out, which only places counted."""
    frames = found.people.frames()
    timed, times = found.people.timed()
    steps = np.diff(times)
    told = len(timed) == len(frames) and (steps > 0).all()
    if not found.counted or found.sparse or len(steps) < _FRAMES_TO_TELL or not told:
        return numbers
    usual = steps[_usual(steps, np.ones(len(steps)))].mean()
    jumps = np.maximum(np.floor(steps / usual + 0.4), 1).astype(np.int64)
    left_out = int((jumps - 1).sum())
    if not left_out or (_is_often(jumps > 1) and left_out > len(frames)):
        return numbers  # none, or frames that came in bursts
    found.notes.append(f"the times leave out {counted(left_out, 'frame')}: taken as gaps")
    places = np.concatenate([[0], np.cumsum(jumps)])
    return places[np.searchsorted(frames, numbers)]


def settle_times(
    judged: Judged, ids: Ints, numbers: Ints, found: Detections, rate: float | None
) -> tuple[float, tuple[Floats, Floats] | None]:
    """Frames a second, and the file's times as (frames, seconds) to interpolate in.

    Args:
        ids: (rows,) who it is.
        numbers: (rows,) of :func:`settle_numbers`.
        rate: frames a second, where the user says it.

    Raises:
        InputError: times that run backwards, or of no camera.
    """
    asked, rate, original = rate, rate or found.rate, judged.numbers
    timed, seconds = found.people.timed()
    place = np.searchsorted(original, timed)
    shown = original[np.minimum(place, len(original) - 1)] == timed
    frames, seconds = numbers[place[shown]].astype(np.float64), seconds[shown]
    if len(frames) < 2:
        if rate is None:
            found.notes.append(f"{DEFAULT_RATE:g} frames a second assumed: say it with --rate")
        elif asked and found.rate and _are_apart(asked, found.rate):
            found.notes.append(f"the file says {found.rate:g} frames a second: --rate is taken")
        return rate or DEFAULT_RATE, None
    steps = np.diff(seconds)
    if (steps <= 0).any():
        late = int(frames[int(np.argmax(steps <= 0)) + 1])
        raise InputError(f"timestamps do not go up at frame {late}: write seconds that do")
    measured = float(np.median(np.diff(frames) / steps))
    average = float((frames[-1] - frames[0]) / (seconds[-1] - seconds[0]))
    waits = steps * measured > _BURST * np.diff(frames)
    bursts = _is_often(waits) and measured > _BURST * average  # several at once, then a pause
    near = _usual(steps, np.diff(frames))  # rounded to milliseconds, most are off alike
    measured = average if bursts else float(np.diff(frames)[near].sum() / steps[near].sum())
    scale = _second(
        measured, seconds[0], rate, found, lambda: _movement(judged.values, ids, numbers)
    )
    jump = int(np.argmax(steps / np.diff(frames)))
    if steps[jump] / (frames[jump + 1] - frames[jump]) * measured > _JUMP and not found.sparse:
        found.notes.append(
            f"the time jumps by {steps[jump] * scale:g} s at frame {int(frames[jump + 1])}, and "
            "the frame's number does not: nothing is known of what lies between"
        )
    seconds, measured = seconds * scale, measured / scale
    before = max(0.0, frames[0] - numbers.min())
    after = max(0.0, numbers.max() - frames[-1])
    if before or after:  # frames without a time of their own
        frames = np.r_[frames[0] - before, frames, frames[-1] + after]
        seconds = np.r_[seconds[0] - before / measured, seconds, seconds[-1] + after / measured]
    if rate and _are_apart(rate, measured):
        who = "--rate" if asked else "the file"
        found.notes.append(
            f"{who} says {rate:g} frames a second, the times make {measured:.4g}: the times count"
        )
        rate = None
    return rate or measured, (frames, seconds)


def _are_apart(one: float, other: float) -> bool:
    """Whether two rates are two speeds, and not one that was rounded or left frames out."""
    return abs(one / other - 1) > _APART


def _usual(steps: Floats, frames: Floats) -> Bools:
    """Which of the steps in time are as long as most are. At 700 frames a second whole milliseconds
    go up by 1 and by 2: the same step, rounded.

    Args:
        frames: that each step spans.
    """
    most = float(np.median(steps / frames)) * frames
    usual: Bools = steps < 1.5 * most
    if (steps == np.round(steps)).all():
        usual |= steps <= most + 1.0
    return usual


def _is_often(steps: Bools) -> bool:
    return int(steps.sum()) >= _FRAMES_TO_TELL and float(steps.mean()) > _OFTEN


def _second(
    measured: float,
    start: float,
    rate: float | None,
    found: Detections,
    movement: Callable[[], float],
) -> float:
    """What a file's unit of time is in seconds: frames come neither hourly nor every microsecond.

    Args:
        measured: frames in a unit.
        start: the first time.
        rate: frames in a second, where anybody said it.
        movement: of people from one frame to the next, as a share of their size.
    """
    fitting = {}
    for scale, (name, lowest, highest) in _UNITS_OF_TIME.items():
        if rate:
            lowest, highest = 0.1 * rate, 10 * rate
        if lowest <= measured / scale <= highest:
            fitting[scale] = name
    hours = 1.0 / (measured * _HOUR)
    hourly = rate is None and round(hours) > 0 and abs(hours - round(hours)) < 1e-9
    if not fitting or hourly:
        if rate is None:
            raise InputError(
                f"timestamps say {measured:g} frames a second: write seconds, or milliseconds"
            )
        return 1.0
    scale, doubt = max(fitting), ""
    since_1970 = [scale for scale in fitting if _NOW[0] <= start * scale <= _NOW[1]]
    if len(fitting) > 1 and since_1970:
        scale = since_1970[0]
    elif len(fitting) > 1:
        slow = movement() < _SLOW
        scale = min(fitting) if slow else max(fitting)
        doubt = f", as people move {'little' if slow else 'far'} from one frame to the next: "
        doubt += f"if not so, say the rate, {measured / scale:g} now, with --rate"
    if fitting[scale] or doubt:
        found.notes.append(f"timestamps are {fitting[scale] or 'seconds'}{doubt}")
    return scale


def _movement(values: Floats32, ids: Ints, numbers: Ints) -> float:
    """The middle one of the ways joints make from a frame to the next; NaN where nobody stays."""
    ways = []
    for who in np.unique(ids[ids >= 0]).tolist():
        rows = np.flatnonzero(ids == who)
        before = np.flatnonzero(np.diff(numbers[rows]) == 1)
        before = before[:: -(-len(before) // _PAIRS) or 1]
        one, other = values[rows[before], :, :2], values[rows[before + 1], :, :2]
        with np.errstate(divide="ignore", invalid="ignore"):  # somebody of one point
            way = np.linalg.norm(other - one, axis=-1) / np.sqrt(areas(one))[:, None]
        ways.append(way[np.isfinite(way)])
        long_arrays.release(values)
    every = np.concatenate(ways) if ways else np.empty(0)
    return float(np.median(every)) if len(every) else float("nan")
