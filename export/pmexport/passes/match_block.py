"""Recognise the parts of a PoseMamba block in a graph written by ``pmexport onnx --ops fused``.

The exporter's graph is regular, so recognising is walking it and being strict: the first node that
is not what it should be ends it, by name. Casts, which fp16 puts between any two nodes, are
stepped over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from pmexport.format.operators import CROSS_SELECTIVE_SCAN, inputs_by_name
from pmexport.passes.graph import Array, constant_array, is_constant
from posemamba.errors import InputError
from posemamba.native import packing


@dataclass(frozen=True)
class Mixer:
    """The scan branch of a block, from ``in_proj`` to the gate.

    Attributes:
        name: the module, such as ``STEblocks.3.op``.
        normed: what ``in_proj`` reads, type T.
        x_weight, z_weight: the halves of ``in_proj``, (d_model, d_inner) constants.
        conv: the depthwise convolution.
        u: output of its SiLU, what ``x_proj`` and the scan read.
        scan: the ``CrossSelectiveScan`` node.
        out_norm: the LayerNormalization of the scan's output.
        gated: output of the gate, what ``out_proj`` reads.
    """

    name: str
    normed: ir.Value
    x_weight: ir.Value
    z_weight: ir.Value
    conv: ir.Node
    u: ir.Value
    scan: ir.Node
    out_norm: ir.Node
    gated: ir.Value

    @property
    def in_proj(self) -> Array:
        """(d_model, 2 * d_inner): x first, then z."""
        halves = [constant_array(self.x_weight), constant_array(self.z_weight)]
        return np.concatenate(halves, axis=1)

    @property
    def taps(self) -> Array:
        """(9, d_inner), the 3x3 taps row by row, float32."""
        return packing.taps(constant_array(self.conv.inputs[1])).astype(np.float32)

    @property
    def conv_bias(self) -> Array:
        """(d_inner,), float32."""
        return constant_array(self.conv.inputs[2]).astype(np.float32)

    @property
    def scan_inputs(self) -> dict[str, ir.Value | None]:
        """The inputs of the scan by name."""
        return inputs_by_name(CROSS_SELECTIVE_SCAN, self.scan.inputs)


@dataclass(frozen=True)
class ResidualNorm:
    """A residual sum and the norm, or two norms, that read it.

    Attributes:
        add: the sum of the residual stream and a branch.
        shared: ``Spatial_norm`` or ``Temporal_norm`` of the sum itself; None inside a block.
        norm: the next LayerNormalization.
    """

    add: ir.Node
    shared: ir.Node | None
    norm: ir.Node

    # Asked of the graph each time, for a rewrite of the sum before this one changes them.
    @property
    def residual(self) -> ir.Value:
        """The stream so far."""
        return _input(self.add, 0)

    @property
    def branch(self) -> ir.Value:
        """What is added, in type T, before any cast."""
        return before_casts(_input(self.add, 1))

    @property
    def stream(self) -> ir.Value:
        """The residual stream afterwards."""
        return (self.shared or self.add).outputs[0]


def find_mixers(graph: ir.Graph) -> list[Mixer]:
    """The scan branch of every block, in order.

    Raises:
        InputError: there is none, or a node around a scan is not what the exporter writes.
    """
    mixers = [_mixer(node) for node in graph if node.op_type == CROSS_SELECTIVE_SCAN]
    if not mixers:
        raise InputError(
            "there is no CrossSelectiveScan in this graph: export it with 'pmexport onnx "
            "--ops fused', and optimise each file once"
        )
    return mixers


def find_residual_norms(graph: ir.Graph, dtype: ir.DataType) -> Iterator[ResidualNorm]:
    """Every residual sum whose next norm is read in ``dtype`` alone, in order."""
    for add in graph:
        if add.op_type == "Add" and not any(is_constant(value) for value in add.inputs):
            found = _residual_norm(add, dtype)
            if found is not None:
                yield found


def before_casts(value: ir.Value) -> ir.Value:
    """The value a chain of casts starts from."""
    while (node := value.producer()) is not None and node.op_type == "Cast":
        value = _input(node, 0)
    return value


def readers(value: ir.Value) -> list[ir.Node]:
    """The nodes that read a value, through casts."""
    found: list[ir.Node] = []
    for node, _ in value.uses():
        found += readers(node.outputs[0]) if node.op_type == "Cast" else [node]
    return found


def _mixer(scan: ir.Node) -> Mixer:
    u = _past_gather(_input(scan, 0))
    conv = made_by(made_by(_silu_of(u), "Transpose").inputs[0], "Conv")
    x = made_by(made_by(conv.inputs[0], "Transpose").inputs[0], "MatMul")
    out_norm = only_reader(_scanned(scan), "LayerNormalization")
    gate = only_reader(out_norm.outputs[0], "Mul")
    other = [v for v in gate.inputs if before_casts(_given(v, gate)) is not out_norm.outputs[0]]
    if len(other) != 1:
        raise unexpected(gate)
    z = made_by(_silu_of(_given(other[0], gate)), "MatMul")
    normed = _input(x, 0)
    if z.inputs[0] is not normed:
        raise unexpected(z)
    weights = [_input(node, 1) for node in (x, z)]
    for node, weight in zip((x, z), weights, strict=True):
        if not is_constant(weight):
            raise unexpected(node)
    if not all(is_constant(value) for value in (*conv.inputs[1:], *out_norm.inputs[1:])):
        raise unexpected(conv)
    name = str(scan.name).removesuffix(".scan")
    return Mixer(name, normed, weights[0], weights[1], conv, u, scan, out_norm, gate.outputs[0])


def _past_gather(value: ir.Value) -> ir.Value:
    """The value behind the Gather that puts the joints in the order of a fork's scan, if any."""
    node = before_casts(value).producer()
    return _input(node, 0) if node is not None and node.op_type == "Gather" else value


def _scanned(scan: ir.Node) -> ir.Value:
    """The scan's output, with the joints put back if a Gather does so.

    Raises:
        InputError: the block sums several scans.
    """
    following = readers(scan.outputs[0])
    if len(following) == 1 and following[0].op_type == "Gather":
        value = following[0].outputs[0]
        following = readers(value)
    else:
        value = scan.outputs[0]
    if any(node.op_type in ("Add", "Mul") for node in following):
        raise InputError(
            f"its blocks sum several scans ('{scan.name}' is one), as only forks' networks do: "
            "such a file is not optimised, use it as it is"
        )
    return value


def _residual_norm(add: ir.Node, dtype: ir.DataType) -> ResidualNorm | None:
    made = before_casts(_input(add, 1)).producer()
    if made is None or made.op_type not in ("MatMul", "Add"):
        return None
    norms = [node for node in readers(add.outputs[0]) if node.op_type == "LayerNormalization"]
    if len(norms) != 1:
        return None
    shared = None
    if len(readers(add.outputs[0])) == 1:  # the sum is gone: the stream is its norm
        shared = norms[0]
        followers = readers(shared.outputs[0])
        norms = [node for node in followers if node.op_type == "LayerNormalization"]
        if len(norms) != 1 or len(followers) != 2:
            return None
    norm = norms[0]
    if any(value.dtype != dtype for value in _as_read(norm.outputs[0])):
        return None
    return ResidualNorm(add, shared, norm)


def _as_read(value: ir.Value) -> Iterator[ir.Value]:
    """A value in the types its readers take it in."""
    for node, _ in value.uses():
        yield node.outputs[0] if node.op_type == "Cast" else value


def _silu_of(value: ir.Value) -> ir.Value:
    """``a`` where ``value`` is ``a * Sigmoid(a)``."""
    product = made_by(value, "Mul")
    for value_a, value_b in (product.inputs, product.inputs[::-1]):
        a, b = before_casts(_given(value_a, product)), _given(value_b, product)
        sigmoid = before_casts(b).producer()
        if sigmoid is not None and sigmoid.op_type == "Sigmoid":
            if before_casts(_input(sigmoid, 0)) is not a:
                break
            return a
    raise unexpected(product)


def made_by(value: ir.Value | None, op_type: str) -> ir.Node:
    """The node of this type behind a value, casts left out.

    Raises:
        InputError: it is of another type.
    """
    node = None if value is None else before_casts(value).producer()
    if node is None or node.op_type != op_type:
        raise InputError(
            f"'{value.name if value is not None else ''}' is not made by {op_type}: this is no "
            "graph of 'pmexport onnx --ops fused', or it was changed since"
        )
    return node


def only_reader(value: ir.Value, op_type: str) -> ir.Node:
    """The one reader of a value, casts left out.

    Raises:
        InputError: there are several, or it is of another type.
    """
    found = readers(value)
    if len(found) != 1 or found[0].op_type != op_type:
        raise InputError(
            f"'{value.name}' is not read by one {op_type}: this is no graph of 'pmexport onnx "
            "--ops fused', or it was changed since"
        )
    return found[0]


def _input(node: ir.Node, index: int) -> ir.Value:
    return _given(node.inputs[index], node)


def _given(value: ir.Value | None, node: ir.Node) -> ir.Value:
    if value is None:
        raise unexpected(node)
    return value


def unexpected(node: ir.Node | None) -> InputError:
    """What to raise for a node that the exporter would not write there."""
    name = "(none)" if node is None else node.name
    return InputError(
        f"node '{name}' is not as 'pmexport onnx --ops fused' writes it: export the checkpoint "
        "again"
    )
