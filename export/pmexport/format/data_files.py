"""The files beside an ONNX model that hold its weights: all there, and long enough.

Runtimes find that out tensor by tensor and name a node; a model copied alone would look whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from pmexport.format.integrity import WHOLE_BYTES, every_tensor

if TYPE_CHECKING:
    from onnx import GraphProto, TensorProto

_COPY = "copy it beside the model again, or export it again with 'pmexport onnx'"


def missing_data(graph: GraphProto, folder: Path) -> str | None:
    """What is not there of a graph's external data, as the end of a sentence; None if all is.

    Args:
        graph: without a fault of :mod:`pmexport.format.integrity`.
        folder: of the model.
    """
    return next(_missing(graph, folder), None)


def _missing(graph: GraphProto, folder: Path) -> Iterator[str]:
    sizes: dict[str, int | None] = {}
    for tensor in every_tensor(graph):
        if tensor.data_location != tensor.EXTERNAL:
            continue
        said = {entry.key: entry.value for entry in tensor.external_data}
        name = said["location"]
        if name not in sizes:
            file = folder / name
            sizes[name] = file.stat().st_size if file.is_file() else None
        size = sizes[name]
        if size is None:
            yield f"keeps its weights in '{folder / name}', which is missing: {_COPY}"
            continue
        offset, length = (_whole(said.get(key, "0")) for key in ("offset", "length"))
        if offset is None or length is None:
            yield (
                f"keeps its tensor '{tensor.name}' in '{folder / name}' at no place that can be "
                "read: export it again with 'pmexport onnx'"
            )
            continue
        end = offset + max(length, _bytes_of(tensor))
        if end > size:
            yield (
                f"keeps its weights in '{folder / name}', which has {size:,} bytes of at least "
                f"{end:,}: {_COPY}"
            )


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _bytes_of(tensor: TensorProto) -> int:
    """Of a tensor of its sizes; 0 of types whose elements are no whole bytes."""
    from onnx.helper import tensor_dtype_to_np_dtype

    if tensor.data_type not in WHOLE_BYTES:
        return 0
    count: int = prod(tensor.dims)
    return count * int(tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
