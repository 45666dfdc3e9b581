"""An ONNX file, opened and judged once: whoever needs something of it is given this object.

Only ``onnx`` is needed, neither PyTorch nor a runtime.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx

from pmexport.format.data_files import missing_data
from pmexport.format.files import file_sha256
from pmexport.format.integrity import every_tensor, fault
from pmexport.format.metadata import parse_metadata
from pmexport.format.names import OP_DOMAIN, TARGET, TARGET_KEY
from pmexport.format.operators import HALF_SUMS, OPERATORS, inputs_by_name
from pmexport.format.options import Precision
from pmexport.format.schemas import register_schemas
from posemamba.errors import InputError
from posemamba.files.input import ABSENT, why_no_file
from posemamba.files.signatures import ONNX_MODEL, what_it_is

#: A dimension is a number, a symbol such as ``batch``, or None where nobody knows.
Dim = int | str | None
Shape = tuple[Dim, ...]

_SHORT_TYPES = {"float": "fp32", "float16": "fp16", "bfloat16": "bf16", "double": "fp64"}
FLOATS = tuple(_SHORT_TYPES.values())
_NO_FLOATS = (
    "Shape",
    "Size",
    "ArgMax",
    "ArgMin",
    "Equal",
    "Greater",
    "Less",
    "IsNaN",
)  # from floats


@dataclass(frozen=True)
class Value:
    """Type (``fp16``, ``fp32``, ``int64``, ...) and shape of a tensor."""

    dtype: str
    shape: Shape


@dataclass(frozen=True)
class Node:
    """A node of the main graph; inputs and outputs by name, ``plugin_version`` empty if none.

    ``half_sums``: whether its scan's sums over the states may be fp16.
    """

    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    plugin_version: str
    half_sums: bool = False

    @property
    def kind(self) -> str:
        """The type, with its domain if that is not ONNX's own."""
        return f"{self.domain}:{self.op_type}" if self.domain else self.op_type


@dataclass(frozen=True)
class ModelFile:
    """What a file holds.

    Attributes:
        proto: the ``onnx.ModelProto``, external data left where it is; nobody changes it.
        metadata: as :func:`pmexport.format.metadata.parse_metadata` gives it.
        nodes: of the main graph.
        values: every tensor of the main graph whose type is stated, constants included.
    """

    path: Path
    proto: Any
    metadata: Mapping[str, Any]
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]

    @property
    def producer(self) -> str:
        return f"{self.proto.producer_name} {self.proto.producer_version}".strip()

    @property
    def module(self) -> str | None:
        """What ``pmexport export-module`` made it of; None for a PoseMamba, or anybody else's."""
        found: str | None = self.metadata.get("module")
        return found

    def refuse_options(self, given: Mapping[str, object], why: str = "") -> None:
        """Of a network of one's own: options that only a PoseMamba has a use for.

        Args:
            given: by name, None where an option is absent.
            why: what holds instead, as a part of the sentence.

        Raises:
            InputError: names the first that is given.
        """
        for option, value in given.items():
            if value is not None:
                raise InputError(
                    f"{option}: '{self.path}' is {self.module}, a network of your own{why}: "
                    "leave it out"
                )

    @property
    def batch(self) -> int | None:
        """Clips the input is fixed to; None for any."""
        return self._fixed(0)

    @property
    def frames(self) -> int | None:
        """Frames the input is fixed to; None for any."""
        return self._fixed(1)

    @property
    def most_frames(self) -> int | None:
        """Frames of the longest clip it takes; None where it does not say."""
        most: int | None = self.metadata.get("max_frames")
        return most

    @property
    def channels(self) -> int:
        """Of the input for each joint: 2 for x and y, more for a fork's confidence and others."""
        return self._fixed(3) or 2

    def _fixed(self, axis: int) -> int | None:
        inputs = self.proto.graph.input
        shape = shape_of(inputs[0]) if inputs else ()
        size = shape[axis] if axis < len(shape) else None
        return size if isinstance(size, int) else None

    @property
    def opset(self) -> int:
        """Version of ONNX's own operators."""
        found = [
            entry.version for entry in self.proto.opset_import if entry.domain in ("", "ai.onnx")
        ]
        return int(found[0]) if found else 0

    @property
    def own_nodes(self) -> tuple[Node, ...]:
        """Nodes of this project's domain."""
        return tuple(node for node in self.nodes if node.domain == OP_DOMAIN)

    @property
    def own_operators(self) -> set[str]:
        """Types of :attr:`own_nodes`; empty for a file of standard operators."""
        return {node.op_type for node in self.own_nodes}

    @property
    def is_optimized(self) -> bool:
        """Whether ``pmexport optimize`` wrote it."""
        return any(
            entry.key == TARGET_KEY and entry.value == TARGET for entry in self.proto.metadata_props
        )

    @cached_property
    def result_types(self) -> dict[str, str]:
        """Floating-point type of what a node gives, by name; inferred where the file states none.

        Other outputs than a node's first are left out.
        """
        firsts = [node.outputs[0] for node in self.nodes]
        return {name: self._float_types[name] for name in firsts if name in self._float_types}

    @cached_property
    def _float_types(self) -> dict[str, str]:
        """Of every floating-point tensor, stated or inferred.

        ONNX Runtime's own optimiser states no types for what it adds, and ONNX cannot infer those
        of its operators: there a node gives what its first floating-point input is.
        """
        values = self.values
        if not self.proto.graph.value_info:  # somebody else's file, or stripped
            register_schemas()
            values = _values(onnx.shape_inference.infer_shapes(self.proto).graph)
        known = {name: value.dtype for name, value in values.items()}
        for node in self.proto.graph.node:
            target = next((entry.i for entry in node.attribute if entry.name == "to"), None)
            given = short_type(target) if node.op_type == "Cast" and target else next(
                (known[name] for name in node.input if known.get(name) in FLOATS), None
            )  # fmt: skip
            if given is not None and node.output and node.op_type not in _NO_FLOATS:
                known.setdefault(node.output[0], given)
        return {name: dtype for name, dtype in known.items() if dtype in FLOATS}

    def computes_in(self, node: Node) -> str | None:
        """Floating-point type a node works on; None for one of whole numbers.

        A node of ours works on fp16 where any of its activations is: a fused one gives the float32
        stream first, and fp16 beside it or inside.
        """
        if node.domain == OP_DOMAIN and node.op_type in OPERATORS:
            given = inputs_by_name(node.op_type, node.inputs)
            activations = [given.get(name, "") for name in OPERATORS[node.op_type].activations]
            if any(self._float_types.get(n) == "fp16" for n in (*node.outputs, *activations)):
                return "fp16"
        return self.result_types.get(node.outputs[0])

    @property
    def precision(self) -> Precision:
        """``fp16`` if any node computes in it, ``fp16-sums`` if one sums in it too, whatever the
        metadata says."""
        if any(node.half_sums for node in self.nodes):
            return "fp16-sums"
        return "fp16" if any(self.computes_in(node) == "fp16" for node in self.nodes) else "fp32"

    @cached_property
    def sha256(self) -> str:
        """Of the file's bytes."""
        return file_sha256(self.path)

    @cached_property
    def external_files(self) -> list[str]:
        """Names of the files beside the model that hold its weights."""
        return sorted(
            {
                entry.value
                for tensor in every_tensor(self.proto.graph)
                for entry in tensor.external_data
                if entry.key == "location"
            }
        )

    @property
    def _external_paths(self) -> list[Path]:
        return [self.path.parent / name for name in self.external_files]

    @property
    def size_bytes(self) -> int:
        """Of the model and its external data."""
        return sum(file.stat().st_size for file in (self.path, *self._external_paths))

    @cached_property
    def whole_sha256(self) -> str:
        """Equal for equal weights too: with external data, the hash of the hexadecimal hashes of
        the model and its data files, in order of their names."""
        if not self.external_files:
            return self.sha256
        parts = "".join([self.sha256, *(file_sha256(file) for file in self._external_paths)])
        return hashlib.sha256(parts.encode()).hexdigest()

    def summary(self) -> dict[str, Any]:
        """What the reports of ``check`` and ``bench`` say of a model; None where it does not."""
        said = self.metadata.get
        return {
            "path": str(self.path),
            "sha256": self.sha256,
            "variant": said("variant"),
            "scan_order": said("scan_order"),
            "ops": said("ops"),
            "precision": self.precision,
            "frames": self.frames,
            "batch": self.batch,
            "max_frames": said("max_frames"),
            "checkpoint_sha256": said("checkpoint_sha256"),
        }


def open_model(file: str | os.PathLike[str] | ModelFile) -> ModelFile:
    """Read and judge an ONNX file; one that is open already is returned as it is.

    Raises:
        InputError: the file or weights beside it are missing, it is no ONNX model, contradicts
            itself, or its metadata is damaged.
    """
    if isinstance(file, ModelFile):
        return file
    path = Path(file)
    proto = _read(path)
    try:
        metadata = parse_metadata({entry.key: entry.value for entry in proto.metadata_props})
    except InputError as error:
        raise InputError(f"'{path}': {error}") from None
    nodes = tuple(_node(node) for node in proto.graph.node)
    model = ModelFile(path, proto, metadata, nodes, _values(proto.graph))
    for node in nodes:
        if node.half_sums and model.computes_in(node) != "fp16":
            raise InputError(
                f"'{path}': node '{node.name}' has {HALF_SUMS}, which is for fp16, and works on "
                f"{model.computes_in(node)}: export it again with 'pmexport onnx'"
            )
    return model


def _read(path: Path) -> onnx.ModelProto:
    why = why_no_file(path)
    if why is not None:
        fix = "write it with 'pmexport onnx --ckpt C'" if why == ABSENT else "give the ONNX file"
        raise InputError(f"'{path}' {why}: {fix}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror or error})") from None
    try:
        proto = onnx.load_model_from_string(data)
    except Exception:  # protobuf's decode error, under whatever name this version has
        raise InputError(f"'{path}' is not an ONNX model{_instead(data)}") from None
    if not proto.graph.node or not proto.graph.output:
        raise InputError(f"'{path}' holds no ONNX graph: export it again with 'pmexport onnx'")
    wrong = fault(proto)
    if wrong is not None:
        raise InputError(f"'{path}' is damaged, {wrong}: export it again with 'pmexport onnx'")
    absent = missing_data(proto.graph, path.parent)
    if absent is not None:
        raise InputError(f"'{path}' {absent}")
    return proto


def _instead(data: bytes) -> str:
    what = what_it_is(data)
    if what in (None, ONNX_MODEL):
        return ", or is truncated: export it again with 'pmexport onnx'"
    return f", it is {what}: give what 'pmexport onnx' wrote"


def _node(node: onnx.NodeProto) -> Node:
    version = next((a.s for a in node.attribute if a.name == "plugin_version"), b"")
    ours = node.domain == OP_DOMAIN
    return Node(
        name=node.name,
        op_type=node.op_type,
        domain=node.domain,
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        plugin_version=version.decode(errors="replace"),
        half_sums=ours and any(a.name == HALF_SUMS and a.i for a in node.attribute),
    )


def _values(graph: onnx.GraphProto) -> dict[str, Value]:
    found = {
        value.name: Value(short_type(value.type.tensor_type.elem_type), shape_of(value))
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    for tensor in graph.initializer:
        found[tensor.name] = Value(short_type(tensor.data_type), tuple(tensor.dims))
    return found


def short_type(code: int) -> str:
    """``fp16`` for the code of ``float16``; ONNX's name where there is no short one."""
    name = str(onnx.TensorProto.DataType.Name(code)).lower()
    return _SHORT_TYPES.get(name, name)


def shape_of(value: onnx.ValueInfoProto) -> Shape:
    """The stated shape of an ``onnx.ValueInfoProto``."""
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
        for dim in value.type.tensor_type.shape.dim
    )
