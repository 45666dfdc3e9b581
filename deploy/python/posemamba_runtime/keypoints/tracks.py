"""From rows of people to one track a person: ids, gaps, times, and whom to keep."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.judge import Judged
from posemamba_runtime.keypoints.people import Floats32, Ints, Person, Persons, areas
from posemamba_runtime.keypoints.recording import Detections, Floats, PersonTrack
from posemamba_runtime.keypoints.times import settle_numbers, settle_times
from posemamba_runtime.keypoints.tracker import Tracker
from posemamba_runtime.text import nearest, printable

Bools = npt.NDArray[np.bool_]

MAX_GAP = 30
"""Frames that may be missing within a track; over more, nothing tells what the person did."""

_MOST_PEOPLE = 100

_CROWD = 5  # people of a frame, and three times as many as there are frames
_GOES_ON = 0.1  # of a person's size, from one frame to the next; people stand farther apart
_ROWS_TO_TELL = 1000

_FRAMES_TO_TELL = 3  # by which ids are doubted
_JOINTS_TO_TELL = 4  # by which two detections are one person,
_SAME = 0.02  # where they are on average no farther apart than this share of the person's size


def make_tracks(
    judged: Judged, found: Detections, *, person: str | int, rate: float | None
) -> tuple[tuple[PersonTrack, ...], float]:
    """Everybody who is wanted, and the frames a second.

    Raises:
        InputError: nobody of the wanted id, or times that run backwards.
    """
    _refuse_time_as_people(judged)
    numbers = settle_numbers(judged.numbers, found)
    ids = _ids(judged, numbers, found)
    rate, times = settle_times(judged, ids, numbers, found, rate)
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


def _refuse_time_as_people(judged: Judged) -> None:
    """Lists of (people, frames, ...) are read as few frames with a crowd in each, where everybody
    is nearly where the one before is."""
    frames = len(np.unique(judged.numbers))
    crowd = len(judged.numbers) / frames
    if crowd < max(_CROWD, 3 * frames) or judged.persons.given != (None,):
        return
    some = judged.values[:_ROWS_TO_TELL]
    together = np.diff(judged.numbers[:_ROWS_TO_TELL]) == 0
    ways = np.linalg.norm(np.diff(some[..., :2], axis=0)[together], axis=-1)
    ways = ways[np.isfinite(ways)]
    if len(ways) and float(np.median(ways)) < _GOES_ON * float(np.median(areas(some))) ** 0.5:
        raise InputError(
            f"{crowd:g} people in a frame, each where the one before is, as somebody is in frame "
            "after frame: write a list of frames, each with its people"
        )


def _shown(values: Floats32) -> Bools:
    """(rows,) whether anything was found of somebody."""
    shown = np.empty(len(values), np.bool_)
    for rows in long_arrays.pieces(values):
        shown[rows] = np.isfinite(values[rows, :, 0]).any(axis=1)
    return shown


def _ids(judged: Judged, numbers: Ints, found: Detections) -> Ints:
    """A number for the person of each row, whose frames ``numbers`` count."""
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
    return _followed(judged, kept, numbers, ids, found)


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
            _release_behind(judged.values, int(start), int(end))
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
    numbers: dict[Person, int] = {who: who for who in given if isinstance(who, int)}
    if len(numbers) < len(given):
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


def _followed(judged: Judged, kept: Ints, numbers: Ints, ids: Ints, found: Detections) -> Ints:
    """``ids`` with those of the rows ``kept`` filled in."""
    tracker = Tracker()
    numbers = numbers[kept]
    starts = np.flatnonzero(np.r_[True, np.diff(numbers) > 0])
    for start, end in zip(starts, np.r_[starts[1:], len(kept)], strict=True):
        rows = kept[start:end]
        if len(rows) > _MOST_PEOPLE:
            found.left_out["people beyond the 100 largest of a frame"] = (
                found.left_out.get("people beyond the 100 largest of a frame", 0)
                + len(rows) - _MOST_PEOPLE
            )  # fmt: skip
            rows = rows[np.argsort(areas(judged.values[rows]))[-_MOST_PEOPLE:]]
        people = [judged.values[row] for row in rows]
        ids[rows] = tracker.follow(int(numbers[start]), people)
        _release_behind(judged.values, int(start), int(end))
    return ids


def _release_behind(values: Floats32, start: int, end: int) -> None:
    """Now and then, for who walks over the rows frame by frame."""
    if start // long_arrays.ROWS < end // long_arrays.ROWS:
        long_arrays.release(values)


def _area(values: Floats) -> float:
    """Of all the boxes together."""
    return sum(float(areas(values[rows]).sum()) for rows in long_arrays.pieces(values))


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
