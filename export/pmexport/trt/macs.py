"""Multiply-accumulates of an ONNX node, from the shapes of its tensors.

Counted as :func:`posemamba.flops.true_macs` counts: products, convolution, the scan at 3 MAC a
state and its step-size projection. Norms, activations and additions count 0. The sums of both ways
are equal, which a test holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from pmexport.onnx_ops import CROSS_SELECTIVE_SCAN, SELECTIVE_SCAN
from pmexport.trt.source import Node, Shape, Source

_MACS_PER_STATE = 3  # decay, input, output


def node_macs(node: Node, source: Source, sizes: Mapping[str, int]) -> int:
    """MACs of one node.

    Args:
        sizes: what ``batch`` and ``frames`` are.
    """

    def shape(name: str) -> tuple[int, ...]:
        return numbers(source.values[name].shape, sizes)

    if node.op_type == "MatMul":
        return prod(shape(node.outputs[0])) * shape(node.inputs[0])[-1]
    if node.op_type == "Conv":
        # weight: (channels out, channels in of a group, *kernel)
        return prod(shape(node.outputs[0])) * prod(shape(node.inputs[1])[1:])
    if node.op_type == CROSS_SELECTIVE_SCAN:
        positions = prod(shape(node.inputs[0])[:3])  # batch, frames, joints
        directions, d_inner, rank = shape(node.inputs[2])  # dt_weight
        states = shape(node.inputs[4])[-1]  # A
        return positions * directions * d_inner * (rank + _MACS_PER_STATE * states)
    if node.op_type == SELECTIVE_SCAN:
        states = shape(node.inputs[2])[-1]  # A
        return prod(shape(node.inputs[0])) * _MACS_PER_STATE * states
    return 0


def numbers(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """A shape with its symbols replaced; what nobody knows counts as 1."""
    return tuple(dim if isinstance(dim, int) else sizes.get(dim or "", 1) for dim in shape)


def largest_tensor(source: Source, sizes: Mapping[str, int]) -> tuple[str, int]:
    """Name and number of elements of the largest tensor between two nodes."""
    elements = {
        name: prod(numbers(source.values[name].shape, sizes))
        for node in source.nodes
        for name in node.outputs
    }
    name = max(elements, key=lambda key: elements[key])
    return name, elements[name]
