"""Pieces of messages: one line each, bounded, printable whatever they come from."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, TypeAlias

Json: TypeAlias = Any
"""What a JSON document holds: a reader asks what it is before it takes it for anything."""


def one_line(text: object) -> str:
    """A message without line breaks or control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def printable(text: object, limit: int = 60) -> str:
    """Text from an untrusted file as one bounded, printable piece of a message."""
    line = one_line(text)
    return line if len(line) <= limit else line[: limit - 3] + "..."


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for a near miss, else nothing."""
    close = difflib.get_close_matches(word.casefold(), list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def counted(number: int, noun: str) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
