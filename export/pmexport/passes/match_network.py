"""Recognise a whole PoseMamba in a graph written by ``pmexport onnx --ops fused``.

On top of :mod:`pmexport.passes.match_block`: from the keypoints through every block to the poses,
with the constants each part is made of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from pmexport.passes.graph import Array, constant_array, is_constant
from pmexport.passes.match_block import (
    Mixer,
    before_casts,
    find_mixers,
    made_by,
    only_reader,
    readers,
    unexpected,
)


@dataclass(frozen=True)
class Norm:
    """Constants of a LayerNormalization."""

    gamma: Array
    beta: Array
    epsilon: float


@dataclass(frozen=True)
class Layer:
    """One block. Matrices are as in the file, (inputs, outputs).

    Attributes:
        position: (frames, d_model) added to the stream behind the block, or None.
        shared_norm: ``Spatial_norm`` or ``Temporal_norm``.
        next_norm: of the next block, or of the head.
    """

    mixer: Mixer
    x_proj: Array
    out_norm: Norm
    out_proj: Array
    norm2: Norm
    fc1: Array
    fc1_bias: Array
    fc2: Array
    fc2_bias: Array
    shared_norm: Norm
    next_norm: Norm
    position: Array | None


@dataclass(frozen=True)
class Network:
    """Everything a graph computes with. Matrices are as in the file, (inputs, outputs)."""

    embedding: Array
    embedding_bias: Array
    joint_position: Array  # (joints, d_model)
    first_norm: Norm
    layers: list[Layer]
    head: Array
    head_bias: Array


def find_network(graph: ir.Graph) -> Network:
    """All parts of a graph.

    Raises:
        InputError: it is not what the exporter writes, from its input to its output.
    """
    mixers = find_mixers(graph)
    first = made_by(mixers[0].normed, "LayerNormalization")
    positioned = made_by(first.inputs[0], "Add")
    embedded, embedding_bias = _term(positioned), None
    joint_position = _constant_term(positioned)
    product, embedding_bias = _linear(embedded.producer())
    if product.inputs[0] is not graph.inputs[0]:
        raise unexpected(product)
    stream, layers = positioned.outputs[0], []
    for index, mixer in enumerate(mixers):
        following = mixers[index + 1] if index + 1 < len(mixers) else None
        layer, stream, normed = _layer(mixer, stream, positioned_after=index == 0)
        layers.append(layer)
        if following is not None and before_casts(following.normed) is not normed:
            raise unexpected(following.scan)
    head, head_bias = _linear(only_reader(only_reader(normed, "MatMul").outputs[0], "Add"))
    if head.inputs[0] is not normed or _sum_of(head).outputs[0] is not graph.outputs[0]:
        raise unexpected(head)
    width = joint_position.shape[-1]
    return Network(
        embedding=constant_array(product.inputs[1]),
        embedding_bias=embedding_bias,
        joint_position=joint_position.reshape(-1, width),
        first_norm=_norm(first),
        layers=layers,
        head=constant_array(head.inputs[1]),
        head_bias=head_bias,
    )


def _layer(
    mixer: Mixer, stream: ir.Value, positioned_after: bool
) -> tuple[Layer, ir.Value, ir.Value]:
    """A block; the stream behind it, and the norm of that."""
    out_proj = only_reader(mixer.gated, "MatMul")
    mixed = _residual_sum(out_proj, stream)
    norm2 = _one_norm(mixed.outputs[0])
    fc1, fc1_bias = _linear(_sum_of(only_reader(norm2.outputs[0], "MatMul")))
    act = only_reader(_sum_of(fc1).outputs[0], "Gelu")
    fc2, fc2_bias = _linear(_sum_of(only_reader(act.outputs[0], "MatMul")))
    fed = _residual_sum(_sum_of(fc2), mixed.outputs[0])
    shared = only_reader(fed.outputs[0], "LayerNormalization")
    stream, position = shared.outputs[0], None
    if positioned_after:
        added = only_reader(stream, "Add")
        table = [value for value in added.inputs if value is not stream]
        position = _position(table[0], added)
        stream = added.outputs[0]
    norm = _one_norm(stream)
    x_proj = [node for node in readers(mixer.u) if node.op_type == "MatMul"]
    if len(x_proj) != 1 or before_casts(mixer.scan_inputs["x_dbl"]) is not x_proj[0].outputs[0]:
        raise unexpected(mixer.scan)
    layer = Layer(
        mixer=mixer,
        x_proj=constant_array(x_proj[0].inputs[1]),
        out_norm=_norm(mixer.out_norm),
        out_proj=constant_array(out_proj.inputs[1]),
        norm2=_norm(norm2),
        fc1=constant_array(fc1.inputs[1]),
        fc1_bias=fc1_bias,
        fc2=constant_array(fc2.inputs[1]),
        fc2_bias=fc2_bias,
        shared_norm=_norm(shared),
        next_norm=_norm(norm),
        position=position,
    )
    return layer, stream, norm.outputs[0]


def _residual_sum(branch: ir.Node, stream: ir.Value) -> ir.Node:
    """The sum of the stream and a branch."""
    added = only_reader(branch.outputs[0], "Add")
    if added.inputs[0] is not stream:
        raise unexpected(added)
    return added


def _one_norm(value: ir.Value) -> ir.Node:
    """The one norm among the readers of the stream."""
    norms = [node for node in readers(value) if node.op_type == "LayerNormalization"]
    if len(norms) != 1:
        raise unexpected(value.producer())
    return norms[0]


def _sum_of(product: ir.Node) -> ir.Node:
    """The bias of a product."""
    return only_reader(product.outputs[0], "Add")


def _linear(added: ir.Node | None) -> tuple[ir.Node, Array]:
    """A product and its bias, given the sum of both."""
    if added is None or added.op_type != "Add":
        raise unexpected(added)
    product = made_by(_term(added), "MatMul")
    if not is_constant(product.inputs[1]):
        raise unexpected(product)
    return product, _constant_term(added)


def _term(added: ir.Node) -> ir.Value:
    """The term of a sum that is computed, the other being a constant."""
    found = [value for value in added.inputs if not is_constant(value)]
    if len(found) != 1 or found[0] is None:
        raise unexpected(added)
    return found[0]


def _constant_term(added: ir.Node) -> Array:
    found = [value for value in added.inputs if is_constant(value)]
    if len(found) != 1:
        raise unexpected(added)
    return constant_array(found[0])


def _position(value: ir.Value | None, reader: ir.Node) -> Array:
    """The temporal embedding, (frames, d_model), behind the Slice and Unsqueeze of free lengths."""
    if is_constant(value):
        table = constant_array(value)
        return table.reshape(-1, table.shape[-1])
    node = None if value is None else value.producer()
    if node is None or node.op_type not in ("Slice", "Unsqueeze"):
        raise unexpected(reader)
    if node.op_type == "Slice" and not np.array_equal(constant_array(node.inputs[1]), [0]):
        raise unexpected(node)
    return _position(node.inputs[0], node)


def _norm(node: ir.Node) -> Norm:
    if not all(is_constant(value) for value in node.inputs[1:]):
        raise unexpected(node)
    gamma, beta = (constant_array(value) for value in node.inputs[1:])
    return Norm(gamma, beta, float(node.attributes["epsilon"].value))
