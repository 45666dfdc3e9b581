"""Outputs are refused before any work when they cannot be written; names and hashes of files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from posemamba.errors import InputError
from posemamba.files.output import is_one_of, why_unwritable


def check_file(path: Path, *, suffix: str = "", inputs: Iterable[Path] = ()) -> None:
    """Make sure a file can be written at ``path``; nothing is left behind.

    Args:
        suffix: the extension the file must have.
        inputs: files that must not be overwritten.

    Raises:
        InputError: a wrong extension, a directory, a missing or unwritable folder, an input.
    """
    if path.is_dir():
        raise InputError(f"'{path}' is a directory: name a file in it, such as '{path}/M{suffix}'")
    if path.suffix.lower() != suffix:
        raise InputError(f"'{path}' must end in '{suffix}'")
    if is_one_of(path, inputs):
        raise InputError(f"'{path}' is the input: writing there would overwrite it")
    if path.exists() and not path.is_file():
        raise InputError(f"'{path}' is not a regular file: name another output")
    check_takes_files(path.parent)


def check_takes_files(folder: Path) -> None:
    """Make sure a file can be created in ``folder``.

    Raises:
        InputError: no such folder, or it takes no new files.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(f"output folder '{folder}' {what}: create it with 'mkdir -p'")
    reason = why_unwritable(folder)
    if reason is not None:
        raise InputError(f"output folder '{folder}' cannot be written: {reason}")


def is_utf8(path: Path) -> bool:
    """Whether a file's name is text, which most native libraries want; Linux takes any bytes."""
    return printable_name(str(path)) == str(path)


def printable_name(name: str) -> str:
    """The name with the replacement character where it is no UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def file_sha256(path: Path) -> str:
    """Of the file's bytes; external data of a model above 2 GB is not part of it."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
