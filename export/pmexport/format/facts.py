"""What is in an exported file: sizes, operators, precision, origin."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import onnx

from pmexport.format.metadata import parse_metadata
from pmexport.format.operators import register_schemas
from pmexport.runtimes.base import read_onnx
from posemamba.errors import InputError

_FLOATS = {
    onnx.TensorProto.FLOAT: "fp32",
    onnx.TensorProto.FLOAT16: "fp16",
    onnx.TensorProto.BFLOAT16: "bf16",
    onnx.TensorProto.DOUBLE: "fp64",
}


@dataclass(frozen=True)
class ModelFacts:
    """What another command needs to know of a model; None where the file does not say.

    Attributes:
        frames, batch: fixed sizes of the input; None for any.
        max_frames: most frames of a clip.
        precision: ``fp16`` if any node computes in it, whatever the metadata says.
    """

    variant: str | None
    scan_order: str | None
    ops: str | None
    precision: str
    frames: int | None
    batch: int | None
    max_frames: int | None
    checkpoint_sha256: str | None

    def summary(self) -> dict[str, Any]:
        return asdict(self)


def read_facts(path: Path) -> ModelFacts:
    """Size, precision and origin of a model.

    Raises:
        InputError: the file is missing, is no ONNX model, or its metadata is damaged.
    """
    model = read_onnx(path)
    metadata = _metadata(model, path)
    batch, frames = _leading(model)
    return ModelFacts(
        variant=metadata.get("variant"),
        scan_order=metadata.get("scan_order"),
        ops=metadata.get("ops"),
        precision="fp16" if "fp16" in _node_types(model).values() else "fp32",
        frames=frames,
        batch=batch,
        max_frames=metadata.get("max_frames"),
        checkpoint_sha256=metadata.get("checkpoint_sha256"),
    )


def inspect_onnx(path: Path) -> dict[str, Any]:
    """Everything about a model that its file tells.

    Returns:
        ``file`` (path, bytes, external data), ``inputs``, ``outputs``, ``opsets``, ``nodes`` (total
        and by type), ``precision`` (by type, how many nodes give fp32 and fp16, and the share
        of fp16), ``constants`` (numbers by type), ``parameters`` and ``metadata``.

    Raises:
        InputError: the file is missing, is no ONNX model, or its metadata is damaged.
    """
    path = Path(path)
    model = read_onnx(path)
    graph = model.graph
    counts = Counter(_type_name(node) for node in graph.node)
    metadata = _metadata(model, path)
    external = external_files(model)
    return {
        "file": {
            "path": str(path),
            "bytes": path.stat().st_size
            + sum(f.stat().st_size for name in external if (f := path.parent / name).is_file()),
            "external_data": external,
        },
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "ir_version": model.ir_version,
        "opsets": {entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        "inputs": {value.name: _signature(value) for value in graph.input},
        "outputs": {value.name: _signature(value) for value in graph.output},
        "nodes": {"total": len(graph.node), "by_type": dict(counts.most_common())},
        "precision": _precision(model),
        "constants": _constants(graph),
        "parameters": metadata.pop("parameters", None),
        "metadata": metadata,
    }


def _metadata(model: Any, path: Path) -> dict[str, Any]:  # noqa: ANN401
    try:
        return parse_metadata({entry.key: entry.value for entry in model.metadata_props})
    except InputError as error:
        raise InputError(f"'{path}': {error}") from None


def _type_name(node: Any) -> str:  # noqa: ANN401
    return f"{node.domain}:{node.op_type}" if node.domain else str(node.op_type)


def _leading(model: Any) -> tuple[int | None, int | None]:  # noqa: ANN401
    """Fixed batch and frames of the first input."""
    shape = model.graph.input[0].type.tensor_type.shape.dim if model.graph.input else []
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in shape]
    batch, frames = [*sizes, None, None][:2]
    return batch, frames


def _signature(value: Any) -> dict[str, Any]:  # noqa: ANN401
    tensor = value.type.tensor_type
    shape = [d.dim_value if d.HasField("dim_value") else d.dim_param for d in tensor.shape.dim]
    return {"type": onnx.TensorProto.DataType.Name(tensor.elem_type).lower(), "shape": shape}


def _node_types(model: Any) -> dict[int, str]:  # noqa: ANN401
    """Floating-point type of each node's first output, by position; other nodes are absent."""
    if not model.graph.value_info:  # somebody else's file, or stripped
        register_schemas()
        model = onnx.shape_inference.infer_shapes(model)
    values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    found = {i: types.get(node.output[0]) for i, node in enumerate(model.graph.node)}
    return {i: _FLOATS[kind] for i, kind in found.items() if kind in _FLOATS}


def _precision(model: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401
    table: dict[str, Counter[str]] = defaultdict(Counter)
    types = _node_types(model)
    for i, node in enumerate(model.graph.node):
        if i in types and node.op_type != "Cast":
            table[_type_name(node)][types[i]] += 1
    return {
        name: {**kinds, "fp16_share": round(kinds["fp16"] / sum(kinds.values()), 4)}
        for name, kinds in sorted(table.items())
    }


def _constants(graph: Any) -> dict[str, int]:  # noqa: ANN401
    """How many numbers the file stores, by type; folding makes them more than the parameters."""
    numbers: Counter[str] = Counter()
    for tensor in graph.initializer:
        kind = _FLOATS.get(tensor.data_type, "integer")
        numbers[kind] += prod(tensor.dims)
    return dict(numbers)


def external_files(model: Any) -> list[str]:  # noqa: ANN401
    """Names of the files beside the model that hold its weights."""
    return sorted(
        {
            entry.value
            for tensor in model.graph.initializer
            for entry in tensor.external_data
            if entry.key == "location"
        }
    )
