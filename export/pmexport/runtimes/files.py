"""Which file a runtime reads: a checkpoint, an ONNX model, or an engine built from one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pmexport.engine.file import EngineFile, open_engine
from pmexport.format.file import ModelFile, open_model
from pmexport.format.names import ENGINE_SUFFIX
from pmexport.runtimes.base import File, Runnable, Runtime
from posemamba.errors import InputError


def open_runnable(path: str | os.PathLike[str]) -> Runnable:
    """Open what a runtime can run: an engine by its ending, else an ONNX model.

    Raises:
        InputError: as :func:`pmexport.engine.file.open_engine` and
            :func:`pmexport.format.file.open_model`.
    """
    path = Path(path)
    return open_engine(path) if path.suffix.lower() == ENGINE_SUFFIX else open_model(path)


def runtimes_of(file: Runnable, asked: tuple[str, ...]) -> tuple[str, ...]:
    """The runtimes asked for; where none is, the one that runs such a file anywhere it can be."""
    if asked:
        return asked
    return (file.flavour,) if isinstance(file, EngineFile) else ("ort-cpu",)


def file_for(runtime: Runtime, file: Runnable, checkpoint: Path | None) -> File:
    """What a runtime reads, of a model or an engine and its checkpoint.

    Raises:
        InputError: it reads the other kind, or a checkpoint that is not given.
    """
    if runtime.reads == "checkpoint":
        if checkpoint is None:
            raise InputError(f"runtime '{runtime.name}' reads the checkpoint: give it with --ckpt")
        return checkpoint
    if runtime.reads == "engine" and isinstance(file, ModelFile):
        raise InputError(
            f"runtime '{runtime.name}' runs engines, '{file.path}' is an ONNX model: give what "
            f"'pmexport trt --onnx {file.path}' builds"
        )
    if runtime.reads == "model" and isinstance(file, EngineFile):
        raise InputError(
            f"runtime '{runtime.name}' runs ONNX models, '{file.path}' is an engine: use --runtime "
            f"{file.flavour}, or give its model {file.sidecar['onnx']['file']}"
        )
    return file


def as_model(file: File) -> ModelFile:
    """The model a runtime that reads models was given by :func:`file_for`."""
    assert not isinstance(file, EngineFile)
    return open_model(file)


def as_engine(file: File) -> EngineFile:
    """The engine a runtime that reads engines was given by :func:`file_for`."""
    assert not isinstance(file, ModelFile)
    return open_engine(file)


def other_runtimes(names: Sequence[str]) -> dict[str, object]:
    """``--runtime`` for :meth:`ModelFile.refuse_options`: networks of one's own run on the CPU."""
    return {f"--runtime {' and '.join(names)}": None if set(names) <= {"ort-cpu"} else names}
