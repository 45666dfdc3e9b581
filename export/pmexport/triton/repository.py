"""The folder: the model, the library it needs, and what Triton is told of them.

No Triton server has run such a folder here; the tests parse the configuration with Triton's own
message, and run the ONNX model in it with the settings it names.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmexport.engine.sidecar import read_engine, sidecar_path
from pmexport.format.file import ModelFile, open_model
from pmexport.format.names import ENGINE_SUFFIX, INPUT_NAME, OUTPUT_NAME, TENSORRT_RTX
from pmexport.libraries import custom_op_library, tensorrt_plugin_library
from pmexport.triton.config import Served, Settings, config_text
from posemamba.config import MAX_FRAMES
from posemamba.errors import InputError
from posemamba.files.output import check_folder
from posemamba.text import one_line, plural

_VERSION = "1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_AXES = 4  # batch, frames, joints, values
_MAX_BATCH = 64  # where neither the model nor the user says


@dataclass(frozen=True)
class Repository:
    """What was written.

    Attributes:
        folder: of the model, in the repository.
        command: starts the server.
        notes: what a person should know, a sentence each.
    """

    folder: Path
    command: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Plan:
    """What goes where: files by the name they get in the version's folder, libraries beside it."""

    served: Served
    files: dict[str, Path]
    library: Path | None
    flags: tuple[str, ...]
    notes: tuple[str, ...]


def write_repository(
    model: str | os.PathLike[str],
    repository: str | os.PathLike[str],
    settings: Settings,
    served_at: str | None,
) -> Repository:
    """Write ``repository/<name>`` whole or not at all.

    Args:
        model: of ``pmexport onnx`` or ``pmexport trt``.
        served_at: the repository's path as the server sees it; None: this machine's.

    Raises:
        InputError: a model that Triton cannot serve, or a folder that is there already.
    """
    model, repository = Path(model), Path(repository)
    if not _NAME.fullmatch(settings.name):
        raise InputError(
            f"--name '{one_line(settings.name)[:60]}': use letters, digits, '_', '.' and '-'"
        )
    folder = repository / settings.name
    if folder.exists():
        raise InputError(f"'{folder}' is there already: remove it, or choose another --name")
    seen = served_at.rstrip("/") if served_at else str(repository.resolve())
    if not seen.startswith("/"):
        raise InputError(f"--served-at {seen}: give the whole path, such as /models")
    is_engine = model.suffix.lower() == ENGINE_SUFFIX
    place = f"{seen}/{settings.name}"
    plan = (_plan_engine if is_engine else _plan_onnx)(model, settings, place)
    check_folder(repository)
    repository.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=repository) as scratch:
        _fill(Path(scratch) / settings.name, plan, settings)
        (Path(scratch) / settings.name).rename(folder)
    command = shlex.join(["tritonserver", f"--model-repository={seen}", *plan.flags])
    return Repository(folder, command, plan.notes)


def _fill(folder: Path, plan: _Plan, settings: Settings) -> None:
    version = folder / _VERSION
    version.mkdir(parents=True)
    for name, source in plan.files.items():
        (version / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, version / name)
    if plan.library is not None:
        shutil.copy(plan.library, folder / plan.library.name)
    text = config_text(plan.served, settings)
    (folder / "config.pbtxt").write_text(text, encoding="utf-8")


def _plan_onnx(path: Path, settings: Settings, place: str) -> _Plan:
    model = open_model(path)
    inputs, outputs = model.proto.graph.input, model.proto.graph.output
    names = [", ".join(value.name for value in values) for values in (inputs, outputs)]
    if names != [INPUT_NAME, OUTPUT_NAME]:
        raise InputError(
            f"'{path}' maps {one_line(names[0])} to {one_line(names[1])}, not {INPUT_NAME} to "
            f"{OUTPUT_NAME}: give a PoseMamba model that 'pmexport onnx' wrote"
        )
    files = {"model.onnx": path, **{name: path.parent / name for name in model.external_files}}
    if model.is_optimized and settings.device != "gpu":
        raise InputError(
            f"'{path}' was rewritten for CUDA by 'pmexport optimize': give --device gpu, or serve "
            "the exported model"
        )
    library = Path(custom_op_library()) if model.own_operators else None
    ends = [model.values[name] for name in (INPUT_NAME, OUTPUT_NAME)]
    for name, end in zip(names, ends, strict=True):
        if end.dtype != "fp32" or len(end.shape) != _AXES:
            raise InputError(
                f"'{path}': {name} is {end.dtype} of {plural(len(end.shape), 'axis', 'axes')}, not "
                f"fp32 of {_AXES}: give the model as 'pmexport onnx' wrote it"
            )
    shape, poses = (_sizes(end.shape) for end in ends)
    served = Served(
        backend="onnxruntime",
        file="model.onnx",
        **_joined(path, shape, poses, settings),
        longest=_longest(model),
        library=f"{place}/{library.name}" if library else None,
    )
    notes = () if library is None else (_same_version("ONNX Runtime", "1.19 or newer"),)
    return _Plan(served, files, library, (), notes)


def _longest(model: ModelFile) -> int:
    stated = model.metadata.get("max_frames")
    return model.frames or (stated if isinstance(stated, int) else MAX_FRAMES)


def _plan_engine(path: Path, settings: Settings, place: str) -> _Plan:
    sidecar = read_engine(path)
    tensorrt = sidecar["tensorrt"]
    if tensorrt["flavour"] == TENSORRT_RTX:
        raise InputError(
            f"'{path}' is an engine of TensorRT-RTX, which Triton has no back end for: build it "
            "with '--backend tensorrt', or serve the ONNX model"
        )
    if settings.device == "cpu":
        raise InputError(f"'{path}' is a TensorRT engine: leave --device cpu out")
    library = Path(tensorrt_plugin_library())
    batches = [profile["batch"] for profile in sidecar["profiles"]]
    frames = [profile["frames"] for profile in sidecar["profiles"]]
    shape, poses = (_sizes(sidecar[side][0]["shape"]) for side in ("inputs", "outputs"))
    if shape[0] == -1 and min(row["min"] for row in batches) > 1:
        raise InputError(
            f"'{path}' takes no single clip, and Triton sends single ones: build it with "
            "--batch 1:N:N"
        )
    most = max(row["max"] for row in batches)
    served = Served(
        backend="tensorrt",
        file="model.plan",
        **_joined(path, shape, poses, settings, most),
        longest=max(row["max"] for row in frames),
        profiles=len(batches),
    )
    flags = [f"--backend-config=tensorrt,plugins={place}/{library.name}"]
    if sidecar["options"]["version_compat"]:
        flags.append("--backend-config=tensorrt,version-compatible=true")
    files = {"model.plan": path, "model.plan.json": sidecar_path(path)}
    version, targets = tensorrt["version"], ", ".join(sidecar["targets"])
    notes = (_same_version("TensorRT", version), f"the engine is for {targets}")
    return _Plan(served, files, library, tuple(flags), notes)


def _joined(
    path: Path,
    shape: tuple[int, ...],
    poses: tuple[int, ...],
    settings: Settings,
    most: int | None = None,
) -> dict[str, Any]:
    """Clips that Triton may join, and the shapes it is told; it joins where any number goes in.

    Raises:
        InputError: more than the model takes.
    """
    asked = settings.max_batch
    if shape[0] != -1:
        if asked is not None:
            raise InputError(
                f"--max-batch {asked}: '{path}' takes {plural(shape[0], 'clip')}, no more and no "
                "less, so Triton joins none: leave it out, or export without --batch"
            )
        return {"batch": None, "shape": shape, "poses": poses}
    if asked is not None and most is not None and asked > most:
        raise InputError(f"--max-batch {asked}: the model takes {most} at once at most")
    return {"batch": asked or most or _MAX_BATCH, "shape": shape[1:], "poses": poses[1:]}


def _sizes(shape: Sequence[int | str | None]) -> tuple[int, ...]:
    """As Triton has them: -1 for any."""
    return tuple(size if isinstance(size, int) else -1 for size in shape)


def _same_version(what: str, version: str) -> str:
    return f"the server's {what} must be {version}: its release notes tell"
