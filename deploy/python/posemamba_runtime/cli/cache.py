"""Files that a command makes once with the exporter's own, and keeps in the user's cache.

This package imports nothing of the exporter's: it runs its command, where that is installed.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from posemamba_runtime.errors import Missing
from posemamba_runtime.file_names import cache_folder, temporary_name

_DIGITS = 12
"""Of a SHA-256, in a name."""


def has_exporter() -> bool:
    return find_spec("pmexport") is not None and find_spec("posemamba") is not None


def cache_path(name: str, made_of: Path, suffix: str) -> Path:
    """Where a file is kept that belongs to the bytes of another.

    Raises:
        Missing: there is no such place.
    """
    digest = hashlib.sha256(made_of.read_bytes()).hexdigest()[:_DIGITS]
    try:
        return cache_folder() / "posemamba" / f"{name}-{digest}{suffix}"
    except OSError as error:
        raise Missing(str(error.strerror)) from None


def make(path: Path, words: Sequence[str], failed: str) -> None:
    """Have the exporter write a file, whole or not at all: two commands may run at once.

    Args:
        words: of its command, without ``-o``.
        failed: what a message says first where the command fails.

    Raises:
        Missing: it fails, and its own line is told, or the cache cannot be written.
    """
    temporary = path.with_name(temporary_name(path.name))
    command = [sys.executable, "-m", "pmexport", *words, "-o", str(temporary)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
            raise Missing(f"{failed}: {said[-1]}")
        temporary.replace(path)
    except OSError as error:
        raise Missing(
            f"'{path}' cannot be written ({error.strerror}): point XDG_CACHE_HOME at a folder that "
            "can"
        ) from None
    finally:
        if path.parent.is_dir():
            temporary.unlink(missing_ok=True)
