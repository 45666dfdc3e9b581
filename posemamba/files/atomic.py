"""Files that are either written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from posemamba.errors import InputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path``, which takes its place when the block ends well.

    An error inside leaves what was at ``path`` as it was, and no temporary file.

    Raises:
        InputError: the folder is missing or cannot be written, or ``path`` is a folder, a pipe or a
            device.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"{target}: is a directory; name the file to write")
    if target.exists() and not target.is_file():
        raise InputError(f"{target}: is a pipe or a device; name the file to write")
    if target.parent.is_file():
        raise InputError(f"{target}: {target.parent} is a file; name a folder")
    if not target.parent.is_dir():
        raise InputError(f"{target}: the folder {target.parent} does not exist; create it first")
    # The process id keeps two writers apart; the name's end is kept, writers look at it.
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{target}: cannot be written ({reason}); choose another place") from None
    finally:
        temporary.unlink(missing_ok=True)
