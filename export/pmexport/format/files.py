"""Names and hashes of files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


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
