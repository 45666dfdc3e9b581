"""One-line messages about a file: printable, bounded, the file first."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from posemamba.errors import InputError

_NAME_LIMIT = 160
_TEXT_LIMIT = 230


def printable(text: object, limit: int = 60) -> str:
    """Text from an untrusted file as one bounded, printable piece of a message."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def problem(path: str | os.PathLike[str], text: str) -> InputError:
    """The error for a file: ``<file>: <text>``, one line; of a very long path its end."""
    name = "".join(c if c.isprintable() else "?" for c in os.fspath(path))
    if len(name) > _NAME_LIMIT:
        name = "..." + name[-(_NAME_LIMIT - 3) :]
    return InputError(f"{name}: {printable(text, _TEXT_LIMIT)}")


def require_no_device(path: str | os.PathLike[str]) -> None:
    """A pipe or a device would be read for ever; what is not there is left to the reader to say.

    Raises:
        InputError: something that is neither a file nor a folder.
    """
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise problem(path, "is a pipe or a device, not a file: copy it to a file first")
