"""Names of files: in messages, and while what they name is being written."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

LONGEST_NAME = 255
"""Bytes of a file's name, on Linux's file systems."""

_TOLD = 160


def printable_name(source: str | os.PathLike[str]) -> str:
    """A file's name as one piece of a message; of a very long path its end."""
    name = "".join(c if c.isprintable() else "?" for c in os.fspath(source))
    return name if len(name) <= _TOLD else "..." + name[-(_TOLD - 3) :]


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME``, else ``~/.cache``.

    Raises:
        OSError: no home is known: an account that has no name, as in containers.
    """
    given = os.environ.get("XDG_CACHE_HOME")
    folder = Path(given or os.path.expanduser("~/.cache"))  # noqa: PTH111 (never raises)
    if not given and not folder.is_absolute():
        raise OSError(errno.ENOENT, "no home folder is known: set HOME or XDG_CACHE_HOME")
    return folder


def place_of(path: Path) -> Path:
    """Where a file of this name is written: what a link leads to, there or not.

    Raises:
        OSError: a link that leads to itself.
    """
    if not path.is_symlink():
        return path
    place = Path(os.path.realpath(path))
    if place.is_symlink():
        raise OSError(errno.ELOOP, "a link that leads to itself")
    return place


def temporary_name(name: str) -> str:
    """A name for a file that takes the place of ``name`` when it is whole.

    The process id keeps two writers apart; the name's end is kept, writers look at it. A name as
    long as a file system takes is shortened to its hash.
    """
    longer = f".{os.getpid()}.{name}"
    if len(os.fsencode(longer)) <= LONGEST_NAME:
        return longer
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return f".{os.getpid()}.{digest}{Path(name).suffix}"
