"""``read``: any recording of 2D keypoints as one :class:`Recording`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from posemamba_runtime import long_arrays
from posemamba_runtime.keypoints.archive import read_archive
from posemamba_runtime.keypoints.documents import add_all, read_document
from posemamba_runtime.keypoints.errors import InputError, problem
from posemamba_runtime.keypoints.folders import read_folder
from posemamba_runtime.keypoints.formats import FORMAT_NAMES
from posemamba_runtime.keypoints.formats.clips import MOST_AT_ONCE, read_clips
from posemamba_runtime.keypoints.formats.detectron import is_detectron, read_detectron
from posemamba_runtime.keypoints.formats.videopose3d import is_videopose3d, read_videopose3d
from posemamba_runtime.keypoints.formats.yolo import read_labels
from posemamba_runtime.keypoints.frames import FrameReader
from posemamba_runtime.keypoints.judge import Judged, judge
from posemamba_runtime.keypoints.layouts import LAYOUTS, layout_name
from posemamba_runtime.keypoints.recording import Detections, PersonTrack, Recording, Summary
from posemamba_runtime.keypoints.source import (
    Lines,
    held_lines,
    parse_documents,
    read_bytes,
    read_lines,
    require_readable,
    standard_input,
)
from posemamba_runtime.keypoints.tracks import make_tracks, parse_person
from posemamba_runtime.text import nearest, printable

MIN_CONFIDENCE = 0.1
"""Below this a detector guesses. Of 0 to 0.5 it gives the least error on the four-camera trial:
70.6 mm against 71.2 at 0 and 74.4 at 0.3."""

STANDARD_INPUT = "-"

_SIZE = re.compile(r"([0-9]{1,7})\s*[xX,:]\s*([0-9]{1,7})")

_ALSO_CALLED = {
    **dict.fromkeys(("jsonl", "jsonlines", "lines"), "ndjson"),
    **dict.fromkeys(("yolopose", "yolov8", "yolo11", "ultralytics"), "yolo"),
    **{"videopose": "videopose3d", "clips": "npz", "halpe": "alphapose"},
}
_ARCHIVES = ("npz", "videopose3d", "detectron")


def read(
    source: str | PathLike[str],
    *,
    format: str | None = None,
    size: tuple[int, int] | None = None,
    min_confidence: float = MIN_CONFIDENCE,
    person: str | int = "all",
    layout: str | None = None,
    rate: float | None = None,
    clip: str | None = None,
    clips_at_once: int = MOST_AT_ONCE,
    stdin: BinaryIO | None = None,
) -> Recording:
    """Read 2D keypoints that a detector wrote.

    Args:
        source: a file, a folder with a file a frame, or ``-``: a frame a line on standard input.
        format: one of :data:`FORMAT_NAMES`; None looks at the content.
        size: width and height of the image in pixels, where the file does not tell.
        min_confidence: keypoints below it count as not found.
        person: ``"all"``, ``"largest"``, or an id.
        layout: the order of the joints, where the file does not tell.
        rate: frames a second, where the file does not tell.
        clip: the one to take of an ``.npz`` that holds several.
        clips_at_once: how many of its clips are taken where none is named.
        stdin: what ``-`` stands for.

    Raises:
        InputError: one line that names the file, the value and the fix.
    """
    wanted = format_name(format)
    layout = None if layout is None else layout_name(layout)
    person = parse_person(person)
    check_numbers(size, min_confidence, rate)
    source = str(source)
    found, name = _detections(source, wanted, clip, clips_at_once, stdin)
    return _recording(found, name, source, size, min_confidence, person, layout, rate)


def read_frames(
    lines: Lines,
    source: str,
    *,
    size: tuple[int, int] | None = None,
    min_confidence: float = MIN_CONFIDENCE,
    person: str | int = "all",
    rate: float | None = None,
) -> Recording:
    """As :func:`read` of a frame a line, from whatever program writes them.

    Args:
        source: what messages and the recording call it.
    """
    check_numbers(size, min_confidence, rate)
    found, name = _from_lines(lines, None, source)
    return _recording(found, name, source, size, min_confidence, parse_person(person), None, rate)


def _recording(
    found: Detections,
    name: str,
    source: str,
    size: tuple[int, int] | None,
    min_confidence: float,
    person: str | int,
    layout: str | None,
    rate: float | None,
) -> Recording:
    """What was found, judged and followed."""
    try:
        judged = judge(found, size=size, min_confidence=min_confidence, layout=layout)
        tracks, rate = make_tracks(judged, found, person=person, rate=rate)
    except InputError as error:
        raise problem(source, str(error)) from None
    return Recording(
        tracks,
        judged.layout,
        judged.size,
        judged.canvas,
        rate,
        source,
        _summary(name, found, judged, tracks),
    )


def format_name(text: str | None) -> str | None:
    """A format's name, or None.

    Raises:
        InputError: no such format.
    """
    if text is None or text.casefold() == "auto":
        return None
    name = "".join(letter for letter in text.casefold() if letter.isalnum())
    name = _ALSO_CALLED.get(name, name)
    if name not in FORMAT_NAMES:
        known = ", ".join(FORMAT_NAMES)
        raise InputError(
            f"no format '{printable(text, 20)}'{nearest(name, FORMAT_NAMES)}: use one of {known}"
        )
    return name


def parse_size(text: str) -> tuple[int, int]:
    """``1920x1080``.

    Raises:
        InputError: anything else.
    """
    found = _SIZE.fullmatch(text.strip())
    if not found or not int(found[1]) or not int(found[2]):
        raise InputError(
            f"'{printable(text, 20)}' is no size: give width and height in pixels as 1920x1080"
        )
    return int(found[1]), int(found[2])


def check_numbers(size: tuple[int, int] | None, min_confidence: float, rate: float | None) -> None:
    """Refuse what no recording can have.

    Raises:
        InputError: names the option.
    """
    if size is not None:
        _check_size(size)
    if not 0 <= min_confidence < 1:
        raise InputError(f"--min-confidence {min_confidence:g}: give a number from 0 to below 1")
    if rate is not None and not (math.isfinite(rate) and 0 < rate <= 10_000):
        raise InputError(f"--rate {rate:g}: give frames a second, above 0")


def _check_size(size: tuple[int, int]) -> None:
    try:
        width, height = map(operator.index, size)
    except (TypeError, ValueError):
        raise InputError(f"size is {size!r}, it must be (width, height) in whole pixels") from None
    if not all(1 <= side < 2**20 for side in (width, height)):
        raise InputError(f"--size {width}x{height}: give width and height in pixels")


def _detections(
    source: str,
    wanted: str | None,
    clip: str | None,
    clips_at_once: int,
    stdin: BinaryIO | None,
) -> tuple[Detections, str]:
    if source == STANDARD_INPUT:
        if wanted in _ARCHIVES:
            raise InputError(f"--format {wanted}: standard input takes a frame of JSON a line")
        return _from_lines(stdin or standard_input(), wanted)
    path = Path(source)
    if require_readable(path):
        if wanted in _ARCHIVES:
            raise problem(path, f"is a folder, --format {wanted} is a file: name the file")
        return read_folder(path, wanted)
    with path.open("rb") as stream:
        head = stream.read(2)
    if head == b"PK" or wanted in _ARCHIVES or path.suffix.lower() == ".npz":
        return _from_archive(path, wanted, clip, clips_at_once)
    if clip is not None:
        raise problem(path, "is no .npz: leave --clip out")
    return _from_file(path, wanted)


def _from_archive(
    path: Path, wanted: str | None, clip: str | None, clips_at_once: int
) -> tuple[Detections, str]:
    members = read_archive(path)
    fits = {"videopose3d": is_videopose3d, "detectron": is_detectron}
    name = next((name for name, fit in fits.items() if fit(members)), "npz")
    if wanted not in (None, name):
        raise problem(path, f"looks like {name}, not --format {wanted}: leave --format out")
    reader = read_videopose3d if name == "videopose3d" else read_clips
    try:
        if name == "detectron":
            return read_detectron(members), name
        return reader(members, clip, clips_at_once), name
    except InputError as error:
        raise problem(path, str(error)) from None


def _from_file(path: Path, wanted: str | None) -> tuple[Detections, str]:
    held = held_lines(path)
    if held is not None:
        return _from_documents(held, path, wanted)
    content = read_bytes(path)
    if path.suffix.lower() == ".txt" and content.lstrip()[:1].isdigit():
        found = Detections(layout="coco17", units="fractions")
        try:
            found.people.add(0, read_labels(content, found))
        except InputError as error:
            raise problem(path, str(error)) from None
        return found, "yolo"
    document, lines = parse_documents(content, path)
    if lines is not None:
        return _from_documents(lines, path, wanted)
    try:
        return read_document(document, wanted)
    except InputError as error:
        raise problem(path, str(error)) from None


def _from_documents(
    documents: Iterator[Any], path: Path, wanted: str | None
) -> tuple[Detections, str]:
    reader = FrameReader(wanted)
    try:
        add_all(reader, ((None, line) for line in documents), "line")
        found = reader.finished()
    except InputError as error:
        raise problem(path, str(error).removeprefix(f"{path}: ")) from None
    return found, reader.format.name if reader.format else "ndjson"


def _from_lines(
    lines: Lines, wanted: str | None, source: str = "standard input"
) -> tuple[Detections, str]:
    reader = FrameReader(wanted)
    for number, document in read_lines(lines, source):
        try:
            reader.add(document)
        except InputError as error:
            raise problem(source, f"line {number}: {error}") from None
    if not reader.found.people.looked_at:
        raise problem(source, "ended without a frame: pipe one JSON object a line")
    try:
        found = reader.finished()
    except InputError as error:
        raise problem(source, str(error)) from None
    return found, reader.format.name if reader.format else "ndjson"


def _summary(
    name: str, found: Detections, judged: Judged, tracks: tuple[PersonTrack, ...]
) -> Summary:
    numbers = found.people.frames()
    total = len(numbers) if found.sparse else int(numbers[-1] - numbers[0]) + 1
    used = list(LAYOUTS[judged.layout].used_places)
    counts = [
        int(np.isfinite(track.values[rows][:, used, 0]).sum())
        for track in tracks
        for rows in long_arrays.pieces(track.values)
    ]
    return Summary(
        format=name,
        frames=total,
        missing_frames=total - len(numbers),
        empty_frames=found.people.empty_frames,
        people=len(tracks),
        found=sum(counts),
        not_found=sum(len(track.frames) * len(used) for track in tracks) - sum(counts),
        left_out=dict(found.left_out),
        notes=tuple(dict.fromkeys(found.notes)),
    )
