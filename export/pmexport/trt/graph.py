"""Which nodes TensorRT is given for a model: those of the file, or those of a rewrite."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pmexport.format.file import ModelFile, open_model
from pmexport.format.options import Form, Rewrite
from pmexport.passes.gpu_form import GpuForm, gpu_form
from posemamba.errors import InputError


@dataclass(frozen=True)
class Graph:
    """What TensorRT parses.

    Attributes:
        model: the file with its nodes: the source itself, or a scratch file.
        form: which nodes these are.
        reason: why they are the file's own; empty where they were rewritten.
    """

    model: ModelFile
    form: Form
    reason: str

    def __str__(self) -> str:
        return f"{self.form} ({self.reason})" if self.reason else self.form


def check_rewrite(rewrite: Rewrite, strip_weights: bool) -> None:
    """Refuse a rewrite by name for an engine that is refitted from the model.

    Raises:
        InputError: both are asked for.
    """
    if strip_weights and rewrite in ("fused", "composed"):
        raise InputError(
            f"--fusion {rewrite}: an engine of --strip-weights is refitted from the model it was "
            "built from: give the file of 'pmexport optimize' with --onnx, or leave it out"
        )


def choose_form(
    source: ModelFile, rewrite: Rewrite, strip_weights: bool, operators: Collection[str] | None
) -> GpuForm:
    """Which nodes TensorRT is given, nothing written.

    Args:
        operators: those of the plugin library; None if unknown.

    Raises:
        InputError: a rewrite was asked for by name and does not fit.
    """
    if rewrite == "auto" and strip_weights and not source.is_optimized:
        return GpuForm("as exported", None, "it is refitted from the model as it is")
    form = gpu_form(source, rewrite)
    if form.optimized is None or operators is None or rewrite != "auto":
        return form
    used = {str(node.op_type) for node in form.optimized.model.graph if node.domain}
    lacking = sorted(used - set(operators))
    if lacking:
        return GpuForm("as exported", None, f"the plugin library lacks {', '.join(lacking)}")
    return form


def choose_graph(
    source: ModelFile,
    rewrite: Rewrite,
    strip_weights: bool,
    operators: Collection[str],
    scratch: Path,
) -> Graph:
    """What TensorRT parses, as a file.

    Args:
        scratch: folder for a rewritten model.

    Raises:
        InputError: as :func:`choose_form`.
    """
    form = choose_form(source, rewrite, strip_weights, operators)
    if form.optimized is None:
        return Graph(source, form.name, form.reason)
    path = scratch / f"model.{form.name}.onnx"
    path.write_bytes(form.optimized.serialised())
    return Graph(open_model(path), form.name, "")
