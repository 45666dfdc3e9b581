"""From rows of people to one track a person: ids, gaps, times, and whom to keep."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from posemamba_runtime.keypoints.errors import InputError, printable
from posemamba_runtime.keypoints.judge import Judged
from posemamba_runtime.keypoints.people import Floats32, Ints
from posemamba_runtime.keypoints.recording import Detections, Floats, PersonTrack
from posemamba_runtime.keypoints.tracker import Tracker

MAX_GAP = 30
"""Frames that may be missing within a track; over more, nothing tells what the person did."""

_SPARSE = 10
"""Where the middle step between frame numbers is this, they count something else than frames."""

_MOST_PEOPLE = 100

DEFAULT_RATE = 30.0


def make_tracks(
    judged: Judged, found: Detections, *, person: str | int, rate: float | None
) -> tuple[tuple[PersonTrack, ...], float]:
    """Everybody who is wanted, and the frames a second.

    Raises:
        InputError: nobody of the wanted id, or times that run backwards.
    """
    ids = _ids(judged, found)
    numbers = _consecutive(judged.numbers, found)
    rate, times = _times(judged.numbers, numbers, found, rate)
    tracks = []
    for who in sorted({number for number in ids if number >= 0}):
        rows = np.flatnonzero(ids == who)
        seen = np.isfinite(judged.values[rows, :, 0]).any(axis=1)
        if not seen.any():
            found.leave_out("people without a keypoint that was found")
            continue
        first, last = np.flatnonzero(seen)[[0, -1]]
        rows = rows[first : last + 1]
        frames, values = _with_gaps(numbers[rows], judged.values[rows])
        stamps = np.interp(frames, *times) if times is not None else frames / rate
        tracks.append(PersonTrack(int(who), frames, stamps, values, found.names.get(who, "")))
    return _wanted(tracks, person), rate


def _ids(judged: Judged, found: Detections) -> Ints:
    """A number for the person of each row."""
    given = judged.persons
    if all(who is not None for who in given):
        pairs = list(zip(judged.numbers.tolist(), given, strict=True))
        if len(set(pairs)) == len(pairs):
            return _numbered([who for who in given if who is not None], found)
        found.notes.append("ids repeat within a frame: people followed by position instead")
    elif any(who is not None for who in given):
        found.notes.append("not everybody has an id: people followed by position instead")
    if len(set(judged.numbers.tolist())) == len(judged.numbers):  # never two at once
        return np.zeros(len(judged.numbers), np.int64)
    return _followed(judged, found)


def _numbered(given: Sequence[int | str], found: Detections) -> Ints:
    """Ids as they are where they are numbers; texts are counted."""
    if all(isinstance(who, int) for who in given):
        return np.array(given, np.int64)
    order = sorted({str(who) for who in given}, key=_natural)
    found.names.update({place: name for place, name in enumerate(order)})
    places = {name: place for place, name in enumerate(order)}
    return np.array([places[str(who)] for who in given], np.int64)


def _natural(text: str) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", text)
    return [(int(part[:18]), "") if part.isdigit() else (-1, part) for part in parts]


def _followed(judged: Judged, found: Detections) -> Ints:
    tracker = Tracker()
    ids = np.full(len(judged.numbers), -1, np.int64)
    starts = np.flatnonzero(np.r_[True, np.diff(judged.numbers) > 0])
    for start, end in zip(starts, np.r_[starts[1:], len(ids)], strict=True):
        rows = np.arange(start, end)
        if len(rows) > _MOST_PEOPLE:
            found.left_out["people beyond the 100 largest of a frame"] = (
                found.left_out.get("people beyond the 100 largest of a frame", 0)
                + len(rows) - _MOST_PEOPLE
            )  # fmt: skip
            rows = rows[np.argsort(_areas(judged.values[rows]))[-_MOST_PEOPLE:]]
        people = [judged.values[row] for row in rows]
        ids[rows] = tracker.follow(int(judged.numbers[start]), people)
    return ids


def _areas(values: Floats) -> Floats:
    """(rows,) of the boxes around what was found."""
    found = np.isfinite(values[..., :1])
    high = np.where(found, values[..., :2], -np.inf).max(axis=1)
    low = np.where(found, values[..., :2], np.inf).min(axis=1)
    areas: Floats = np.prod(np.where(np.isfinite(high - low), high - low, 0.0), axis=-1)
    return areas


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


def _times(
    original: Ints, numbers: Ints, found: Detections, rate: float | None
) -> tuple[float, tuple[Floats, Floats] | None]:
    """Frames a second, and the file's times as (frames, seconds) to interpolate in."""
    rate = rate or found.rate
    place = dict(zip(original.tolist(), numbers.tolist(), strict=True))
    known = sorted((place[n], t) for n, t in found.timestamps.items() if n in place)
    if len(known) < 2:
        if rate is None:
            found.notes.append(f"{DEFAULT_RATE:g} frames a second assumed: say it with --rate")
        return rate or DEFAULT_RATE, None
    frames, seconds = np.array(known, np.float64).T
    steps = np.diff(seconds)
    if (steps <= 0).any():
        late = int(frames[int(np.argmax(steps <= 0)) + 1])
        raise InputError(f"timestamps do not go up at frame {late}: write seconds that do")
    measured = float(np.median(np.diff(frames) / steps))
    return rate or measured, (frames, seconds)


def _with_gaps(frames: Ints, values: Floats32) -> tuple[Ints, Floats32]:
    """Short gaps as rows of NaN."""
    steps = np.diff(frames)
    short = steps[(steps > 1) & (steps <= MAX_GAP + 1)]
    if not len(short):
        return frames, values
    inside = np.concatenate(
        [
            np.arange(frame + 1, frame + step)
            for frame, step in zip(frames, steps, strict=False)
            if 1 < step <= MAX_GAP + 1
        ]
    )
    everything = np.sort(np.concatenate([frames, inside]))
    filled = np.full((len(everything), *values.shape[1:]), np.nan, np.float32)
    filled[np.searchsorted(everything, frames)] = values
    return everything, filled


def _wanted(tracks: list[PersonTrack], person: str | int) -> tuple[PersonTrack, ...]:
    if person == "all":
        return tuple(tracks)
    if person == "largest":
        return (max(tracks, key=lambda track: float(_areas(track.values).sum())),) if tracks else ()
    for track in tracks:
        if track.person == person:
            return (track,)
    ids = ", ".join(str(track.person) for track in tracks[:10])
    raise InputError(f"nobody has the id {printable(person, 20)}: the ids are {ids}")


def parse_person(text: str | int) -> str | int:
    """``all``, ``largest``, or an id.

    Raises:
        InputError: anything else.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    word = str(text).strip().casefold()
    if word in ("all", "largest"):
        return word
    if word.isascii() and word.isdigit() and len(word) < 11:
        return int(word)
    raise InputError(f"--person '{printable(text, 20)}': give all, largest, or an id from 0")
