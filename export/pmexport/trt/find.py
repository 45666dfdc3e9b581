"""What ``pmexport trt`` builds from where nobody says: the one export or checkpoint in a folder."""

from __future__ import annotations

from pathlib import Path

from pmexport.format.file import ModelFile
from pmexport.format.files import file_sha256
from pmexport.trt.source import read_source
from posemamba.checkpoint.containers import WEIGHT_SUFFIXES
from posemamba.errors import InputError
from posemamba.text import printable

_SHOWN = 6


def find_origin(
    folder: Path, precision: str | None, *, exports: bool = True
) -> tuple[Path | None, Path | None]:
    """A checkpoint or an ONNX model, the other being None.

    The one export of the precision that is asked for; else the checkpoint of the one export there
    is; else the one checkpoint.

    Args:
        precision: of the engine; None for any.
        exports: whether an ONNX model will do, or an option needs the checkpoint.

    Raises:
        InputError: there is none, or several; the line lists them.
    """
    models = [model for path in sorted(folder.glob("*.onnx")) if (model := _ours(path))]
    # Beside its rewrite for a GPU a model is still one: 'pmexport trt' rewrites it itself.
    models = [model for model in models if not model.is_optimized] or models
    fitting = [model for model in models if precision in (None, model.precision)]
    if exports and len(fitting) == 1:
        return None, fitting[0].path
    weights = [
        path for path in sorted(folder.iterdir())
        if path.suffix.lower() in WEIGHT_SUFFIXES and path.is_file()
    ]  # fmt: skip
    if not (exports and fitting):
        source = _checkpoint_of(models[0], weights) if len(models) == 1 else None
        if source is not None or len(weights) == 1:
            return source or weights[0], None
    found = [model.path for model in (fitting or models if exports else [])] + weights
    if not found:
        raise InputError(
            "no checkpoint and no export of 'pmexport onnx' in this folder: give --ckpt C or "
            "--onnx M"
        )
    if exports and models and not fitting and not weights:
        raise InputError(
            f"'{models[0].path.name}' here is {models[0].precision}: --precision {precision} "
            f"needs another export, 'pmexport onnx --ckpt C --precision {precision}', or --ckpt C"
        )
    names = ", ".join(f"'{printable(path.name)}'" for path in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise InputError(
        f"several models in this folder: give one with --onnx or --ckpt: {names}{more}"
    )


def _ours(path: Path) -> ModelFile | None:
    """A model that an engine can be built from; None for anything else."""
    try:
        return read_source(path)
    except InputError:
        return None


def _checkpoint_of(model: ModelFile, weights: list[Path]) -> Path | None:
    """Of some checkpoints, the one that a model was exported from."""
    name, digest = model.metadata.get("checkpoint"), model.metadata.get("checkpoint_sha256")
    return next((w for w in weights if w.name == name and file_sha256(w) == digest), None)
