"""Models in ONNX Runtime's own format: what the runtime says of them, for it alone reads them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmexport.format.files import file_sha256
from pmexport.format.metadata import parse_metadata
from pmexport.format.names import CPU_PROVIDER
from pmexport.runtimes.session import load_session
from posemamba.errors import InputError

if TYPE_CHECKING:
    from onnxruntime import NodeArg


def inspect_ort(path: str | os.PathLike[str]) -> dict[str, Any]:
    """File, inputs, outputs and metadata of a model in ONNX Runtime's format.

    Raises:
        InputError: it is damaged, of another version, or needs what is missing here.
    """
    path = Path(path)
    session = load_session(path, [CPU_PROVIDER])
    about = session.get_modelmeta()
    try:
        metadata = dict(parse_metadata(dict(about.custom_metadata_map)))
    except InputError as error:
        raise InputError(f"'{path}': {error}") from None
    return {
        "file": {
            "path": str(path),
            "bytes": path.stat().st_size,
            "sha256": file_sha256(path),
        },
        "producer": about.producer_name,
        "inputs": {value.name: _signature(value) for value in session.get_inputs()},
        "outputs": {value.name: _signature(value) for value in session.get_outputs()},
        "metadata": metadata,
    }


def _signature(value: NodeArg) -> dict[str, Any]:
    return {"type": value.type.removeprefix("tensor(").removesuffix(")"), "shape": value.shape}
