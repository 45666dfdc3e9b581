"""What is in an exported file, for people: sizes, operators, precision, origin."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from math import prod
from typing import Any

import onnx

from pmexport.format.file import FLOATS, ModelFile, open_model, short_type
from pmexport.format.operators import ADD_NORM, CONV_SILU, GATED_NORM, OPERATORS

_NO_PRODUCTS = (ADD_NORM, GATED_NORM, CONV_SILU)
_PRODUCTS = {"MatMul", "Gemm", "Conv", "FusedMatMul", "Scan", *OPERATORS} - {*_NO_PRODUCTS}


def inspect_onnx(file: str | os.PathLike[str] | ModelFile) -> dict[str, Any]:
    """Everything about a model that its file tells.

    Returns:
        ``file`` (path, bytes, external data), ``inputs``, ``outputs``, ``opsets``, ``nodes`` (total
        and by type), ``precision`` (by type, how many nodes work on fp32 and fp16, and the
        share of fp16), ``fp16`` (of all nodes, and of those with the products and scans;
        ``half_sums``: scans whose sums may be fp16 too),
        ``constants`` (numbers by type), ``parameters`` and ``metadata``.

    Raises:
        InputError: as :func:`pmexport.format.file.open_model`.
    """
    model = open_model(file)
    graph = model.proto.graph
    metadata = dict(model.metadata)
    return {
        "file": {
            "path": str(model.path),
            "bytes": model.size_bytes,
            "external_data": model.external_files,
        },
        "producer": model.producer,
        "ir_version": model.proto.ir_version,
        "opsets": {entry.domain or "ai.onnx": entry.version for entry in model.proto.opset_import},
        "inputs": {value.name: _signature(value) for value in graph.input},
        "outputs": {value.name: _signature(value) for value in graph.output},
        "nodes": {
            "total": len(model.nodes),
            "by_type": dict(Counter(node.kind for node in model.nodes).most_common()),
        },
        "precision": _precision(model),
        "fp16": _share(model),
        "constants": _constants(graph),
        "parameters": metadata.pop("parameters", None),
        "metadata": metadata,
    }


def _signature(value: onnx.ValueInfoProto) -> dict[str, Any]:
    tensor = value.type.tensor_type
    shape = [d.dim_value if d.HasField("dim_value") else d.dim_param for d in tensor.shape.dim]
    return {"type": onnx.TensorProto.DataType.Name(tensor.elem_type).lower(), "shape": shape}


def _precision(model: ModelFile) -> dict[str, dict[str, Any]]:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for node in model.nodes:
        kind = model.computes_in(node)
        if kind is not None and node.op_type != "Cast":
            table[node.kind][kind] += 1
    return {
        name: {**kinds, "fp16_share": round(kinds["fp16"] / sum(kinds.values()), 4)}
        for name, kinds in sorted(table.items())
    }


def _share(model: ModelFile) -> dict[str, int]:
    """Nodes on fp16 ``of`` those that compute, of those the ones that hold the work, and the scans
    whose sums may be fp16 too."""
    kinds = [(node, model.computes_in(node)) for node in model.nodes if node.op_type != "Cast"]
    computing = [(node, kind) for node, kind in kinds if kind is not None]
    heavy = [kind for node, kind in computing if node.op_type in _PRODUCTS]
    return {
        "nodes": sum(kind == "fp16" for _, kind in computing),
        "of": len(computing),
        "products": heavy.count("fp16"),
        "of_products": len(heavy),
        "half_sums": sum(node.half_sums for node in model.nodes),
    }


def _constants(graph: onnx.GraphProto) -> dict[str, int]:
    """How many numbers the file stores, by type; folding makes them more than the parameters."""
    numbers: Counter[str] = Counter()
    for tensor in graph.initializer:
        kind = short_type(tensor.data_type)
        numbers[kind if kind in FLOATS else "integer"] += prod(tensor.dims)
    return dict(numbers)
