"""An ONNX model of ours, read for TensorRT: what it says of itself, its layers and their shapes.

Only ``onnx`` is needed, neither PyTorch nor TensorRT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmexport.format.files import file_sha256
from pmexport.format.metadata import parse_metadata
from pmexport.runtimes.base import INPUT_NAME, OP_DOMAIN, OUTPUT_NAME, read_onnx
from posemamba.errors import InputError

#: A dimension is a number, a symbol such as ``batch``, or None where nobody knows.
Dim = int | str | None
Shape = tuple[Dim, ...]

_REQUIRED = ("config", "joint_names", "max_frames", "normalisation", "ops", "precision", "units")


@dataclass(frozen=True)
class Value:
    """Type (``fp16``, ``fp32``, ``int64``, ...) and shape of a tensor."""

    dtype: str
    shape: Shape


@dataclass(frozen=True)
class Node:
    """A node of the main graph; inputs and outputs by name."""

    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """The model.

    Attributes:
        sha256: of the file; with weights beside it, see :func:`_hash`.
        metadata: as :func:`pmexport.format.metadata.parse_metadata` gives it.
        values: every tensor of the main graph whose shape is known, constants included.
        batch, frames: sizes the input is fixed to; None for any.
    """

    path: Path
    sha256: str
    size_bytes: int
    producer: str
    metadata: Mapping[str, Any]
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    batch: int | None
    frames: int | None

    @property
    def precision(self) -> str:
        """``fp16`` if any node computes in it, whatever the metadata says."""
        kinds = {self.values[name].dtype for node in self.nodes for name in node.outputs}
        return "fp16" if "fp16" in kinds else "fp32"

    @property
    def max_frames(self) -> int:
        most: int = self.metadata["max_frames"]
        return most

    @property
    def joints(self) -> int:
        return len(self.metadata["joint_names"])

    @property
    def plugin_nodes(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.domain == OP_DOMAIN)


def read_source(path: Path) -> Source:
    """Read and judge an ONNX model.

    Raises:
        InputError: no ONNX model, not written by this tool, damaged, or of standard operators only.
    """
    path = Path(path)
    model = read_onnx(path)
    metadata = _own_metadata(model, path)
    values = _values(model)
    for name in (INPUT_NAME, OUTPUT_NAME):
        if name not in values:
            raise InputError(f"'{path}' has no tensor '{name}': export it again")
    nodes = tuple(_node(node) for node in model.graph.node)
    unknown = [name for node in nodes for name in node.outputs if name not in values]
    if unknown:
        raise InputError(
            f"'{path}' does not say the type of '{unknown[0]}': it was changed after its export; "
            "export it again with 'pmexport onnx'"
        )
    sha256, size_bytes = _hash(model, path)
    batch, frames = (dim if isinstance(dim, int) else None for dim in values[INPUT_NAME].shape[:2])
    return Source(
        path=path,
        sha256=sha256,
        size_bytes=size_bytes,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        metadata=metadata,
        nodes=nodes,
        values=values,
        batch=batch,
        frames=frames,
    )


def _own_metadata(model: Any, path: Path) -> dict[str, Any]:  # noqa: ANN401
    if model.producer_name != "pmexport":
        raise InputError(
            f"'{path}' was written by '{model.producer_name or 'nobody known'}', not by 'pmexport "
            "onnx': what its poses mean is unknown; export the checkpoint with 'pmexport onnx'"
        )
    try:
        metadata = parse_metadata({entry.key: entry.value for entry in model.metadata_props})
    except InputError as error:
        raise InputError(f"'{path}': {error}") from None
    for key in _REQUIRED:
        if key not in metadata:
            raise InputError(
                f"'{path}' has no metadata '{key}': another tool dropped it; export the model "
                "again with 'pmexport onnx'"
            )
    if metadata["ops"] == "standard":
        raise InputError(
            f"'{path}' was exported with --ops standard, whose scan takes one step at a time: it "
            "is for checking; export with --ops fused (the default) for TensorRT"
        )
    return metadata


def _node(node: Any) -> Node:  # noqa: ANN401
    import onnx

    return Node(
        name=node.name,
        op_type=node.op_type,
        domain=node.domain,
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes={a.name: onnx.helper.get_attribute_value(a) for a in node.attribute},
    )


def _values(model: Any) -> dict[str, Value]:  # noqa: ANN401
    graph = model.graph
    found = {
        value.name: Value(
            _dtype(value.type.tensor_type.elem_type), _shape(value.type.tensor_type.shape)
        )
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    for tensor in graph.initializer:
        found[tensor.name] = Value(_dtype(tensor.data_type), tuple(tensor.dims))
    return found


def _dtype(code: int) -> str:
    import onnx

    name = str(onnx.TensorProto.DataType.Name(code)).lower()
    return {"float": "fp32", "float16": "fp16"}.get(name, name)


def _shape(shape: Any) -> Shape:  # noqa: ANN401
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in shape.dim
    )


def _hash(model: Any, path: Path) -> tuple[str, int]:  # noqa: ANN401
    """SHA-256 and bytes of the file.

    With external data the hash is that of the hexadecimal hashes of the model and its data files,
    in order of their names: equal hashes mean equal weights too.
    """
    from pmexport.format.facts import external_files

    data = [path.parent / name for name in external_files(model)]
    for file in data:
        if not file.is_file():
            raise InputError(f"'{path}' keeps its weights in '{file}', which does not exist")
    size_bytes = sum(file.stat().st_size for file in (path, *data))
    digest = file_sha256(path)
    if data:
        import hashlib

        parts = "".join([digest, *(file_sha256(file) for file in data)])
        digest = hashlib.sha256(parts.encode()).hexdigest()
    return digest, size_bytes
