"""One process of an archive's run: a model opened once, and recordings through it one by one.

Ray calls it with batches of rows; nothing in here knows Ray. A process may die at any place and its
batch be given to another one, so every recording is written beside its place first, and attempts
are counted where all processes see them: what has killed two processes is not tried a third time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from posemamba_runtime import outputs
from posemamba_runtime.errors import Error
from posemamba_runtime.file_names import printable_name
from posemamba_runtime.keypoints.reader import read
from posemamba_runtime.keypoints.recording import Recording
from posemamba_runtime.keypoints.source import require_readable
from posemamba_runtime.lifter import Lifter
from posemamba_runtime.motion import Motion
from posemamba_runtime.outputs.trajectory import with_root
from posemamba_runtime.recordings import Lifted, LiftOptions, lift_prepared, prepare
from posemamba_runtime.scale.ledger import Entry
from posemamba_runtime.scale.sources import table_bytes
from posemamba_runtime.text import printable

_TRIES = 2
_CHUNK = 1 << 20

LIFTED, THERE, FAILED, STOP = "lifted", "there", "failed", "stop"
"""What became of a recording; STOP: of the whole run, for the model cannot be opened."""

Remarks = Callable[[Recording, Lifted], list[str]]
"""What a person should know of a recording, a line each."""


@dataclass(frozen=True)
class Job:
    """What all recordings of a run share.

    Attributes:
        start: folder that relative names of recordings begin at; processes of a cluster begin
            elsewhere.
        model: a file that every machine reaches by this name.
        model_name: as the user named it; outputs tell it.
        model_sha256: of the file that the driver sees.
        reading: arguments of :func:`posemamba_runtime.keypoints.reader.read`.
        root: estimate the pelvis' place, with ``focal`` in pixels where it is known.
        output: folder, reached by every machine by this name.
        suffix: of the files written.
        staging: folder in ``output`` where files wait until they are whole.
    """

    start: str
    model: str
    model_name: str
    model_sha256: str
    backend: str
    threads: int
    tf32: bool
    reading: Mapping[str, Any]
    options: LiftOptions
    root: bool
    focal: float | None
    output: str
    suffix: str
    staging: str

    def fingerprint(self) -> str:
        """Hash of all that an output depends on but the recording."""
        said = asdict(self)
        for name in ("start", "model", "threads", "output", "staging"):
            del said[name]
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


class Worker:
    """Holds one runtime; called with a batch, answers with a row per recording."""

    def __init__(self, job: Job, remarks: Remarks) -> None:
        self._job = job
        self._remarks = remarks
        self._fingerprint = job.fingerprint()
        self._lifter: Lifter | None = None
        self._problem = ""
        with suppress(OSError):  # a machine without that folder says so of each recording
            os.chdir(job.start)
        try:
            if content_hash(Path(job.model)) != job.model_sha256:
                self._problem = (
                    f"'{job.model}' is another file on this machine than on the driver's"
                )
            else:
                self._lifter = Lifter(job.model, job.backend, threads=job.threads, tf32=job.tf32)
        except (Error, OSError) as error:
            self._problem = _line(error)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """What became of a batch.

        Args:
            batch: JSON in the columns ``item`` (an ``Item``) and ``known`` (its ``Entry`` or null).

        Returns:
            the columns ``status`` and ``entry``.
        """
        answers = [
            self._answer(json.loads(str(item)), json.loads(str(known)))
            for item, known in zip(batch["item"], batch["known"], strict=True)
        ]
        return {
            "status": [status for status, _ in answers],
            "entry": [json.dumps(asdict(entry)) for _, entry in answers],
        }

    def _answer(self, item: dict[str, Any], known: dict[str, Any] | None) -> tuple[str, Entry]:
        entry = Entry(**known) if known else Entry(item["name"])
        if self._lifter is None:
            return STOP, Entry(item["name"], failed=self._problem)
        attempts = Path(self._job.staging) / hashlib.sha256(os.fsencode(item["name"])).hexdigest()
        named = printable_name(item["source"])
        try:
            if _size(attempts) >= _TRIES:
                why = f"'{named}': the process that lifted it died {_TRIES} times"
                return FAILED, replace(entry, failed=why)
            with attempts.open("ab") as counter:
                counter.write(b".")
            status, entry = self._one(self._lifter, item, entry)
        except (Error, OSError, MemoryError) as error:
            status, entry = FAILED, replace(entry, key="", failed=_line(error))
        except Exception as error:  # a fault of ours must not stop the others
            said = f"'{named}': {type(error).__name__}: {printable(error, 200)}"
            status, entry = FAILED, replace(entry, key="", failed=said)
        attempts.unlink(missing_ok=True)
        return status, entry

    def _one(self, lifter: Lifter, item: dict[str, Any], before: Entry) -> tuple[str, Entry]:
        with _Content(item) as content:
            key = hashlib.sha256(f"{content.sha256}{self._fingerprint}".encode()).hexdigest()
            if before.key == key and self._all_there(before):
                return THERE, before
            recording = content.read(self._job.reading)
            lifted = lift_prepared(
                lifter, prepare(recording), self._job.options, model=self._job.model_name
            )
        motion = lifted.motion
        if self._job.root:
            motion, _ = with_root(motion, self._job.focal)
        files = self._write(item["name"], motion, before)
        poses = sum(len(track.frames) for track in motion.tracks)
        return LIFTED, Entry(item["name"], key, files, poses, self._remarks(recording, lifted))

    def _all_there(self, entry: Entry) -> bool:
        folder = Path(self._job.output)
        return all(_size(folder / name) == size for name, size in entry.files.items())

    def _write(self, name: str, motion: Motion, before: Entry) -> dict[str, int]:
        """The files, moved to their places when all are whole; older ones that are none go."""
        folder, stem = Path(self._job.output), Path(stem_of(name))
        with tempfile.TemporaryDirectory(dir=self._job.staging) as private:
            try:
                made = outputs.write(Path(private) / f"{stem.name}{self._job.suffix}", motion)
            except Error as error:  # its place is where it goes, not where it waits
                place = str(folder / stem.parent)
                raise type(error)(str(error).replace(private, place)) from None
            files = {str(stem.parent / path.name): path.stat().st_size for path in made}
            (folder / stem.parent).mkdir(parents=True, exist_ok=True)
            for path, place in zip(made, files, strict=True):
                path.replace(folder / place)
        for stale in before.files.keys() - files.keys():
            (folder / stale).unlink(missing_ok=True)
        return files


def stem_of(name: str) -> str:
    """An output's relative path without its ending; a folder's name keeps its dots."""
    path = Path(name)
    return str(path.with_suffix("") if path.suffix.lower() in _ENDINGS else path)


_ENDINGS = (".json", ".ndjson", ".jsonl", ".npz", ".txt")


class _Content:
    """A recording where the reader can have it: its own place, or a file made of a table's row."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        self._name = item["name"]
        self._row = item["row"]
        self._source = item["source"]
        self._folder: str | None = None
        self._path = Path(self._source)

    def __enter__(self) -> _Content:
        if self._row is not None:
            self._folder = tempfile.mkdtemp()
            self._path = Path(self._folder) / Path(self._name).name
            self._path.write_bytes(table_bytes(self._source, *self._row))
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def sha256(self) -> str:
        """Of the file, or of the names and contents of a folder's files."""
        return content_hash(self._path)

    def read(self, arguments: Mapping[str, Any]) -> Recording:
        if self._row is None:
            return read(self._source, **arguments)
        try:
            return replace(read(self._path, **arguments), source=self._name)
        except Error as error:  # its temporary name tells nobody anything
            raise type(error)(str(error).replace(str(self._path), self._name)) from None


def content_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, or of a folder's files with their relative names.

    Raises:
        InputError: nothing there, or a pipe or a device, which would be waited for.
    """
    path = Path(path)
    if not require_readable(path):
        with path.open("rb") as stream:
            return _sha256(stream)
    whole = hashlib.sha256()
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            file = Path(folder) / name
            with file.open("rb") as stream:
                said = f"{file.relative_to(path)}\0{_sha256(stream)}\n"
            whole.update(said.encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _sha256(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := stream.read(_CHUNK):
        digest.update(block)
    return digest.hexdigest()


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return -1


def _line(error: BaseException) -> str:
    if isinstance(error, OSError):
        return f"'{printable_name(str(error.filename))}': {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
