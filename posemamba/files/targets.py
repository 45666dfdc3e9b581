"""Outputs that cannot be written are refused before any work; nothing is made or changed here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from posemamba.errors import InputError


def check_file(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Make sure a file can be written at ``path``.

    Args:
        inputs: files that must not be overwritten.

    Raises:
        InputError: a folder or device, one of the inputs, or a folder that takes no file.
    """
    _check_regular(path)
    if is_one_of(path, inputs):
        raise InputError(f"'{path}' is an input: name another file to write")
    if not path.parent.is_dir():
        raise InputError(f"'{path}': there is no folder '{path.parent}': create it first")
    _check_takes_files(path.parent)


def check_folder(folder: Path, files: Iterable[str] = ()) -> None:
    """Make sure a folder can be written or, where it is missing, made.

    Args:
        files: names of the files to write there.

    Raises:
        InputError: not a folder, one that takes no files, or a name that something else has.
    """
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise InputError(f"'{existing}' is not a folder: name another output folder")
    _check_takes_files(existing)
    for name in files:
        _check_regular(folder / name)


def is_one_of(path: Path, others: Iterable[Path]) -> bool:
    """Whether what is at ``path`` is one of the others, by whatever name."""
    return path.exists() and any(other.exists() and path.samefile(other) for other in others)


def why_unwritable(folder: Path) -> str | None:
    """Why no file can be created in a folder; None where one can."""
    try:  # access rights say nothing for root, full disks and /proc: try it
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
    except OSError as error:
        return str(error.strerror or error)
    return None


def _check_regular(path: Path) -> None:
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "not a regular file"
        raise InputError(f"'{path}' is {what}: a file is to be written there; name another place")


def _check_takes_files(folder: Path) -> None:
    reason = why_unwritable(folder)
    if reason is not None:
        raise InputError(f"folder '{folder}' cannot be written ({reason}): name another place")
