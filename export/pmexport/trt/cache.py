"""Built engines, kept by everything they depend on.

One folder per key: the engine, its sidecar, and the fields the key was made of, so that a miss can
say what is new. A damaged entry is found by its hash and dropped. Entries unused for long, or
beyond the size limit, go, the least recently used first. Several processes may share a cache: who
builds an engine holds the lock of its key, so the others wait for it instead of building it too.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pmexport.format.files import file_sha256
from posemamba.errors import InputError
from posemamba_runtime.file_names import cache_folder

ENGINE, SIDECAR, FIELDS = "engine", "sidecar.json", "fields.json"
DEFAULT_LIMIT_BYTES = 4 * 10**9
MAX_AGE_DAYS = 60
_DAY = 86400.0


@dataclass(frozen=True)
class Entry:
    """An engine in the cache, its bytes known to be right."""

    engine: Path
    sidecar: dict[str, Any]


@dataclass(frozen=True)
class Nearest:
    """The entry that differs least from what was asked.

    Attributes:
        changed: names of the fields that differ.
        created: when it was built, UTC.
    """

    changed: tuple[str, ...]
    created: str


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/pmexport/engines``, by default under ``~/.cache``.

    Raises:
        InputError: no home is known.
    """
    try:
        return cache_folder() / "pmexport" / "engines"
    except OSError as error:
        raise InputError(f"{error.strerror}, or name a folder with --cache") from None


def cache_key(fields: Mapping[str, Any]) -> str:
    """A name for a set of fields: equal fields, equal name."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class EngineCache:
    """Engines in one folder, which is made when it is missing.

    Args:
        folder: may be shared by processes of one machine.
        limit_bytes: what :meth:`store` prunes to.

    Raises:
        InputError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._entries, self._locks = folder / "entries", folder / "locks"
        try:
            for path in (self._entries, self._locks):
                path.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=folder):
                pass
        except OSError as error:
            raise InputError(
                f"engine cache '{folder}' cannot be written ({error.strerror or error}): name "
                "another with --cache, or add --no-cache"
            ) from None

    @contextmanager
    def locked(self, key: str, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the lock of a key; ``on_wait`` is told if another process has it."""
        import filelock

        lock = filelock.FileLock(self._lock_path(key))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if on_wait is not None:
                on_wait()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _lock_path(self, key: str) -> Path:
        return self._locks / f"{key[:2]}.lock"  # never more than 256 files

    def find(self, key: str) -> tuple[Entry | None, bool]:
        """The entry of a key, and whether a damaged one was dropped; hold its lock."""
        folder = self._entries / key
        if not folder.is_dir():
            return None, False
        try:
            sidecar = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
            sound = file_sha256(folder / ENGINE) == sidecar["engine"]["sha256"]
            os.utime(folder / FIELDS)
        except (OSError, ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            shutil.rmtree(folder, ignore_errors=True)
            return None, True
        return Entry(folder / ENGINE, sidecar), False

    def nearest(self, fields: Mapping[str, Any]) -> Nearest | None:
        """The entry with the fewest differing fields, the newest of equals; None without any."""
        best: Nearest | None = None
        for folder in sorted(self._entries.iterdir(), key=_used, reverse=True):
            try:
                other = json.loads((folder / FIELDS).read_text(encoding="utf-8"))
                created = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))["created"]
                changed = tuple(
                    name
                    for name in sorted({*fields, *other})
                    if fields.get(name) != other.get(name)
                )
            except (OSError, ValueError, KeyError, TypeError):
                continue  # damaged; it is dropped when somebody asks for it
            if best is None or len(changed) < len(best.changed):
                best = Nearest(changed, str(created))
        return best

    def store(self, key: str, fields: Mapping[str, Any], engine: Path, sidecar_text: str) -> None:
        """Keep an engine, whole or not at all, then prune; hold its lock.

        Raises:
            OSError: it cannot be written.
        """
        with TemporaryDirectory(prefix=".new-", dir=self.folder) as temporary:
            folder = Path(temporary, key)
            folder.mkdir()
            shutil.copyfile(engine, folder / ENGINE)
            (folder / SIDECAR).write_text(sidecar_text, encoding="utf-8")
            (folder / FIELDS).write_text(json.dumps(fields, indent=2), encoding="utf-8")
            target = self._entries / key
            shutil.rmtree(target, ignore_errors=True)
            folder.replace(target)
        self.prune(keep=key)

    def prune(self, keep: str = "") -> int:
        """Drop what is too old or too much; entries in use stay. Returns how many went."""
        import filelock

        folders = sorted(self._entries.iterdir(), key=_used, reverse=True)
        total, dropped = 0, 0
        for folder in folders:
            size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
            old = time.time() - _used(folder) > MAX_AGE_DAYS * _DAY
            if folder.name == keep or not (old or total + size > self.limit_bytes):
                total += size
                continue
            try:
                with self._unless_ours(folder.name, keep):
                    shutil.rmtree(folder, ignore_errors=True)
                dropped += 1
            except filelock.Timeout:
                total += size
        return dropped

    def _unless_ours(self, key: str, ours: str) -> AbstractContextManager[object]:
        """The lock of ``key`` taken without waiting; nothing where ``ours`` shares it."""
        import filelock

        if ours and self._lock_path(key) == self._lock_path(ours):
            return nullcontext()
        return filelock.FileLock(self._lock_path(key)).acquire(timeout=0)


def _used(folder: Path) -> float:
    """When an entry was last asked for, seconds since the epoch; 0 for a broken one."""
    try:
        return (folder / FIELDS).stat().st_mtime
    except OSError:
        return 0.0
