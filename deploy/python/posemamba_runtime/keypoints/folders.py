"""A folder with a file a frame."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from posemamba_runtime.keypoints.documents import read_document
from posemamba_runtime.keypoints.errors import InputError, problem
from posemamba_runtime.keypoints.formats.yolo import read_labels
from posemamba_runtime.keypoints.frames import FrameReader, is_nobody, looks_like_frame
from posemamba_runtime.keypoints.names import frame_numbers
from posemamba_runtime.keypoints.recording import Detections, Origins
from posemamba_runtime.keypoints.source import parse_json, read_bytes, refuse_other_kinds
from posemamba_runtime.text import counted, printable

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".mp4", ".avi", ".mov", ".mkv", ".webm")
_LABEL = re.compile(rb"\s*[0-9]+(\s+-?[0-9.][0-9.eE+-]*){2}")
_DEEPEST = 6


def read_folder(folder: str | os.PathLike[str], wanted: str | None) -> tuple[Detections, str]:
    """The frames of a folder, ordered by the numbers in their names; and the format's name.

    Files whose names begin with a dot are passed over. A folder that holds nothing but one folder
    with frames, however deep, stands for it.

    Raises:
        InputError: no frames, or a file that is none, named.
    """
    folder = Path(folder)
    inner = with_frames(folder)
    files = _files(inner)
    jsons = [name for name in files if name.lower().endswith(".json")]
    if not jsons:
        return _read_labels(inner, _labels(files), wanted)
    if len(jsons) == 1:
        path = inner / jsons[0]
        document = parse_json(read_bytes(path), path)
        try:
            return read_document(document, wanted)
        except InputError as error:
            raise problem(path, str(error)) from None
    reader = FrameReader(wanted)
    for number, name in _in_order(inner, jsons, reader.found):
        path = inner / name
        document = parse_json(read_bytes(path), path)
        if reader.format is None and not is_nobody(document):
            _require_frame(document, path, jsons)
        try:
            reader.add(document, number)
        except InputError as error:
            raise problem(path, str(error)) from None
    return reader.finished(), reader.format.name if reader.format else (wanted or "openpose")


def _in_order(folder: Path, names: Sequence[str], found: Detections) -> Iterator[tuple[int, str]]:
    try:
        numbers, note = frame_numbers(names)
    except InputError as error:
        raise problem(folder, str(error)) from None
    found.notes += [note] if note else []
    found.origins = Origins(numbers, names)
    return iter(found.origins)


def _require_frame(document: object, path: Path, names: Sequence[str]) -> None:
    """Refuse a folder of whole recordings: which one is meant?"""
    if looks_like_frame(document):
        return
    try:
        found, _ = read_document(document, None)
    except InputError as error:
        raise problem(path, str(error)) from None
    shown = ", ".join(f"'{printable(name, 30)}'" for name in list(names)[:3])
    frames = counted(len(found.people.frames()), "frame")
    raise problem(
        path.parent,
        f"holds several recordings ({shown}; the first of {frames}): name one of them",
    )


def _read_labels(folder: Path, names: Sequence[str], wanted: str | None) -> tuple[Detections, str]:
    if wanted not in (None, "yolo"):
        raise problem(folder, f"holds YOLO label files, not --format {wanted}: leave --format out")
    found = Detections(layout="coco17", units="fractions")
    frames = [name for name in names if not _is_companion(folder / name)]
    if len(frames) < len(names):
        found.left_out["texts that are no labels"] = len(names) - len(frames)
    for number, name in _in_order(folder, frames, found):
        path = folder / name
        content = b"" if not path.stat().st_size else read_bytes(path)  # empty: nobody there
        refuse_other_kinds(content, path)
        try:
            found.people.add(number, read_labels(content, found))
        except InputError as error:
            raise problem(path, str(error)) from None
    return found, "yolo"


def with_frames(folder: Path) -> Path:
    """The folder, or the only one in it that has frames."""
    found = _search(folder, _has_json) or _search(folder, _has_labels)
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        shown = ", ".join(f"'{printable(path.relative_to(folder), 50)}'" for path in found[:4])
        raise problem(folder, f"holds several recordings ({shown}): name one of these folders")
    names = _files(folder)
    if any(name.lower().endswith(_PICTURES) for name in names):
        raise problem(
            folder, "holds pictures or videos, not keypoints: run a 2D detector on them first"
        )
    if any(name.lower().endswith(".npz") for name in names):
        raise problem(folder, "holds .npz files: name one of them")
    if _labels(names):
        raise problem(folder, "its .txt files begin with no YOLO label, 'class x y ...' in numbers")
    raise problem(folder, "no .json or .txt file in it: give the folder the detector wrote")


def _search(folder: Path, fits: Callable[[Path], bool], depth: int = 0) -> list[Path]:
    """Folders with frames, at most five."""
    if fits(folder):
        return [folder]
    if depth == _DEEPEST:
        return []
    try:
        inner = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
    except OSError as error:
        raise problem(folder, f"cannot be listed ({error.strerror}); check its rights") from None
    found: list[Path] = []
    for path in map(Path, inner):
        if not path.name.startswith(".") and len(found) < 5:
            found += _search(path, fits, depth + 1)
    return found


def _has_json(folder: Path) -> bool:
    return any(name.lower().endswith(".json") for name in _files(folder))


def _has_labels(folder: Path) -> bool:
    """A text file that begins as a label does: other tools leave texts of their own."""
    return any(_is_label(folder / name) for name in _labels(_files(folder)))


def _is_label(path: Path) -> bool:
    with path.open("rb") as stream:
        return _LABEL.match(stream.read(64)) is not None


def _is_companion(path: Path) -> bool:
    """What lies beside labels, such as ``classes.txt``; a file of a frame has its number, or is
    empty where nobody was seen."""
    numbered = any(letter.isdigit() for letter in path.stem)
    return not numbered and path.stat().st_size > 0 and not _is_label(path)


def _files(folder: Path) -> list[str]:
    """Names of what is no folder, without hidden ones.

    Raises:
        InputError: a folder that cannot be listed, or a pipe among the frames.
    """
    names = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.is_dir():
                    continue
                frame = entry.name.lower().endswith((".json", ".txt"))
                if frame and not entry.is_file():
                    raise problem(entry.path, "is a pipe, a device or a broken link: remove it")
                names.append(entry.name)
    except OSError as error:
        raise problem(folder, f"cannot be listed ({error.strerror}); check its rights") from None
    return names


def _labels(names: Sequence[str]) -> list[str]:
    return [name for name in names if name.lower().endswith(".txt")]
