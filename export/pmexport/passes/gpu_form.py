"""Whether a model is rewritten for a GPU, and why not. A device need not have onnxscript."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pmexport.format.environment import has_module
from pmexport.format.file import ModelFile, open_model
from pmexport.format.operators import EMBED
from pmexport.format.options import Form, Rewrite
from posemamba.errors import InputError

if TYPE_CHECKING:
    from pmexport.passes.optimize import Optimized


@dataclass(frozen=True)
class GpuForm:
    """What a GPU is given for a model.

    Attributes:
        name: which nodes.
        optimized: the rewritten graph; None for the nodes of the file.
        reason: why the file's own nodes; empty where they were rewritten.
    """

    name: Form
    optimized: Optimized | None
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})" if self.reason else self.name


def gpu_form(file: str | os.PathLike[str] | ModelFile, rewrite: Rewrite = "auto") -> GpuForm:
    """Rewrite a model as a GPU runs it fastest; with ``auto`` its own nodes where nothing fits.

    Raises:
        InputError: no readable model, or a rewrite was asked for by name and does not fit.
    """
    source = open_model(file)
    if source.is_optimized:
        name: Form = "fused" if EMBED in source.own_operators else "composed"
        if rewrite in ("fused", "composed") and rewrite != name:
            raise InputError(
                f"'{source.path}' is optimised already, as {name}: give the model it was made from"
            )
        return GpuForm(name, None, "as the file is")
    if rewrite == "off":
        return GpuForm("as exported", None, "asked for")
    if rewrite == "auto" and not source.own_operators:
        return GpuForm("as exported", None, "it has standard operators alone")
    if rewrite == "auto" and not has_module("onnxscript"):
        return GpuForm(
            "as exported",
            None,
            "onnxscript, which rewrites it, is not installed: pip install '.[export]', or give the "
            "file that 'pmexport optimize' made elsewhere",
        )
    from pmexport.passes.optimize import optimize_model

    try:
        made = optimize_model(source, rewrite)
    except InputError as error:
        if rewrite != "auto":
            raise
        return GpuForm("as exported", None, str(error).removeprefix(f"'{source.path}': "))
    return GpuForm("fused" if made.fusion == "fused" else "composed", made)
