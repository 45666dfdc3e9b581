"""Inputs that no reader should open."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from posemamba.text import problem


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
