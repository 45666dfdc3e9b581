"""From rows of people to one track a person: ids, gaps, times, and whom to keep."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.keypoints.errors import InputError, counted, nearest, printable
from posemamba_runtime.keypoints.judge import Judged
from posemamba_runtime.keypoints.people import Floats32, Ints, Persons
from posemamba_runtime.keypoints.recording import Detections, Floats, PersonTrack
from posemamba_runtime.keypoints.tracker import Tracker

Bools = npt.NDArray[np.bool_]

MAX_GAP = 30
"""Frames that may be missing within a track; over more, nothing tells what the person did."""

_SPARSE = 10
"""Where the middle step between frame numbers is this, they count something else than frames."""

_MOST_PEOPLE = 100

DEFAULT_RATE = 30.0

_FRAMES_TO_TELL = 3  # by which ids and times are doubted
_JOINTS_TO_TELL = 4  # by which two detections are one person,
_SAME = 0.02  # where they are on average no farther apart than this share of the person's size

_JUMP = 10.0  # times the usual step

#: A detector that hands over several frames at once, then pauses: so many times the usual step, in
#: so large a share of the steps, and not once or twice.
_BURST, _OFTEN = 4, 0.05

#: Seconds, a name, and the frames a second that make the unit likely.
_UNITS_OF_TIME = {
    1.0: ("", 0.3, 1000.0),
    1e-3: ("milliseconds", 4.0, 250.0),
    1e-6: ("microseconds", 4.0, 250.0),
    1e-9: ("nanoseconds", 4.0, 250.0),
}


def make_tracks(
    judged: Judged, found: Detections, *, person: str | int, rate: float | None
) -> tuple[tuple[PersonTrack, ...], float]:
    """Everybody who is wanted, and the frames a second.

    Raises:
        InputError: nobody of the wanted id, or times that run backwards.
    """
    ids = _ids(judged, found)
    numbers = _by_time(_consecutive(judged.numbers, found), found)
    rate, times = _times(judged.numbers, numbers, found, rate)
    shown = _shown(judged.values)
    tracks = []
    for who in np.unique(ids[ids >= 0]).tolist():
        rows = np.flatnonzero(ids == who)
        seen = np.flatnonzero(shown[rows])
        if not len(seen):
            found.leave_out("people without a keypoint that was found")
            continue
        rows = rows[seen[0] : seen[-1] + 1]
        frames, values = _with_gaps(numbers[rows], long_arrays.taken(judged.values, rows))
        stamps = np.interp(frames, *times) if times is not None else frames / rate
        tracks.append(PersonTrack(who, frames, stamps, values, found.names.get(who, "")))
    return _wanted(tracks, person), rate


def _shown(values: Floats32) -> Bools:
    """(rows,) whether anything was found of somebody."""
    shown = np.empty(len(values), np.bool_)
    for rows in long_arrays.pieces(values):
        shown[rows] = np.isfinite(values[rows, :, 0]).any(axis=1)
    return shown


def _ids(judged: Judged, found: Detections) -> Ints:
    """A number for the person of each row."""
    given = judged.persons.given
    if None not in given:
        doubt = _doubt(judged.numbers, judged.persons)
        if not doubt:
            return _numbered(judged.persons, found)
        found.notes.append(f"{doubt}: people followed by position instead")
    elif len(given) > 1:
        found.notes.append("not everybody has an id: people followed by position instead")
    kept = _distinct(judged, found)
    ids = np.full(len(judged.numbers), -1, np.int64)
    if len(np.unique(judged.numbers[kept])) == len(kept):  # never two at once
        ids[kept] = 0
        return ids
    return _followed(judged, kept, ids, found)


def _doubt(numbers: Ints, persons: Persons) -> str:
    """Why ids cannot be people's; nothing where they can."""
    order = np.lexsort((persons.places, numbers))
    again = (np.diff(numbers[order]) == 0) & (np.diff(persons.places[order]) == 0)
    if again.any():
        return "ids repeat within a frame"
    if len(persons.given) == len(numbers) and len(np.unique(numbers)) >= _FRAMES_TO_TELL:
        return "no id comes twice, so they number detections"
    return ""


def _distinct(judged: Judged, found: Detections) -> Ints:
    """Rows without those that show somebody of the same frame once more."""
    starts = np.flatnonzero(np.r_[True, np.diff(judged.numbers) > 0])
    kept = np.ones(len(judged.numbers), bool)
    for start, end in zip(starts, np.r_[starts[1:], len(kept)], strict=True):
        if 1 < end - start <= _MOST_PEOPLE:
            kept[start:end] = _no_twins(judged.values[start:end])
            _release_behind(judged.values, start, end)
    twins = int((~kept).sum())
    if twins:
        found.left_out["detections of somebody who is in the frame already"] = twins
    return np.flatnonzero(kept)


def _no_twins(people: Floats32) -> Bools:
    """(people,) False where the joints lie on those of another one, of whom more was found."""
    seen = np.isfinite(people[..., 0])
    best = np.argsort(-seen.sum(axis=1), kind="stable")
    kept = np.ones(len(people), bool)
    for place, one in enumerate(best.tolist()):
        others = best[place + 1 :]
        if not kept[one] or not seen[one].any() or not len(others):
            continue
        both = seen[others] & seen[one]
        away = np.linalg.norm(people[others, :, :2] - people[one, :, :2], axis=-1)
        mean = np.where(both, away, 0.0).sum(axis=1) / np.maximum(both.sum(axis=1), 1)
        high, low = np.nanmax(people[one, :, :2], axis=0), np.nanmin(people[one, :, :2], axis=0)
        size = float(np.linalg.norm(high - low))
        kept[others[(both.sum(axis=1) >= _JOINTS_TO_TELL) & (mean < _SAME * size)]] = False
    return kept


def _numbered(persons: Persons, found: Detections) -> Ints:
    """Ids as they are where they are numbers; texts are counted."""
    given = persons.given
    if all(isinstance(who, int) for who in given):
        numbers = {who: who for who in given if isinstance(who, int)}
    else:
        order = sorted({str(who) for who in given}, key=_natural)
        found.names.update(enumerate(order))
        places = {name: place for place, name in enumerate(order)}
        shown = ", ".join(f"'{printable(name, 20)}' is {place}" for name, place in places.items())
        found.notes.append(f"ids are texts: {printable(shown, 200)}")
        numbers = {who: places[str(who)] for who in given}
    table = np.array([numbers.get(who, -1) for who in persons.ids], np.int64)
    taken: Ints = table[persons.places]
    return taken


def _natural(text: str) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", text)
    return [(int(part[:18]), "") if part.isdigit() else (-1, part) for part in parts]


def _followed(judged: Judged, kept: Ints, ids: Ints, found: Detections) -> Ints:
    """``ids`` with those of the rows ``kept`` filled in."""
    tracker = Tracker()
    numbers = judged.numbers[kept]
    starts = np.flatnonzero(np.r_[True, np.diff(numbers) > 0])
    for start, end in zip(starts, np.r_[starts[1:], len(kept)], strict=True):
        rows = kept[start:end]
        if len(rows) > _MOST_PEOPLE:
            found.left_out["people beyond the 100 largest of a frame"] = (
                found.left_out.get("people beyond the 100 largest of a frame", 0)
                + len(rows) - _MOST_PEOPLE
            )  # fmt: skip
            rows = rows[np.argsort(_areas(judged.values[rows]))[-_MOST_PEOPLE:]]
        people = [judged.values[row] for row in rows]
        ids[rows] = tracker.follow(int(numbers[start]), people)
        _release_behind(judged.values, start, end)
    return ids


def _release_behind(values: Floats32, start: int, end: int) -> None:
    """Now and then, for who walks over the rows frame by frame."""
    if start // long_arrays.ROWS < end // long_arrays.ROWS:
        long_arrays.release(values)


def _areas(values: Floats) -> Floats:
    """(rows,) of the boxes around what was found."""
    found = np.isfinite(values[..., :1])
    high = np.where(found, values[..., :2], -np.inf).max(axis=1)
    low = np.where(found, values[..., :2], np.inf).min(axis=1)
    areas: Floats = np.prod(np.where(np.isfinite(high - low), high - low, 0.0), axis=-1)
    return areas


def _area(values: Floats) -> float:
    """Of all the boxes together."""
    return sum(float(_areas(values[rows]).sum()) for rows in long_arrays.pieces(values))


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
    # 0.4: times rounded to milliseconds make one step of 1 ms and the next of 2 ms at 600 a second.
    jumps = np.maximum(np.floor(steps / np.median(steps) + 0.4), 1).astype(np.int64)
    left_out = int((jumps - 1).sum())
    if not left_out or (_is_often(jumps > 1) and left_out > len(frames)):
        return numbers  # none, or frames that came in bursts
    found.notes.append(f"the times leave out {counted(left_out, 'frame')}: taken as gaps")
    places = np.concatenate([[0], np.cumsum(jumps)])
    return places[np.searchsorted(frames, numbers)]


def _times(
    original: Ints, numbers: Ints, found: Detections, rate: float | None
) -> tuple[float, tuple[Floats, Floats] | None]:
    """Frames a second, and the file's times as (frames, seconds) to interpolate in.

    Args:
        original: (rows,) the file's frame numbers, ascending.
        numbers: (rows,) the same frames as they are counted from here on.
    """
    rate = rate or found.rate
    timed, seconds = found.people.timed()
    place = np.searchsorted(original, timed)
    shown = original[np.minimum(place, len(original) - 1)] == timed
    frames, seconds = numbers[place[shown]].astype(np.float64), seconds[shown]
    if len(frames) < 2:
        if rate is None:
            found.notes.append(f"{DEFAULT_RATE:g} frames a second assumed: say it with --rate")
        return rate or DEFAULT_RATE, None
    steps = np.diff(seconds)
    if (steps <= 0).any():
        late = int(frames[int(np.argmax(steps <= 0)) + 1])
        raise InputError(f"timestamps do not go up at frame {late}: write seconds that do")
    measured = float(np.median(np.diff(frames) / steps))
    average = float((frames[-1] - frames[0]) / (seconds[-1] - seconds[0]))
    waits = steps * measured > _BURST * np.diff(frames)
    bursts = _is_often(waits) and measured > _BURST * average  # several at once, then a pause
    near = steps * measured < 1.5 * np.diff(frames)  # rounded to milliseconds, most are off alike
    measured = average if bursts else float(np.diff(frames)[near].sum() / steps[near].sum())
    scale = _second(measured, rate, found)
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
    return rate or measured, (frames, seconds)


def _is_often(steps: Bools) -> bool:
    return int(steps.sum()) >= _FRAMES_TO_TELL and float(steps.mean()) > _OFTEN


def _second(measured: float, rate: float | None, found: Detections) -> float:
    """What a file's unit of time is in seconds: frames come neither hourly nor every microsecond.

    Args:
        measured: frames in a unit.
        rate: frames in a second, where anybody said it.
    """
    for scale, (name, lowest, highest) in _UNITS_OF_TIME.items():
        if rate:
            lowest, highest = 0.1 * rate, 10 * rate
        if lowest <= measured / scale <= highest:
            if name:
                found.notes.append(f"timestamps are {name}")
            return scale
    if rate is None:
        raise InputError(
            f"timestamps say {measured:g} frames a second: write seconds, or milliseconds"
        )
    return 1.0


def _with_gaps(frames: Ints, values: Floats32) -> tuple[Ints, Floats32]:
    """Short gaps as rows of NaN."""
    steps = np.diff(frames)
    short = np.flatnonzero((steps > 1) & (steps <= MAX_GAP + 1)).tolist()
    if not short:
        return frames, values
    inside = [np.arange(frames[row] + 1, frames[row] + steps[row]) for row in short]
    everything = np.sort(np.concatenate([frames, *inside]))
    filled: Floats32 = long_arrays.empty((len(everything), *values.shape[1:]), np.float32)
    for rows in long_arrays.pieces(filled):
        filled[rows] = np.nan
    places = np.searchsorted(everything, frames)
    for rows in long_arrays.pieces(values):
        filled[places[rows]] = values[rows]
        long_arrays.release(filled)
    return everything, filled


def _wanted(tracks: list[PersonTrack], person: str | int) -> tuple[PersonTrack, ...]:
    if person == "all":
        return tuple(tracks)
    if person == "largest":
        return (max(tracks, key=lambda track: _area(track.values)),) if tracks else ()
    for track in tracks:
        if person in (track.person, track.name):
            return (track,)
    ids = ", ".join(
        f"{track.person}{f' ({track.name})' * bool(track.name)}" for track in tracks[:10]
    )
    raise InputError(
        f"nobody has the id {printable(person, 20)}: the ids are {printable(ids, 200)}"
    )


def parse_person(text: str | int) -> str | int:
    """``all``, ``largest``, or an id: a number, or the text that a file has.

    Raises:
        InputError: nothing, or nearly one of the words.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    word = str(text).strip().casefold()
    if word in ("all", "largest"):
        return word
    if word.isascii() and word.isdigit() and len(word) < 11:
        return int(word)
    if not word or nearest(word, ("all", "largest")) or word.lstrip("-").isdigit():
        raise InputError(f"--person '{printable(text, 20)}': give all, largest, or an id from 0")
    return str(text).strip()
