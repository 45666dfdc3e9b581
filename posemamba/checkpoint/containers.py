"""From a path to the objects in it: torch archives, legacy streams, safetensors, unpacked folders.

The format is told by content, not by suffix. A file is read once; its SHA-256 and its tensors
come from the same bytes.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from posemamba.files.torch_pickle import load_pickled
from posemamba.text import plural, printable, problem

WEIGHT_SUFFIXES = (".bin", ".pth", ".tr", ".pt", ".safetensors")
MAX_BYTES = 4 << 30
"""The largest paper model with its optimizer state is 0.4 GB: more than this is something else."""

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\x1f\x8b", "a gzip archive, unpack it first"),
    (0, b"7z\xbc\xaf", "a 7z archive, unpack it first"),
    (0, b"Rar!", "a RAR archive, unpack it first"),
    (257, b"ustar", "a tar archive, unpack it first"),
    (0, b"version https://git-lfs", "a Git LFS pointer, run 'git lfs pull'"),
    (0, b"<!doctype html", "an HTML page, the download did not yield the file"),
    (0, b"<html", "an HTML page, the download did not yield the file"),
)


@dataclass(frozen=True)
class WeightFile:
    """What a checkpoint path held.

    Attributes:
        content: the decoded object, normally a dict.
        sha256: of the file; of an unpacked folder, of its records' names, sizes and bytes.
        metadata: the string table of a safetensors header, else empty.
    """

    content: object
    sha256: str
    metadata: dict[str, str] = field(default_factory=dict)


def read_weight_file(path: Path) -> WeightFile:
    """Read a checkpoint file or an unpacked folder.

    Raises:
        InputError: no such path, unreadable, not a checkpoint, truncated, corrupt or unsafe.
    """
    try:
        if path.is_dir():
            return _read_folder(path)
        if not path.exists():
            raise problem(path, "no such file or folder" + _near_miss(path))
        if not path.is_file():
            raise problem(path, "not a regular file: pass a checkpoint file or unpacked folder")
        if path.stat().st_size > MAX_BYTES:
            raise problem(path, f"larger than {MAX_BYTES >> 30} GiB: no PoseMamba checkpoint is")
        data = path.read_bytes()
    except OSError as error:
        raise problem(path, f"cannot be read: {error.strerror or error}") from None
    digest = hashlib.sha256(data).hexdigest()
    if _is_safetensors(data, path):
        content, metadata = _read_safetensors(data, path)
        return WeightFile(content, digest, metadata)
    _refuse_other_formats(data, path)
    return WeightFile(load_pickled(data, path), digest)


def _near_miss(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor its folder '{printable(path.parent.name)}')"
    siblings = [entry.name for entry in path.parent.iterdir() if entry.name != path.name]
    close = difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.75)
    return f": did you mean '{printable(close[0])}'?" if close else ""


def _refuse_other_formats(data: bytes, path: Path) -> None:
    """Say what a file is when it is nothing ``torch.load`` should be asked to read."""
    if not data:
        raise problem(path, "the file is empty: copy or download it again")
    head = data[:512].lower()
    for offset, signature, what in _SIGNATURES:
        if head[offset:].lstrip().startswith(signature.lower()):
            raise problem(path, f"not a checkpoint: it is {what}")
    if data.startswith(b"PK"):
        _check_archive(data, path)
    elif not data.startswith(b"\x80"):  # every pickle of protocol 2 and later starts so
        shown = data[:8].hex(" ")
        raise problem(path, f"not a checkpoint: it starts with bytes {shown}, no known format")
    elif path.name == "data.pkl":
        raise problem(path, "one part of an unpacked checkpoint: pass the folder that holds it")


def _check_archive(data: bytes, path: Path) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            damaged = archive.testzip()  # torch itself reads past a wrong CRC
    except Exception:  # zipfile raises a dozen types on corrupt input
        raise problem(
            path, "a truncated or corrupt zip archive: copy or download it again"
        ) from None
    if damaged is not None:
        raise problem(
            path,
            f"record '{printable(damaged)}' fails its CRC-32 check: corrupt, copy or download it "
            "again (or saved under set_crc32_options(False): save it without)",
        )
    if not any(name.split("/")[-1] == "data.pkl" for name in names):
        held = ", ".join(f"'{printable(name, 40)}'" for name in names[:3]) or "nothing"
        raise problem(
            path, f"a zip archive, but not of torch.save (it holds {held}): unpack it first"
        )


def _is_safetensors(data: bytes, path: Path) -> bool:
    if path.suffix.lower() == ".safetensors":
        return bool(data)
    size = int.from_bytes(data[:8], "little")
    return data[8:9] == b"{" and 2 <= size <= len(data) - 8


def _read_safetensors(data: bytes, path: Path) -> tuple[object, dict[str, str]]:
    import safetensors.torch

    try:
        tensors = safetensors.torch.load(data)  # validates the header, so that it parses below
        size = int.from_bytes(data[:8], "little")
        table = json.loads(data[8 : 8 + size]).get("__metadata__") or {}
    except Exception as error:  # SafetensorError, or KeyError for a type torch lacks
        raise problem(
            path,
            f"not a readable safetensors file ({printable(error, 80)}): copy or download it again",
        ) from None
    return tensors, {str(key): str(value) for key, value in table.items()}


def _read_folder(folder: Path) -> WeightFile:
    root = _archive_root(folder)
    records = {"version": b"3\n"}  # torch's archive version; some unzip tools drop the file
    sources = {name: root / name for name in ("data.pkl", "version", "byteorder")}
    if (root / "data").is_dir():
        sources |= {f"data/{entry.name}": entry for entry in (root / "data").iterdir()}
    files = {name: source for name, source in sources.items() if source.is_file()}
    if sum(source.stat().st_size for source in files.values()) > MAX_BYTES:
        raise problem(folder, f"larger than {MAX_BYTES >> 30} GiB: no PoseMamba checkpoint is")
    records |= {name: source.read_bytes() for name, source in files.items()}
    digest = hashlib.sha256()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(records):
            digest.update(f"{name}\0{len(records[name])}\0".encode())
            digest.update(records[name])
            archive.writestr(f"archive/{name}", records[name])
    return WeightFile(load_pickled(buffer.getvalue(), folder), digest.hexdigest())


def _archive_root(folder: Path) -> Path:
    """The folder that holds ``data.pkl``: the given one, or one up to two levels below it."""
    if (folder / "data.pkl").is_file():
        return folder
    found = [
        entry.parent
        for pattern in ("*/data.pkl", "*/*/data.pkl")
        for entry in sorted(folder.glob(pattern))
        if "__MACOSX" not in entry.parts and entry.is_file()
    ]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"'{printable(entry.relative_to(folder), 40)}'" for entry in found[:3])
        raise problem(
            folder, f"holds {plural(len(found), 'unpacked checkpoint')}: pass one of {names}"
        )
    weights = sorted(e.name for e in folder.iterdir() if e.suffix.lower() in WEIGHT_SUFFIXES)
    if weights:
        names = ", ".join(f"'{printable(name, 40)}'" for name in weights[:3])
        raise problem(
            folder, f"a folder, not an unpacked checkpoint: pass one of its files {names}"
        )
    raise problem(folder, "a folder without weights: no 'data.pkl' in it or two levels below")
