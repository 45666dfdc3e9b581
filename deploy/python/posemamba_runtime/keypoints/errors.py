"""The one exception for recordings that cannot be read, and the voice of its messages."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable

from posemamba_runtime.errors import BadArgument

_NAME_LIMIT = 160
_TEXT_LIMIT = 300


class InputError(BadArgument):
    """A recording or a request is wrong; the message is one line that names the fix."""


def printable(text: object, limit: int = 60) -> str:
    """Text from an untrusted file as one bounded, printable piece of a message."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def printable_name(source: str | os.PathLike[str]) -> str:
    """A file's name as one piece of a message; of a very long path its end."""
    name = "".join(c if c.isprintable() else "?" for c in os.fspath(source))
    return name if len(name) <= _NAME_LIMIT else "..." + name[-(_NAME_LIMIT - 3) :]


def problem(source: str | os.PathLike[str], text: str) -> InputError:
    """The error for a file: ``<file>: <text>``, one line."""
    return InputError(f"{printable_name(source)}: {printable(text, _TEXT_LIMIT)}")


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for a near miss, else nothing."""
    close = difflib.get_close_matches(word.casefold(), list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


_ONE = {
    "people ": "person ",
    "detections ": "detection ",
    "entries ": "entry ",
    "texts that are ": "text that is ",
}
"""How reasons for leaving things out begin, of many and of one."""


def left_out(number: int, what: str) -> str:
    """``1 person without a body``, of ``people without a body``."""
    one = next((one + what[len(many) :] for many, one in _ONE.items() if what.startswith(many)), "")
    return f"{number} {one if one and number == 1 else what}"


def counted(number: int, noun: str) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
