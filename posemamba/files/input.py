"""Inputs that no reader should open, and what is told of them."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from pathlib import Path

from posemamba.text import problem

DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
"""What reading a damaged or truncated zip archive raises."""


def require_no_device(path: str | os.PathLike[str]) -> None:
    """Refuse a pipe or a device, which would be read for ever.

    A missing file passes: its reader says so.

    Raises:
        InputError: something that is neither a file nor a folder.
    """
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise problem(path, "is a pipe or a device, not a file: copy it to a file first")


ABSENT = "does not exist"


def why_no_file(path: Path) -> str | None:
    """What is at a path that holds no file to read, as the end of a sentence; None for a file.

    A folder, a pipe, a device and a link that leads nowhere are told from what is not there.
    """
    if path.is_file():
        return None
    if path.is_dir():
        return "is a directory"
    if path.exists():
        return "is a pipe or a device"
    if path.is_symlink():
        return f"is a link to '{path.readlink()}', which leads nowhere"
    return ABSENT


def require_file(path: Path, fix: str) -> None:
    """Refuse what :func:`why_no_file` tells of.

    Args:
        fix: what to do instead, the end of the sentence.

    Raises:
        InputError: there is no file to read.
    """
    why = why_no_file(path)
    if why is not None:
        raise problem(path, f"{'no such file' if why == ABSENT else why}: {fix}")
