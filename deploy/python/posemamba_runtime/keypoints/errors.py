"""The one exception for recordings that cannot be read, and the voice of its messages."""

from __future__ import annotations

import os

from posemamba_runtime.errors import BadArgument
from posemamba_runtime.file_names import printable_name
from posemamba_runtime.text import printable

_TEXT_LIMIT = 300


class InputError(BadArgument):
    """A recording or a request is wrong; the message is one line that names the fix."""


def problem(source: str | os.PathLike[str], text: str) -> InputError:
    """The error for a file: ``<file>: <text>``, one line."""
    return InputError(f"{printable_name(source)}: {printable(text, _TEXT_LIMIT)}")


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
