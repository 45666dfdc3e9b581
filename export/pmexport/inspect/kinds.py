"""Which kind of file it is: by what it begins with, and its ending where that does not tell."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pmexport.exporting.request import CHECKPOINT_SUFFIXES
from pmexport.format.names import ENGINE_SUFFIX
from pmexport.inspect import readers
from pmexport.inspect.found import Inspection
from posemamba.checkpoint.bundled import bundled_checkpoint
from posemamba.errors import InputError
from posemamba.files.input import ABSENT, why_no_file
from posemamba.files.signatures import HEAD, ONNX_MODEL, ORT_MODEL, WEIGHTS, what_it_is

_BY_ENDING: dict[str, Callable[[Path], Inspection]] = {
    f"{ENGINE_SUFFIX}.json": readers.look_at_sidecar,
    ENGINE_SUFFIX: readers.look_at_engine,
    ".npz": readers.look_at_reference,
}
_ONNX_ENDINGS = (".onnx", ".ort")


def inspect_file(path: str | os.PathLike[str], weights: str | None = None) -> Inspection:
    """Look into a file of any kind this tool reads or writes.

    Args:
        weights: which set of a checkpoint that holds several.

    Raises:
        InputError: as the reader of its kind; ``weights`` of what is no checkpoint.
    """
    path = Path(path)
    reader = _reader(path)
    if reader is readers.look_at_checkpoint:
        return readers.look_at_checkpoint(path, weights)
    if weights is not None:
        raise InputError(f"--weights: '{path}' is no checkpoint: leave it out")
    return reader(path)


def _reader(path: Path) -> Callable[[Path], Inspection]:
    lower = path.name.lower()
    why = why_no_file(path)
    if why not in (None, ABSENT) and not path.is_dir():
        raise InputError(f"'{path}' {why}: give the file")
    for ending, reader in _BY_ENDING.items():
        if lower.endswith(ending):
            return reader
    if bundled_checkpoint(path) is not None:
        return readers.look_at_checkpoint
    what = what_it_is(_start(path))
    if what == ORT_MODEL:
        return readers.look_at_ort
    if lower.endswith(_ONNX_ENDINGS):
        return readers.look_at_onnx
    if lower.endswith(CHECKPOINT_SUFFIXES) or path.is_dir() or what in WEIGHTS:
        return readers.look_at_checkpoint
    if what not in (None, ONNX_MODEL):
        raise InputError(
            f"'{path}' is {what}: inspect reads ONNX models, engines beside their sidecars, "
            "checkpoints and references"
        )
    return readers.look_at_onnx


def _start(path: Path) -> bytes:
    if not path.is_file():
        return b""
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror or error})") from None
