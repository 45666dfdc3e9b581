"""Archives that hold a checkpoint: torch's own zip files, and zip or tar files around one.

Nothing is unpacked to the disk, and sizes are bounded before anything is read.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from posemamba.errors import InputError
from posemamba.text import printable, problem

MAX_BYTES = 4 << 30
"""The largest paper model with its optimizer state is 0.4 GB: more than this is something else."""


#: What the libraries raise on damaged archives.
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError,
            NotImplementedError, RuntimeError, MemoryError, LookupError)  # fmt: skip


class Inside(NamedTuple):
    """A checkpoint in an archive: its name, empty for an archive of torch.save, and its bytes."""

    name: str
    data: bytes


def torch_archive(records: Mapping[str, bytes]) -> bytes:
    """The zip file that ``torch.load`` reads, from the records of an unpacked one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(records):
            archive.writestr(f"archive/{name}", records[name])
    return buffer.getvalue()


def members(data: bytes, path: Path) -> dict[str, bytes] | None:
    """Files in a zip, tar or gzip archive by name; None where a file is no archive.

    Raises:
        InputError: a truncated or corrupt archive, or one of more than :data:`MAX_BYTES`.
    """
    try:
        if data.startswith(b"PK"):
            return _zip_members(data, path)
        if data.startswith(b"\x1f\x8b"):
            with gzip.open(io.BytesIO(data)) as stream:
                data = stream.read(MAX_BYTES + 1)
            _check_size(len(data), path)
            inner = path.name.removesuffix(".gz")
            return _tar_members(data, path) if data[257:262] == b"ustar" else {inner: data}
        if data[257:262] == b"ustar":
            return _tar_members(data, path)
    except InputError:
        raise
    except _DAMAGED:
        raise problem(path, "a truncated or corrupt archive: copy or download it again") from None
    return None


def _zip_members(data: bytes, path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        _check_size(sum(entry.file_size for entry in entries), path)
        found = {}
        for entry in entries:
            try:
                found[entry.filename] = archive.read(entry)
            except zipfile.BadZipFile:  # torch itself reads past a wrong CRC
                raise problem(
                    path,
                    f"record '{printable(entry.filename)}' fails its CRC-32 check: corrupt, copy "
                    "or download it again (saved under set_crc32_options(False): save it without)",
                ) from None
    return found


def _tar_members(data: bytes, path: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        entries = [entry for entry in archive if entry.isfile()]
        _check_size(sum(entry.size for entry in entries), path)
        for entry in entries:
            stream = archive.extractfile(entry)
            if stream is not None:
                found[entry.name] = stream.read()
    return found


def _check_size(size: int, path: Path) -> None:
    if size > MAX_BYTES:
        raise problem(path, f"holds more than {MAX_BYTES >> 30} GiB: no PoseMamba checkpoint does")


def weights_in(packed: Mapping[str, bytes], path: Path, suffixes: tuple[str, ...]) -> Inside:
    """The one checkpoint in an archive.

    Raises:
        InputError: none, or several.
    """
    real = {name: data for name, data in packed.items() if "__MACOSX" not in name}
    roots = {PurePosixPath(name).parent for name in real if PurePosixPath(name).name == "data.pkl"}
    files = [name for name in real if PurePosixPath(name).suffix.lower() in suffixes]
    if len(roots) == 1 and not files:
        (root,) = roots
        records = {
            str(PurePosixPath(name).relative_to(root)): data
            for name, data in real.items()
            if root in PurePosixPath(name).parents
        }
        return Inside("", torch_archive(records))
    if len(files) == 1 and not roots:
        return Inside(files[0], real[files[0]])
    if not roots and real and all(name.endswith(".npy") for name in real):
        raise problem(path, "a NumPy archive, not a state dict: pass what torch.save wrote")
    held = ", ".join(f"'{printable(name, 40)}'" for name in list(real)[:3]) or "nothing"
    many = "several checkpoints" if roots or files else "no checkpoint"
    raise problem(path, f"an archive of {many} (it holds {held}): unpack it first and pass one")
