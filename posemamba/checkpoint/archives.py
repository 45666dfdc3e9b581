"""Archives that hold a checkpoint: torch's own zip files, and zip or tar files around one.

Nothing is unpacked to the disk, and sizes are bounded before anything is read.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import NamedTuple

from posemamba.errors import InputError
from posemamba.files.input import DAMAGED_ZIP
from posemamba.text import printable, problem

MAX_BYTES = 4 << 30
"""The largest paper model with its optimizer state is 0.4 GB: more than this is something else."""


#: What the libraries raise on damaged archives.
_DAMAGED = (*DAMAGED_ZIP, tarfile.TarError, lzma.LZMAError, OSError, ValueError, RuntimeError,
            MemoryError, LookupError)  # fmt: skip

#: Compressed files: how they begin, their suffix, and what opens them.
_COMPRESSED: tuple[tuple[bytes, str, ModuleType], ...] = (
    (b"\x1f\x8b", ".gz", gzip),
    (b"BZh", ".bz2", bz2),
    (b"\xfd7zXZ\x00", ".xz", lzma),
)
#: Archives that are known by a file in them: its name, what they are and what to do.
_KNOWN_ARCHIVES: tuple[tuple[str, str], ...] = (
    (r"(^|/)archive_format$",
     "a program of torch.export, not a state dict: save model.state_dict() instead"),
    (r"(^|/)code/__torch__", "a TorchScript archive, not a state dict: save model.state_dict()"),
    (r"^sys_info$", "written by PyTorch 0.1, which the safe reader of today lacks: load it with "
     "torch.load and save the state dict again"),
)  # fmt: skip
#: What trainers keep beside weights, in files of the same suffixes.
_NO_WEIGHTS = re.compile(
    r"(?:^|[^a-z])(?:optimizers?|optim_states|schedulers?|scaler|random_states|rng_state|"
    r"training_args)(?:$|[^a-z])"
)


class Inside(NamedTuple):
    """A checkpoint in an archive: its name, empty for an archive of torch.save, its bytes, and
    those of the ``config.yaml`` beside it."""

    name: str
    data: bytes
    config: bytes | None = None


def torch_archive(records: Mapping[str, bytes]) -> bytes:
    """The zip file that ``torch.load`` reads, from the records of an unpacked one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(records):
            archive.writestr(f"archive/{name}", records[name])
    return buffer.getvalue()


def members(data: bytes, path: Path) -> dict[str, bytes] | None:
    """Files in a zip, tar or compressed archive by name; None where a file is no archive.

    Raises:
        InputError: a truncated or corrupt archive, or one of more than :data:`MAX_BYTES`.
    """
    try:
        if data.startswith(b"PK"):
            return _zip_members(data, path)
        for start, suffix, module in _COMPRESSED:
            if data.startswith(start):
                with module.open(io.BytesIO(data)) as stream:
                    data = stream.read(MAX_BYTES + 1)
                _check_size(len(data), path)
                inner = path.name.removesuffix(suffix)
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


def is_mac_leftover(name: str) -> bool:
    """Whether a path is of what macOS packs beside files."""
    return "__MACOSX" in name or PurePosixPath(name).name.startswith("._")


def weight_files(names: Iterable[str], suffixes: tuple[str, ...]) -> list[str]:
    """Of many paths those that weights may be in, by suffix and by what trainers call the rest."""
    found = [name for name in names if PurePosixPath(name).suffix.lower() in suffixes]
    telling = [n for n in found if not _NO_WEIGHTS.search(PurePosixPath(n).name.lower())]
    return telling or found


def _beside(real: Mapping[str, bytes], *folders: PurePosixPath) -> bytes | None:
    names = [str(folder / "config.yaml") for folder in folders]
    return next((real[name] for name in names if name in real), None)


def weights_in(packed: Mapping[str, bytes], path: Path, suffixes: tuple[str, ...]) -> Inside:
    """The one checkpoint in an archive.

    Raises:
        InputError: none, or several.
    """
    real = {name: data for name, data in packed.items() if not is_mac_leftover(name)}
    for pattern, what in _KNOWN_ARCHIVES:
        if any(re.search(pattern, name) for name in real):
            raise problem(path, what)
    roots = {PurePosixPath(name).parent for name in real if PurePosixPath(name).name == "data.pkl"}
    files = weight_files(real, suffixes)
    if len(roots) == 1 and not files:
        (root,) = roots
        records = {
            str(PurePosixPath(name).relative_to(root)): data
            for name, data in real.items()
            if root in PurePosixPath(name).parents
        }
        return Inside("", torch_archive(records), _beside(real, root, root.parent))
    if len(files) == 1 and not roots:
        folder = PurePosixPath(files[0]).parent
        return Inside(files[0], real[files[0]], _beside(real, folder))
    if not roots and files and any(name.endswith(".index.json") for name in real):
        raise problem(path, "an archive of shards with their index: unpack it and pass the folder")
    if not roots and not files and any(name.endswith(".weights.h5") for name in real):
        raise problem(path, "a Keras archive: PoseMamba's checkpoints are PyTorch's")
    if not roots and not files and any(name.endswith(".onnx") for name in real):
        raise problem(path, "an archive of an ONNX model: pass the checkpoint it was exported from")
    if not roots and real and all(name.endswith(".npy") for name in real):
        raise problem(path, "a NumPy archive, not a state dict: pass what torch.save wrote")
    held = ", ".join(f"'{printable(name, 40)}'" for name in list(real)[:3]) or "nothing"
    many = "several checkpoints" if roots or files else "no checkpoint"
    raise problem(path, f"an archive of {many} (it holds {held}): unpack it first and pass one")
