"""Opening what people name: a file is read whole or refused in one line that says what it is."""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import stat
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from posemamba_runtime.keypoints.errors import InputError, problem
from posemamba_runtime.text import Json as Json
from posemamba_runtime.text import counted, printable

_FLAT = ("keypoints", "pose_keypoints_2d", "pose_keypoints", "joints")
"""Where formats have the numbers of one person, one after the other."""

MAX_BYTES = 2**31
"""Of one file. A million frames of one person in JSON are less."""

_DETECT = "run a 2D detector on it first, 'lift' has --detector mediapipe"

_SIGNATURES: Sequence[tuple[bytes, str]] = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the file: run 'git lfs pull'"),
    (b"\x89PNG", "is a PNG image, not keypoints: run a 2D detector on it first"),
    (b"\xff\xd8\xff", "is a JPEG image, not keypoints: run a 2D detector on it first"),
    (b"GIF8", "is a GIF image, not keypoints: run a 2D detector on it first"),
    (
        b"RIFF",
        f"is a video or sound, not keypoints: {_DETECT}",
    ),
    (
        b"\x1aE\xdf\xa3",
        f"is a video, not keypoints: {_DETECT}",
    ),
    (b"\x1f\x8b", "is compressed with gzip: unpack it first"),
    (b"BZh", "is compressed with bzip2: unpack it first"),
    (b"\xfd7zXZ", "is compressed with xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd: unpack it first"),
    (b"7z\xbc\xaf", "is a 7z archive: unpack it first"),
    (b"\x93NUMPY", "is a single .npy array: save it with numpy.savez, with 'width' and 'height'"),
    (b"\x89HDF", "is an HDF5 file, which is not read: save JSON or .npz"),
    (b"SQLite format", "is an SQLite data base, which is not read: save JSON or .npz"),
    (b"%PDF", "is a PDF, not keypoints"),
    (b"HIERARCHY", "is BVH, a motion in 3D: give the 2D keypoints that it was made of"),
    (b"PathFileType", "is TRC, points in 3D: give the 2D keypoints that they were made of"),
    (b"\x7fELF", "is a program, not keypoints"),
    (b"\x80\x02", "is a pickle, which could run code and is never loaded: save JSON or .npz"),
    (b"\x80\x03", "is a pickle, which could run code and is never loaded: save JSON or .npz"),
    (b"\x80\x04", "is a pickle, which could run code and is never loaded: save JSON or .npz"),
    (b"\x80\x05", "is a pickle, which could run code and is never loaded: save JSON or .npz"),
)
_BETWEEN = " \t\r\n,"
_MARKUP = re.compile(rb"\s*(<!doctype|<html|<\?xml|<!--|<head|<svg)", re.IGNORECASE)
_VIDEO_AT_4 = b"ftyp"


class Lines(Protocol):
    """A stream, as far as it is read line by line."""

    def readline(self, limit: int, /) -> bytes: ...


def require_readable(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is a folder; what can be neither listed nor read is refused.

    Raises:
        InputError: nothing there, no right to look, a pipe or a device.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        where = "" if path.parent.is_dir() else f", nor a folder '{path.parent}'"
        raise problem(path, f"no such file{where}; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise problem(path, f"cannot be read ({reason}); check the path") from None
    if stat.S_ISDIR(mode):
        return True
    if not stat.S_ISREG(mode):
        raise problem(
            path,
            "is a pipe or a device: pipe a frame of JSON a line into '-', or copy it to a file",
        )
    return False


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A whole regular file.

    Raises:
        InputError: one that cannot be read, is empty or too large.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise problem(path, f"is {size / 2**30:.1f} GiB, more than {MAX_BYTES >> 30}: split it")
        content = path.read_bytes()
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror}); check its rights") from None
    except MemoryError:
        raise problem(path, "does not fit into memory: split it") from None
    if not content.strip(b" \t\r\n\0"):
        raise problem(path, "is empty: was the detector stopped, or the disk full?")
    return content


def refuse_other_kinds(content: bytes, path: Path | str) -> None:
    """Refuse by its first bytes what is no keypoint file at all.

    Raises:
        InputError: a pointer, a picture, a page, ...
    """
    head = content[:256]
    for signature, text in _SIGNATURES:
        if head.startswith(signature):
            raise problem(path, text)
    if head[4:8] == _VIDEO_AT_4:
        raise problem(path, f"is a video, not keypoints: {_DETECT}")
    if _MARKUP.match(head):
        raise problem(path, "is a web page or XML, not keypoints: was the download a log-in page?")


def parse_json(content: bytes, path: Path | str) -> Json:
    """One JSON document; ``NaN`` and ``Infinity`` are let in, they mean "not found".

    Raises:
        InputError: no JSON, with what it is instead or where it breaks off.
    """
    with _told(content, path):
        return decoded(content)


def decoded(text: str | bytes) -> Json:
    """One JSON document, as the standard library raises it; a key twice is a ValueError."""
    return json.loads(text, object_pairs_hook=_packed)


@contextmanager
def _told(content: bytes, path: Path | str) -> Iterator[None]:
    """What the decoder may raise as the error of the file."""
    try:
        yield
    except json.JSONDecodeError as error:
        refuse_other_kinds(content, path)
        raise _damaged(error, path) from None
    except UnicodeDecodeError as error:
        refuse_other_kinds(content, path)
        if content.lstrip()[:1] in (b"{", b"["):
            shown = f"it has byte 0x{error.object[error.start]:02x} at {error.start}"
            raise problem(path, f"is not UTF-8, {shown}: save it as UTF-8") from None
        raise problem(path, "is a binary file of no known kind: give a detector's JSON") from None
    except RecursionError:
        raise problem(path, "is nested too deeply for keypoints: is it the right file?") from None
    except MemoryError:
        raise problem(path, "does not fit into memory: split it") from None
    except _RepeatedKey as error:
        raise problem(path, f"has '{printable(error, 40)}' twice in one object: keep one") from None
    except ValueError as error:  # a number of thousands of digits
        raise problem(path, f"holds a number that cannot be read ({printable(error)})") from None


def parse_documents(content: bytes, path: Path | str) -> tuple[Json, Iterator[Json] | None]:
    """The JSON document of a file, or where it is one a line, an iterator over them.

    Raises:
        InputError: as :func:`parse_json`.
    """
    refuse_other_kinds(content, path)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # PowerShell's '>'
        content = content.decode("utf-16", "replace").encode()
    try:
        return decoded(content), None
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise _damaged(error, path) from None
    except Exception:
        return parse_json(content, path), None  # which knows what to say
    if _is_json(content.lstrip().split(b"\n", 1)[0]):
        return None, (document for _, document in read_lines(io.BytesIO(content), str(path)))
    return None, _one_after_another(content, path)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except Exception:  # whatever it is
        return False
    return True


def _one_after_another(content: bytes, path: Path | str) -> Iterator[Json]:
    """Documents over several lines each, or with commas between them, as programs append them."""
    with _told(content, path):
        text = content.decode(json.detect_encoding(content))
    decoder, place = json.JSONDecoder(object_pairs_hook=_packed), 0
    while True:
        while place < len(text) and text[place] in _BETWEEN:
            place += 1
        if place == len(text):
            return
        with _told(content, path):
            document, place = decoder.raw_decode(text, place)
        yield document


def held_lines(path: str | os.PathLike[str]) -> Iterator[Json] | None:
    """The documents of a file with one in each line, read as they are asked for; None for others,
    and for a file whose first line does not tell.

    Raises:
        InputError: a file that cannot be read; later, a line that is no JSON.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            first = stream.readline(MAX_LINE + 1)
            json.loads(first)
            rest = first.endswith(b"\n") and stream.readline(MAX_LINE + 1)
            while rest and not rest.strip():
                rest = stream.readline(MAX_LINE + 1)
            if not rest:  # one document, whatever blank lines follow it
                return None
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror}); check its rights") from None
    except Exception:  # whatever it is, reading the whole file will tell
        return None
    return _documents(path)


def _documents(path: Path) -> Iterator[Json]:
    with path.open("rb") as stream:
        yield from (document for _, document in read_lines(stream, str(path)))


class _RepeatedKey(ValueError):
    """An object has a key twice: of two frames or lists of people one would be lost unseen."""


def _packed(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """An object whose flat lists of keypoints are arrays of a fifth of their size: in a document
    of an hour they are nearly everything."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _RepeatedKey(Counter(key for key, _ in pairs).most_common(1)[0][0])
    for key in _FLAT:
        numbers = value.get(key)
        if isinstance(numbers, list) and numbers and isinstance(numbers[0], int | float):
            with suppress(TypeError, OverflowError):  # None among them, or text: as it is
                value[key] = array("d", numbers)
    return value


def _damaged(error: json.JSONDecodeError, path: Path | str) -> InputError:
    text = error.doc
    if error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated"):
        return problem(
            path,
            f"breaks off after {counted(len(text), 'character')} of JSON: "
            "was the detector stopped? write it again",
        )
    near = printable(text[max(0, error.pos - 10) : error.pos + 20], 40)
    begins = not text[: error.pos].strip()
    fix = "give what a detector wrote as JSON, or an .npz" if begins else "write it again"
    return problem(
        path,
        f"is not JSON (line {error.lineno}, column {error.colno}, at '{near}', {error.msg}): {fix}",
    )


def standard_input() -> BinaryIO:
    """The bytes of standard input.

    Raises:
        InputError: the process was started without one.
    """
    if sys.stdin is None:
        raise InputError("standard input is closed: pipe a frame of JSON a line into it")
    return sys.stdin.buffer


def read_lines(stream: Lines, source: str) -> Iterator[tuple[int, Json]]:
    """JSON documents of a stream as they come, one a line; empty lines are skipped.

    Yields:
        number of the line and its document.

    Raises:
        InputError: a line that is no JSON, or longer than :data:`MAX_LINE`.
    """
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise problem(source, f"line {number} is over {MAX_LINE >> 20} MiB: one frame a line")
        if line.strip():
            yield number, parse_json(line, f"{source}: line {number}")


MAX_LINE = 2**24
"""Bytes of one line: a frame of a hundred people is a thousandth of that."""
