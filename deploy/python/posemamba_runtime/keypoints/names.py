"""Frame numbers out of file and image names.

Names are ordered by the numbers in them: ``2.json`` comes before ``10.json``. Of several numbers
(``cam01_take2_00017.json``) the frame's is the one that differs from name to name.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.text import printable

_DIGITS = re.compile(r"[0-9]+")
_SECONDS = re.compile(r"[0-9]{9,}\.$")  # since 1970: str(time.time()) drops zeros at its end
_FULL = 0.75  # of a grid of numbers
_PARTS = re.compile(
    r"(?<![a-z])(parts?|pt|pieces?|chunks?|segments?|seg|sections?|sect|splits?|halves|half|blocks?"
    r"|batch|batches|reels?|hours?|hr|minutes?|min)[^a-z0-9]*$",
    re.IGNORECASE,
)
"""What stands before a number that counts the parts of one recording, one after the other."""

_INT64 = 2**63 - 1
MAX_FRAME = 10**12
"""A frame number beyond is a time or a hash; a thousand a second make this in thirty years."""


def frame_numbers(names: Sequence[str]) -> tuple[list[int], str | None]:
    """The frame number of each name, and a remark where it had to be guessed.

    Args:
        names: distinct names of the frames of one recording, any order.

    Raises:
        InputError: two names of one number, or numbers that do not tell the order.
    """
    if len(names) == 1:
        return [_only_number(names[0])], None
    columns = _columns(names)
    if columns is None:
        return _mixed(names, [_numbers(name) for name in names])
    if not columns:
        return _ranked(names, sorted(names), "the names hold no frame numbers: taken by name")
    varying = [column for column in columns if _distinct(column) > 1]
    if not varying:  # 1.json and 01.json
        raise _same(names, zip(*columns, strict=True))
    if len(varying) == 1:
        column = varying[0]
        if _distinct(column) < len(column):
            raise _same(names, zip(column, strict=True))
        return _bounded(names, column)
    return _several(names, columns, varying)


def _columns(names: Sequence[str]) -> list[Sequence[int]] | None:
    """The first number of all names, the second, ...; None where some have more than others.

    An hour has a hundred thousand names, so numbers that fit lie in arrays.
    """
    columns: list[Any] = [array("q") for _ in _numbers(names[0])]
    for name in names:
        numbers = _numbers(name)
        if len(numbers) != len(columns):
            return None
        for place, number in enumerate(numbers):
            if number > _INT64 and isinstance(columns[place], array):
                columns[place] = list(columns[place])
            columns[place].append(number)
    return columns


def _distinct(column: Sequence[int]) -> int:
    """How many different numbers there are."""
    if isinstance(column, array):
        return len(np.unique(np.frombuffer(column, np.int64)))
    return len(set(column))


def _numbers(name: str) -> list[int]:
    """All of them; a time in seconds with its fraction is one, in nanoseconds."""
    found: list[int] = []
    for match in _DIGITS.finditer(name):
        if _SECONDS.search(name, 0, match.start()):
            found[-1] = found[-1] * 10**9 + int(match[0][:9].ljust(9, "0"))
        else:
            found.append(int(match[0][-40:]))
    return found


def _only_number(name: str) -> int:
    found = _DIGITS.findall(name)
    number = int(found[-1][-40:]) if found else 0
    return number if number < MAX_FRAME else 0


def _bounded(names: Sequence[str], column: Sequence[int]) -> tuple[list[int], str | None]:
    if max(column) < MAX_FRAME:
        return list(column), None
    order = [names[index] for index in sorted(range(len(names)), key=lambda i: column[i])]
    return _ranked(names, order, "the names' numbers are too long to be frames: taken in order")


def _several(
    names: Sequence[str], columns: Sequence[Sequence[int]], varying: Sequence[Sequence[int]]
) -> tuple[list[int], str | None]:
    """More than one number varies: a take and a frame, or a date and a time."""
    unique = [column for column in varying if _distinct(column) == len(column)]
    if len(unique) == 1:
        return _bounded(names, unique[0])
    keys = [tuple(row) for row in zip(*varying, strict=True)]
    if len(set(keys)) < len(keys):
        raise _same(names, zip(*columns, strict=True))
    if len(varying) == 2:
        varies = [_distinct(column) > 1 for column in columns]
        if _counts_parts(names[0], varies) and max(varying[1]) < MAX_FRAME // len(names):
            return _after_each_other(names, varying[0], varying[1])
        _refuse_a_grid(names, varying[0], varying[1])
    order = [names[index] for index in sorted(range(len(names)), key=lambda i: keys[i])]
    remark = (
        f"several numbers vary in names such as '{printable(order[0], 40)}' and "
        f"'{printable(order[-1], 40)}': frames taken in their order, without gaps"
    )
    return _ranked(names, order, remark)


def _counts_parts(name: str, varies: Sequence[bool]) -> bool:
    """Whether a word before the first number that varies says so: ``part1_frame0076``."""
    spans = [match.start() for match in _DIGITS.finditer(name)]
    return len(spans) == len(varies) and bool(_PARTS.search(name[: spans[varies.index(True)]]))


def _after_each_other(
    names: Sequence[str], parts: Sequence[int], frames: Sequence[int]
) -> tuple[list[int], str | None]:
    """Each part's frames after those of the one before; what a part leaves out stays a gap."""
    first, last = min(frames), dict.fromkeys(sorted(set(parts)), 0)
    for part, frame in zip(parts, frames, strict=True):
        last[part] = max(last[part], frame - first)
    starts, total = {}, 0
    for part, highest in last.items():
        starts[part] = total
        total += highest + 1
    numbers = [starts[part] + frame - first for part, frame in zip(parts, frames, strict=True)]
    shown = printable(names[0], 40)
    remark = f"names such as '{shown}' number {len(starts)} parts: taken one after the other"
    return numbers, remark


def _refuse_a_grid(names: Sequence[str], one: Sequence[int], other: Sequence[int]) -> None:
    """Several cameras, takes or people that each have the same frames."""
    sides = (len(set(one)), len(set(other)))
    if max(other) - min(other) >= sides[1]:  # milliseconds, not one frame after the other
        return
    if min(sides) >= 2 and len(names) > _FULL * sides[0] * sides[1]:
        several, shown = min(sides), printable(names[0], 40)
        raise InputError(
            f"names such as '{shown}' number {several} recordings of {max(sides)} frames: keep "
            "one recording in a folder, everybody of a frame in one file"
        )


def _mixed(names: Sequence[str], numbers: Sequence[Sequence[int]]) -> tuple[list[int], str | None]:
    """Names of several patterns: their last number, where that is enough."""
    last = [found[-1] if found else None for found in numbers]
    without = next((name for name, number in zip(names, last, strict=True) if number is None), None)
    if without is not None:
        other = next(name for name, number in zip(names, last, strict=True) if number is not None)
        raise InputError(
            f"'{printable(without)}' has no frame number where '{printable(other)}' has one: "
            "take files that are no frames out of the folder"
        )
    column = [number for number in last if number is not None]
    if len(set(column)) < len(column):
        raise InputError(
            f"the frame numbers of '{printable(names[0])}', '{printable(names[-1])}', ... cannot "
            "be told: name the files alike, with one number each"
        )
    return _bounded(names, column)


def _ranked(
    names: Sequence[str], order: Sequence[str], remark: str
) -> tuple[list[int], str | None]:
    place = {name: rank for rank, name in enumerate(order)}
    return [place[name] for name in names], remark


def _same(names: Sequence[str], numbers: Iterable[Sequence[int]]) -> InputError:
    seen: dict[tuple[int, ...], str] = {}
    for name, found in zip(names, numbers, strict=True):
        key = tuple(found)
        if key in seen:
            return InputError(
                f"'{printable(seen[key])}' and '{printable(name)}' have the same frame number: "
                "keep one recording in a folder"
            )
        seen[key] = name
    raise AssertionError("the caller found two alike")
