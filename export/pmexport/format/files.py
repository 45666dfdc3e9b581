"""Names and hashes of files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from posemamba.files.input import why_no_file
from posemamba.text import Json, parse_json, printable, problem


def is_utf8(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name is text, which most native libraries want; Linux takes any bytes."""
    path = Path(path)
    return printable_name(str(path)) == str(path)


def printable_name(name: str) -> str:
    """The name with the replacement character where it is no UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Of the file's bytes; external data of a model above 2 GB is not part of it."""
    path = Path(path)
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_report_json(path: str | os.PathLike[str], command: str) -> Json:
    """What a report that one of our commands wrote holds; its shape is the caller's to judge.

    Args:
        command: what writes such a file, for whoever gave another.

    Raises:
        InputError: it cannot be read, or is no JSON.
    """
    path = Path(path)
    # What a shell puts in a command's place, <(...), has a writer; another pipe may never have.
    is_shells = path.is_fifo() and str(path).startswith(("/dev/fd/", "/dev/stdin"))
    why = None if is_shells else why_no_file(path)
    if why is not None:
        raise problem(path, f"cannot be read, it {why}: give what '{command}' writes")
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:
        why = printable(error, 80)
        raise problem(path, f"is no JSON ({why}): write it with '{command}'") from None
