"""What an archive's folder holds, a line of JSON per recording: ``_lifted.jsonl``.

Only the driver writes it, after a recording's files have taken their places. A run that was killed
in between lifts that recording again and replaces its files. A line that broke off is passed over.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from posemamba_runtime.errors import BadArgument

NAME = "_lifted.jsonl"
"""Readers of Parquet folders pass over names that begin with an underscore."""


@dataclass(frozen=True)
class Entry:
    """One recording.

    Attributes:
        key: hash of its content, the model and the options; empty where it failed before.
        files: those written, relative to the folder, with their sizes in bytes.
        notes: remarks of the reader and the lifter.
        failed: why there are no files; empty where there are.
    """

    recording: str
    key: str = ""
    files: dict[str, int] = field(default_factory=dict)
    poses: int = 0
    notes: list[str] = field(default_factory=list)
    failed: str = ""


class Ledger:
    """The open ledger: what was there, and a place for what comes."""

    def __init__(self, stream: TextIO, entries: dict[str, Entry]) -> None:
        self._stream = stream
        self.entries = entries

    def add(self, entry: Entry) -> None:
        """Note it; it is in the file when this returns."""
        self._stream.write(json.dumps(asdict(entry)) + "\n")
        self._stream.flush()
        self.entries[entry.recording] = entry


@contextmanager
def opened(folder: Path) -> Iterator[Ledger]:
    """The ledger of a folder, held so that no second run writes there.

    Raises:
        BadArgument: another run holds it, or it cannot be written.
    """
    path = folder / NAME
    try:
        stream = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise BadArgument(f"'{path}' cannot be written ({error.strerror})") from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadArgument(
                f"another run is writing to '{folder}': wait for it, or name another folder"
            ) from None
        except OSError:
            pass  # a file system without locks
        stream.seek(0)
        text = stream.read()
        if text and not text.endswith("\n"):
            stream.write("\n")  # so that what broke off spoils no line after it
        yield Ledger(stream, {entry.recording: entry for entry in _parse(text)})


def _parse(text: str) -> Iterator[Entry]:
    for line in text.splitlines():
        try:
            yield Entry(**json.loads(line))
        except (ValueError, TypeError):
            continue
