"""From a path to the objects in it: torch archives, legacy streams, safetensors, unpacked folders.

The format is told by content, not by suffix. A file is read once; its SHA-256 and its tensors
come from the same bytes.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from posemamba.checkpoint.archives import (
    MAX_BYTES,
    is_mac_leftover,
    members,
    torch_archive,
    weight_files,
    weights_in,
)
from posemamba.checkpoint.signatures import describe
from posemamba.files.signatures import is_safetensors
from posemamba.files.torch_pickle import load_pickled
from posemamba.text import parse_json, plural, printable, problem

WEIGHT_SUFFIXES = (".bin", ".pth", ".tr", ".pt", ".ckpt", ".safetensors")
_INDEX_SUFFIX = ".index.json"
_MAX_SHARDS = 1000
_PICKLE = b"\x80"  # every pickle of protocol 2 and later starts so
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.")


@dataclass(frozen=True)
class WeightFile:
    """What a checkpoint path held.

    Attributes:
        content: the decoded object, normally a dict.
        sha256: of the file; of an unpacked folder, of its records' names, sizes and bytes; of
            shards, of their hashes in the order of their names.
        metadata: the string table of a safetensors header, else empty.
        inside: name of the file in an archive that holds the weights, else empty.
        config: the ``config.yaml`` beside them in that archive; None where there is none.
    """

    content: object
    sha256: str
    metadata: dict[str, str] = field(default_factory=dict)
    inside: str = ""
    config: bytes | None = None


def read_weight_file(path: str | os.PathLike[str]) -> WeightFile:
    """Read a checkpoint file, an unpacked folder, or shards by their index.

    Raises:
        InputError: no such path, unreadable, not a checkpoint, truncated, corrupt or unsafe.
    """
    path = file_in(Path(path))
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
    if path.name.endswith(_INDEX_SUFFIX):
        return _read_shards(data, path)
    return _decode(data, path)


def file_in(path: Path) -> Path:
    """The index or the one file of weights of a trainer's folder, up to two levels below it.

    Everything else is given back as it is: a file, an unpacked checkpoint, a folder of several.
    """
    try:
        if not path.is_dir() or any(_below(path, "data.pkl")):
            return path
        indices = [*_below(path, f"*{_INDEX_SUFFIX}")]
        if len(indices) == 1:
            return indices[0]
        names = [str(e) for e in _below(path, "*") if not is_mac_leftover(str(e)) and e.is_file()]
        files = weight_files(names, WEIGHT_SUFFIXES)
    except OSError:
        return path  # which is refused where it is read
    return Path(files[0]) if len(files) == 1 else path


def shard_hint(path: Path) -> str:
    """What to say first of a file that is one of several by its name; empty for any other."""
    part = _SHARD.search(path.name)
    return f"shard {int(part[1])} of {int(part[2])}, pass their index or folder: " if part else ""


def _below(folder: Path, name: str) -> Iterator[Path]:
    """Files of a name in a folder or up to two levels below."""
    for level in ("", "*/", "*/*/"):
        yield from sorted(folder.glob(level + name))


def _decode(data: bytes, path: Path, *, unpacked: bool = False) -> WeightFile:
    """A file's content; of an archive that is no checkpoint itself, the one in it.

    Args:
        unpacked: whether ``data`` came out of an archive: one may hold itself.
    """
    digest = hashlib.sha256(data).hexdigest()
    if not data:
        raise problem(path, "the file is empty: copy or download it again")
    if not is_safetensors(data) and (what := describe(data)) is not None:
        raise problem(path, f"not a checkpoint: it is {what}")
    if is_safetensors(data):
        content, metadata = _read_safetensors(data, path)
        return WeightFile(content, digest, metadata)
    packed = members(data, path)
    if packed is not None:
        inside = weights_in(packed, path, WEIGHT_SUFFIXES)
        if not inside.name:
            return WeightFile(load_pickled(inside.data, path), digest, config=inside.config)
        if unpacked:
            raise problem(path, f"'{printable(inside.name, 40)}' is in two archives: unpack one")
        file = _decode(inside.data, path, unpacked=True)
        name = PurePosixPath(inside.name).name
        return replace(file, sha256=digest, inside=name, config=inside.config)
    if path.suffix.lower() == ".safetensors" and not data.startswith(_PICKLE):
        _read_safetensors(data, path)  # which says what is wrong with it
    _refuse_no_pickle(data, path)
    return WeightFile(load_pickled(data, path), digest)


def _near_miss(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor its folder '{printable(path.parent.name)}')"
    siblings = [entry.name for entry in path.parent.iterdir() if entry.name != path.name]
    close = difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.75)
    return f": did you mean '{printable(close[0])}'?" if close else ""


def _refuse_no_pickle(data: bytes, path: Path) -> None:
    if not data.startswith(_PICKLE):
        shown = data[:8].hex(" ")
        raise problem(path, f"not a checkpoint: it starts with bytes {shown}, no known format")
    if path.name == "data.pkl":
        raise problem(path, "one part of an unpacked checkpoint: pass the folder that holds it")


def _read_safetensors(data: bytes, path: Path) -> tuple[object, dict[str, str]]:
    import safetensors.torch

    try:
        tensors = safetensors.torch.load(data)  # validates the header, so that it parses below
        size = int.from_bytes(data[:8], "little")
        table = parse_json(data[8 : 8 + size]).get("__metadata__") or {}
    except Exception as error:  # SafetensorError, or KeyError for a type torch lacks
        raise problem(
            path,
            f"not a readable safetensors file ({printable(error, 80)}): copy or download it again",
        ) from None
    return tensors, {str(key): str(value) for key, value in table.items()}


def _read_shards(data: bytes, index: Path) -> WeightFile:
    """The state dict that an index spreads over several files of its folder."""
    try:
        table = parse_json(data)["weight_map"]
        names = sorted(set(map(str, table.values())))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise problem(index, "no index of shards: it has no 'weight_map' of file names") from None
    odd = next((name for name in names if Path(name).name != name), None)
    if odd is not None or not 0 < len(names) <= _MAX_SHARDS:
        shown = printable(odd) if odd is not None else plural(len(names), "file")
        raise problem(index, f"its 'weight_map' names '{shown}': files beside it are expected")
    digest = hashlib.sha256()
    tensors: dict[str, object] = {}
    for name in names:
        shard = read_weight_file(index.with_name(name))
        if not isinstance(shard.content, Mapping):
            raise problem(index, f"its shard '{printable(name)}' holds no state dict")
        tensors |= {key: shard.content[key] for key in shard.content if key in table}
        digest.update(shard.sha256.encode())
    absent = [key for key in table if key not in tensors]
    if absent:
        raise problem(
            index,
            f"{plural(len(absent), 'tensor')} of its 'weight_map' in no shard, such as "
            f"'{printable(absent[0])}': download the shards again",
        )
    return WeightFile(tensors, digest.hexdigest())


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
    for name in sorted(records):
        digest.update(f"{name}\0{len(records[name])}\0".encode())
        digest.update(records[name])
    return WeightFile(load_pickled(torch_archive(records), folder), digest.hexdigest())


def _archive_root(folder: Path) -> Path:
    """The folder that holds ``data.pkl``: the given one, or one up to two levels below it."""
    if (folder / "data.pkl").is_file():
        return folder
    found = [
        entry.parent
        for entry in _below(folder, "data.pkl")
        if not is_mac_leftover(str(entry.relative_to(folder))) and entry.is_file()
    ]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"'{printable(entry.relative_to(folder), 40)}'" for entry in found[:3])
        raise problem(folder, f"holds {len(found)} unpacked checkpoints: pass one of {names}")
    if any(folder.glob("*.distcp")):
        raise problem(
            folder,
            "a distributed checkpoint of PyTorch: convert it first with 'python -m "
            "torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER weights.pth'",
        )
    held = [str(entry.relative_to(folder)) for entry in _below(folder, "*") if entry.is_file()]
    weights = weight_files([n for n in held if not is_mac_leftover(n)], WEIGHT_SUFFIXES)
    if weights:
        names = ", ".join(f"'{printable(name, 40)}'" for name in weights[:3])
        many = plural(len(weights), "file")
        raise problem(folder, f"a folder of {many} of weights: pass one of {names}")
    raise problem(folder, "a folder without weights: no 'data.pkl' in it or two levels below")
