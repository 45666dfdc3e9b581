"""The recordings of an archive: a folder of them, a list of files, or Parquet."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from posemamba_runtime.keypoints.errors import InputError, problem
from posemamba_runtime.keypoints.formats import FRAME_FORMATS
from posemamba_runtime.keypoints.source import parse_json, read_bytes, require_readable
from posemamba_runtime.text import counted, printable

if TYPE_CHECKING:
    from pyarrow import ChunkedArray

LIST_MARK = "@"
PARQUET = ".parquet"
SUFFIXES = (".json", ".ndjson", ".jsonl", ".npz", ".txt")
"""Of files that may be a recording; others in a folder are counted and passed over."""

_LOOKED_AT = 3  # files of a folder, before it is taken for one of recordings
_PATH, _BYTES = "path", "bytes"  # columns, named as Ray's read_binary_files(include_paths=True)


@dataclass(frozen=True)
class Item:
    """One recording of an archive.

    Attributes:
        name: relative path that its output is named after; unique in the archive.
        source: what the reader is given, and messages name.
        row: where its bytes lie in the Parquet file ``source``, as row group and row; else None.
    """

    name: str
    source: str
    row: tuple[int, int] | None = None


@dataclass(frozen=True)
class Archive:
    """What was found.

    Attributes:
        passed_over: files of a folder that no reader takes.
    """

    items: tuple[Item, ...]
    passed_over: int = 0


def find(source: str) -> Archive:
    """The recordings of ``FOLDER``, ``@LIST``, or a Parquet file; none of them is read.

    A folder with a file per frame is one recording; any other folder holds a recording per file.
    Folders in folders are looked into, each once, whatever links lead there. Names that begin with
    a dot are passed over. A folder of Parquet files alone is one table. The lines of a list are
    paths as the shell would take them.

    Raises:
        InputError: nothing there, or names that would be one output.
    """
    if source.startswith(LIST_MARK):
        return Archive(_listed(Path(source[1:])))
    path = Path(source)
    if require_readable(path):
        found, passed_over = _in_folder(path, set())
    elif path.suffix.lower() == PARQUET:
        return Archive(_in_tables(path, [path]))
    else:
        raise problem(
            path, "is one file: give a folder of recordings, @LIST or Parquet, or leave --ray out"
        )
    tables = [each for each in _entries(path) if each.suffix.lower() == PARQUET]
    if tables and not found:
        return Archive(_in_tables(path, tables), passed_over - len(tables))
    if not found:
        looked_for = ", ".join((*SUFFIXES, PARQUET))
        raise problem(path, f"no recording in it: looked for {looked_for}")
    base = path.parent if found == [path] else path
    return Archive(tuple(_named(map(str, sorted(found)), str(base))), passed_over)


def _named(paths: Iterable[str], base: str) -> Iterator[Item]:
    for path in paths:
        yield Item(os.path.relpath(path, base), path)


def _in_folder(folder: Path, been: set[str]) -> tuple[list[Path], int]:
    """Recordings, and how many files are none.

    Args:
        been: folders that were looked into, whatever link led there; this one is added.
    """
    been.add(os.path.realpath(folder))
    if _is_frames(folder):
        return [folder], 0
    found: list[Path] = []
    passed_over = 0
    for path in sorted(_entries(folder), key=Path.is_symlink):  # a folder's own name goes first
        if path.is_dir():
            more, less = ([], 1) if os.path.realpath(path) in been else _in_folder(path, been)
            found += more
            passed_over += less
        elif path.suffix.lower() in SUFFIXES and not _gives_no_end(path):
            found.append(path)
        else:
            passed_over += 1
    return found, passed_over


def _gives_no_end(path: Path) -> bool:
    """Whether it is a pipe or a device; a link to nothing is a recording that fails by its name."""
    return path.exists() and not path.is_file()


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise problem(folder, f"cannot be listed ({error.strerror}); check its rights") from None


def _is_frames(folder: Path) -> bool:
    """Whether a folder has a file per frame: several labels, or JSON files of one frame each."""
    files = [path for path in _entries(folder) if path.is_file()]
    if sum(path.suffix.lower() == ".txt" for path in files) > 1:
        return not any(path.suffix.lower() in SUFFIXES[:-1] for path in files)
    jsons = [path for path in files if path.suffix.lower() == ".json"]
    return len(jsons) > 1 and any(_is_frame(path) for path in jsons[:_LOOKED_AT])


def _is_frame(path: Path) -> bool:
    try:
        document = parse_json(read_bytes(path), path)
    except InputError:
        return False
    return any(entry.is_frame(document) for entry in FRAME_FORMATS)


def _listed(path: Path) -> tuple[Item, ...]:
    require_readable(path)
    try:
        lines = path.read_text("utf-8-sig").split("\n")  # names may hold other line ends
    except (OSError, UnicodeDecodeError):
        raise problem(path, "cannot be read as a list: one path per line, in UTF-8") from None
    return tuple(_beneath(path, [line.strip() for line in lines if line.strip()]))


def _beneath(origin: Path, paths: Sequence[str]) -> Iterator[Item]:
    """Named by where they lie below the folder that all of them share."""
    if not paths:
        raise problem(origin, "lists no recording")
    places = [os.path.abspath(path) for path in paths]  # noqa: PTH100 (keeps links as they are)
    twice = [place for place, times in Counter(places).items() if times > 1]
    if twice:
        raise problem(origin, f"names '{printable(min(twice), 80)}' twice: name it once")
    base = os.path.commonpath([os.path.dirname(place) for place in places])  # noqa: PTH120
    for path, place in zip(paths, places, strict=True):
        yield Item(os.path.relpath(place, base), path)


def _in_tables(origin: Path, tables: Sequence[Path]) -> tuple[Item, ...]:
    """Rows of ``path`` and, where the files themselves lie in the tables, ``bytes``."""
    names: list[str] = []
    places: list[tuple[str, tuple[int, int]] | None] = []
    for table in tables:
        groups, kept = _names_in(table)
        for number, group in enumerate(groups):
            names += group
            places += [(str(table), (number, row)) if kept else None for row in range(len(group))]
    if not names:
        raise problem(origin, "holds no recording: its table is empty")
    return tuple(
        item if place is None else Item(item.name, *place)
        for item, place in zip(_beneath(origin, names), places, strict=True)
    )


def _names_in(table: Path) -> tuple[list[list[str]], bool]:
    """The names of each row group, and whether the files' contents lie beside them."""
    from posemamba_runtime.scale.require import pyarrow_parquet

    parquet = pyarrow_parquet()
    try:
        opened = parquet.ParquetFile(table)
        columns = opened.schema_arrow.names
        groups = [
            opened.read_row_group(group, columns=[_PATH]).column(_PATH).to_pylist()
            for group in range(opened.num_row_groups if _PATH in columns else 0)
        ]
    except Exception as error:  # Arrow's, by many names
        raise problem(table, f"is no Parquet file ({printable(error, 80)})") from None
    if _PATH not in columns:
        raise problem(
            table,
            f"has the columns {printable(', '.join(columns), 80)}: a row is a recording, its name "
            f"in '{_PATH}' and its file's content in '{_BYTES}', or only the path of a file",
        )
    if not all(isinstance(n, str) and n.strip() and "\0" not in n for row in groups for n in row):
        raise problem(table, f"column '{_PATH}' holds rows without a name: fill them")
    return groups, _BYTES in columns


def table_bytes(path: str, group: int, row: int) -> bytes:
    """The content of one recording that lies in a table.

    Raises:
        InputError: the row holds none.
    """
    value = _contents(path, group, Path(path).stat().st_mtime_ns)[row].as_py()
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise problem(path, f"row {row} of row group {group} has no '{_BYTES}'")
    return value


@lru_cache(maxsize=1)  # a process gets rows one after the other, and Parquet gives whole groups
def _contents(path: str, group: int, _changed: int) -> ChunkedArray:
    from posemamba_runtime.scale.require import pyarrow_parquet

    return pyarrow_parquet().ParquetFile(path).read_row_group(group, columns=[_BYTES])[_BYTES]


def refuse_shared_outputs(items: Sequence[Item], stems: Sequence[str]) -> None:
    """Refuse two recordings that would be written to one file.

    Raises:
        InputError: names the first pair, and how many there are.
    """
    first: dict[str, str] = {}
    pairs = []
    for item, stem in zip(items, stems, strict=True):
        if stem in first:
            pairs.append((first[stem], item.name))
        first.setdefault(stem, item.name)
    if pairs:
        one, other = (printable(name, 60) for name in pairs[0])
        raise InputError(
            f"'{one}' and '{other}' would be written to one file ({counted(len(pairs), 'pair')} "
            "like it): rename one of them"
        )
