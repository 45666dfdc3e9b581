"""A model opened; on a GPU in ONNX Runtime as the exporter rewrites it for one.

A file of ``pmexport onnx`` runs anywhere, and on a GPU about half as fast as what ``pmexport
optimize`` makes of it. Nothing of that happens silently.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from posemamba_runtime.cli.cache import cache_path, has_exporter, make
from posemamba_runtime.errors import Missing
from posemamba_runtime.lifter import Lifter

CUDA = "onnxruntime-cuda"
_REWRITABLE = "fused"
"""The exporter's ``--ops`` whose files have one scan node a block."""
_MARK = b"posemamba.target"
"""In the metadata of every rewritten file."""

Tell = Callable[[str], None]


def open_lifter(
    model: Path, backend: str, threads: int, tell: Tell, *, tf32: bool = False
) -> Lifter:
    """A lifter of a model, rewritten for the GPU where ONNX Runtime uses one.

    Args:
        tell: given a line for a person where it was rewritten, or could not be.

    Raises:
        Error: the model cannot be opened.
    """
    lifter = Lifter(model, backend, threads=threads, tf32=tf32)
    instead = rewritten(model, lifter.info, tell)
    if instead is None:
        return lifter
    lifter.close()
    return Lifter(instead, backend, threads=threads, tf32=tf32)


def rewritten(model: Path, info: Mapping[str, Any], tell: Tell) -> Path | None:
    """The file to open instead; None where the one that was opened is the right one.

    Args:
        info: of the lifter that opened it.
    """
    if info.get("backend") != CUDA or info.get("ops") != _REWRITABLE or _is_rewritten(model):
        return None
    try:
        path = cache_path(model.stem, model, ".cuda.onnx")
        if not path.is_file():
            if not has_exporter():
                raise Missing("pmexport is not installed here")
            tell(f"Rewriting '{model}' for the GPU, once")
            make(path, ("optimize", str(model)), "pmexport optimize")
    except Missing as error:
        tell(
            f"Remark: '{model}' runs on the GPU as it was exported, slower than what 'pmexport "
            f"optimize' makes of it ({error})"
        )
        return None
    tell(f"Model: '{model}' as rewritten for the GPU, '{path}'")
    return path


def _is_rewritten(model: Path) -> bool:
    with model.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(_MARK) >= 0
