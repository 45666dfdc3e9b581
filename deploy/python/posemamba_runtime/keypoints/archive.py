"""Arrays of an ``.npz`` file, read without trusting a number in it."""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.keypoints.errors import InputError, problem
from posemamba_runtime.keypoints.source import MAX_BYTES, refuse_other_kinds
from posemamba_runtime.plain_pickle import Plain, Refused, load_plain
from posemamba_runtime.text import printable

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_MOST_MEMBERS = 100_000


class Member(NamedTuple):
    """An array as numbers or text, or the pickle of an array of objects."""

    array: npt.NDArray[Any] | None
    pickled: bytes


def read_archive(path: str | os.PathLike[str]) -> dict[str, Member]:
    """The arrays of an NPZ by name.

    Raises:
        InputError: no NPZ, one that is damaged, or one whose arrays claim more than is there.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(256)
            refuse_other_kinds(head, path)
            if not head:
                raise problem(path, "is empty: was the program stopped, or the disk full?")
            if not head.startswith(b"PK"):
                raise problem(path, "is not an .npz file: save with numpy.savez")
            with zipfile.ZipFile(stream) as archive:
                return _members(archive, path)
    except InputError:
        raise
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror}); check its rights") from None
    except MemoryError:
        raise problem(path, "does not fit into memory: split it") from None
    except Exception:  # scrambled bytes reach zipfile, zlib, NumPy and Python's own tokenizer
        raise problem(path, "is damaged or cut short: save or copy it again") from None


def objects(members: Mapping[str, Member], name: str) -> Plain:
    """The Python object in an array, decoded; None where the array is not there.

    Raises:
        InputError: one that holds more than plain data, without the file's name.
    """
    member = members.get(name)
    if member is None:
        return None
    if member.array is not None:
        return member.array.tolist()
    try:
        return load_plain(io.BytesIO(member.pickled))
    except Refused as error:
        raise InputError(
            f"array '{name}' asks for '{error}', which is no plain data; nothing was run"
        ) from None
    except Exception:  # a corrupt stream makes the decoder raise nearly anything
        raise InputError(f"array '{name}' is damaged or cut short: copy the file again") from None


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, Member]:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if any(entry.filename.endswith("/data.pkl") for entry in entries):
        raise problem(path, "is a file of torch.save, which could run code: save JSON or .npz")
    if not any(entry.filename.endswith(".npy") for entry in entries):
        raise problem(path, "is a zip of other files, no .npz: unpack it and name what is in it")
    if len(entries) > _MOST_MEMBERS or sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise problem(path, f"unpacks to more than {MAX_BYTES >> 30} GiB: split it")
    members = {}
    for entry in entries:
        if entry.filename.endswith(".npy"):
            name = entry.filename[: -len(".npy")]
            with cast("zipfile.ZipExtFile", archive.open(entry)) as stream:
                members[name] = _member(stream, entry.file_size, name, path)
    return members


def _member(stream: zipfile.ZipExtFile, size: int, name: str, path: Path) -> Member:
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise problem(path, f"array '{printable(name)}' has NPY version {version}: save it again")
    shape, fortran, kind = _HEADERS[version](stream)
    if kind.hasobject:
        return Member(None, stream.read())
    count = math.prod(shape) * kind.itemsize
    body = np.empty(0, np.uint8)
    if kind.kind in "biufSU" and count == size - stream.tell():
        body = long_arrays.received(stream, count)
    if len(body) != count or stream.read(1):
        raise problem(path, f"array '{printable(name)}' is damaged, or no numbers: save it again")
    order = "F" if fortran else "C"
    return Member(body.view(kind).reshape(shape, order=order), b"")  # type: ignore[call-overload]
