"""Files written whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from posemamba_runtime.errors import BadArgument
from posemamba_runtime.file_names import place_of, temporary_name


def check_place(path: Path) -> None:
    """Make sure that a file may be put at ``path``; nothing is left behind.

    Raises:
        BadArgument: a folder, a pipe or a device, or no folder around it that takes files.
    """
    with _in_one_line(path):
        if path.is_dir():
            raise BadArgument(f"'{path}' is a folder: name the file to write")
        if path.exists() and not path.is_file():
            raise BadArgument(f"'{path}' is a pipe or a device: name the file to write")
        folder = place_of(path).parent
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist: create it first"
            raise BadArgument(f"'{path}': the folder '{folder}' {what}")
        # Access rights say nothing for root, full disks and /proc.
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")


@contextmanager
def replacing(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Temporary names beside ``paths``, which take their places when the block ends well.

    A link stays one: what it leads to is written. An error inside leaves what was there as it was,
    and no temporary file.

    Raises:
        BadArgument: a place that takes no file.
    """
    for path in paths:
        check_place(path)
    places = [place_of(path) for path in paths]
    temporary = [place.with_name(temporary_name(place.name)) for place in places]
    try:
        with _in_one_line(paths[0]):
            yield temporary
            for made, place in zip(temporary, places, strict=True):
                made.replace(place)
    finally:
        for made in temporary:
            with suppress(OSError):
                made.unlink()


@contextmanager
def _in_one_line(path: Path) -> Iterator[None]:
    """The system's errors as ours."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadArgument(f"'{path}' cannot be written ({reason}): choose another place") from None
