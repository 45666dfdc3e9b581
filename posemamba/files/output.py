"""Outputs: refused before any work where they cannot be written, then written whole or not at all.

The checks change nothing and leave nothing behind.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from posemamba.errors import InputError
from posemamba_runtime.file_names import LONGEST_NAME, place_of, temporary_name


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name beside ``path``, which takes its place when the block ends well.

    A link stays one: what it leads to is written. An error inside leaves what was at ``path`` as it
    was, and no temporary file.

    Raises:
        InputError: ``path`` is a folder, a pipe or a device, or its folder takes no file.
    """
    target = Path(path)
    _check_replaceable(target)
    place = _place(target)
    _check_exists(place.parent, f"'{target}': its")
    temporary = place.with_name(temporary_name(place.name))
    try:
        yield temporary
        temporary.replace(place)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"'{target}' cannot be written ({reason}): name another place") from None
    finally:
        with suppress(OSError):  # the reason why there is none was told
            temporary.unlink()


def check_file(path: Path, *, suffix: str = "", inputs: Iterable[Path] = ()) -> None:
    """Make sure a file can be written at ``path``.

    Args:
        suffix: the ending the name must have, with its dot; case does not matter. Empty: any.
        inputs: files that must not be overwritten, by whatever name.

    Raises:
        InputError: a folder, a pipe, a device, another ending, one of the inputs, or a folder that
            is missing or takes no file.
    """
    _check_replaceable(path, suffix)
    if suffix and path.suffix.lower() != suffix:
        raise InputError(f"'{path}' must end in '{suffix}'")
    if is_one_of(path, inputs):
        raise InputError(f"'{path}' is the input: writing there would overwrite it, name another")
    check_takes_files(_place(path).parent, f"'{path}': its")


def check_distinct(paths: Mapping[str, Path | None]) -> None:
    """Make sure that no two outputs are one file.

    Args:
        paths: by option; None where it is not given.

    Raises:
        InputError: the second would replace the first.
    """
    seen: dict[Path, str] = {}
    for option, path in paths.items():
        if path is None:
            continue
        place = Path(os.path.realpath(path))  # a link's target is what is written
        if place in seen:
            raise InputError(f"{seen[place]} and {option} both name '{path}': name two files")
        seen[place] = option


def check_folder(folder: Path, files: Iterable[str] = ()) -> None:
    """Make sure a folder can be written or, where it is missing, made.

    Args:
        files: names of the files to write there.

    Raises:
        InputError: not a folder, one that takes no file, or a name that something else has.
    """
    existing = folder
    while not existing.exists():
        existing = existing.parent
    check_takes_files(existing)
    for name in files:
        _check_replaceable(folder / name)


def check_takes_files(folder: Path, whose: str = "output") -> None:
    """Make sure a file can be created in a folder that exists.

    Args:
        whose: how the message begins, before "folder".

    Raises:
        InputError: no such folder, not a folder, or it takes no file.
    """
    _check_exists(folder, whose)
    reason = why_unwritable(folder)
    if reason is not None:
        raise InputError(f"{whose} folder '{folder}' cannot be written ({reason}): name another")


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


def _check_replaceable(path: Path, suffix: str = "") -> None:
    if (length := len(os.fsencode(path.name))) > LONGEST_NAME:
        raise InputError(
            f"the name of '{path}' has {length} bytes, a file's has at most {LONGEST_NAME}: "
            "name a shorter one"
        )
    if path.is_dir():
        example = f", such as '{path}/M{suffix}'" if suffix else ""
        raise InputError(f"'{path}' is a directory: name another file{example}")
    if path.exists() and not path.is_file():
        raise InputError(f"'{path}' is a pipe or a device: name another file")


def _place(path: Path) -> Path:
    """Where a file of this name is written: what a link leads to, there or not.

    Raises:
        InputError: a link that leads to itself.
    """
    try:
        return place_of(path)
    except OSError as error:
        raise InputError(f"'{path}' is {error.strerror}: remove it, or name another") from None


def _check_exists(folder: Path, whose: str) -> None:
    if folder.is_dir():
        return
    if folder.exists():
        raise InputError(f"{whose} folder '{folder}' is a file: name another folder")
    raise InputError(f"{whose} folder '{folder}' does not exist: create it with 'mkdir -p'")
