"""Rewrite an exported float16 graph as the fused path: a node per block, and one before them.

The same kernels as :class:`posemamba.model.inference.PoseMambaInference`: ``Embed``, then ``Block``
after ``Block``, the last of which computes the poses. Matrices are packed as the tensor cores read
them. ``docs/reference/ops.md`` specifies the operators, which run on CUDA alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnxscript import ir

from pmexport.format.names import OP_DOMAIN
from pmexport.format.operators import (
    BLOCK,
    CROSS_SELECTIVE_SCAN,
    EMBED,
    LAST_BLOCK,
    OPERATORS,
    inputs_in_order,
)
from pmexport.passes.graph import Array, add_initializer, attribute, constant_array, new_node, prune
from pmexport.passes.match_network import Layer, Network, Norm, find_network
from posemamba.native.packing import TailVectors, fits, pack_weight, skips

_HALF, _SINGLE = ir.DataType.FLOAT16, ir.DataType.FLOAT


def can_fuse(network: Network) -> bool:
    """Whether the fused kernels are compiled for the network's type and sizes."""
    first = network.layers[0]
    inner, width = first.out_proj.shape
    hidden, columns = first.fc1.shape[1], first.x_proj.shape[1]
    xy = len(network.embedding) == 2  # the embedding's kernel reads no more channels
    half = all(layer.mixer.scan.outputs[0].dtype == _HALF for layer in network.layers)
    by_lists = "order" in first.mixer.scan.attributes  # not by the tables of version 2
    return xy and half and by_lists and fits(width, inner, hidden, columns)


def rewrite_fused(model: ir.Model, network: Network) -> None:
    """Replace the nodes of a graph, in place; its input and output stay.

    Args:
        network: what :func:`pmexport.passes.match_network.find_network` found in it.
    """
    _Emitter(model.graph, network).run()
    prune(model)


def find_fusable(model: ir.Model) -> Network | None:
    """The network of a graph, or None where the fused kernels do not take it.

    Raises:
        InputError: the graph is not what the exporter writes.
    """
    network = find_network(model.graph)
    return network if can_fuse(network) else None


class _Emitter:
    def __init__(self, graph: ir.Graph, network: Network) -> None:
        self.graph = graph
        self.network = network
        self.width = network.embedding.shape[1]
        self.grid = list(graph.inputs[0].shape)[:3]  # batch, frames, joints

    def run(self) -> None:
        network, width = self.network, self.width
        stream, xz = self._node(
            EMBED,
            {
                "keypoints_2d": self.graph.inputs[0],
                "weight": self._single("embedding.weight", network.embedding.T),
                "bias": self._single("embedding.bias", network.embedding_bias),
                "joint_position": self._single("joint_position", network.joint_position),
                "next_norm": self._single("first_norm", np.stack(_pair(network.first_norm))),
                "in_proj": self._in_proj(network.layers[0]),
            },
            {"epsilon": network.first_norm.epsilon},
            EMBED,
            [(_SINGLE, width), (_HALF, 4 * width)],
        )
        for index, layer in enumerate(network.layers):
            last = index + 1 == len(network.layers)
            stream, xz = self._block(layer, stream, xz, None if last else network.layers[index + 1])
        self._replace_output(xz)

    def _block(
        self, layer: Layer, stream: ir.Value, xz: ir.Value, following: Layer | None
    ) -> Sequence[ir.Value]:
        mixer, width = layer.mixer, self.width
        name = mixer.name.removesuffix(".op")
        inputs = mixer.scan_inputs | {
            "xz": xz,
            "residual": stream,
            "conv_weight": self._single(f"{name}.taps", mixer.taps),
            "conv_bias": self._single(f"{name}.conv_bias", mixer.conv_bias),
            "projection": self._packed(f"{name}.x_proj", layer.x_proj),
            "vectors": self._single(f"{name}.vectors", _vectors(layer)),
            "out_proj": self._packed(f"{name}.out_proj", layer.out_proj),
            "fc1": self._packed(f"{name}.fc1", layer.fc1),
            "fc2": self._packed(f"{name}.fc2", layer.fc2),
        }
        del inputs["x"], inputs["x_dbl"]  # they are computed here
        scan = OPERATORS[CROSS_SELECTIVE_SCAN]
        given = [key for key in scan.optional_ints if key in mixer.scan.attributes]
        names = (*scan.ints, *scan.int_lists, *given)
        attributes = {key: attribute(mixer.scan, key) for key in names} | {
            "out_epsilon": layer.out_norm.epsilon,
            "norm2_epsilon": layer.norm2.epsilon,
            "shared_epsilon": layer.shared_norm.epsilon,
            "next_epsilon": layer.next_norm.epsilon,
        }
        if following is None:
            kind, made = LAST_BLOCK, (_SINGLE, 3)
            inputs["head_weight"] = self._single("head.weight", self.network.head.T)
            inputs["head_bias"] = self._single("head.bias", self.network.head_bias)
        else:
            kind, made = BLOCK, (_HALF, 4 * width)
            inputs["in_proj"] = self._in_proj(following)
            if layer.position is not None:
                inputs["position"] = self._single("frame_position", layer.position)
        return self._node(kind, inputs, attributes, f"{name}.{kind}", [(_SINGLE, width), made])

    def _in_proj(self, layer: Layer) -> ir.Value:
        return self._packed(f"{layer.mixer.name}.in_proj", layer.mixer.in_proj)

    def _single(self, name: str, array: Array) -> ir.Value:
        return add_initializer(self.graph, f"fused.{name}", array.astype(np.float32))

    def _packed(self, name: str, matrix: Array) -> ir.Value:
        """A matrix (inputs, outputs) of the file as the kernels read it."""
        packed = np.ascontiguousarray(pack_weight(matrix.T))
        return add_initializer(self.graph, f"fused.{name}", packed)

    def _node(
        self,
        op_type: str,
        inputs: Mapping[str, ir.Value | None],
        attributes: Mapping[str, Any],
        name: str,
        outputs: Sequence[tuple[ir.DataType, int]],
    ) -> Sequence[ir.Value]:
        """A node of ours at the end of the graph; outputs are given by type and channels."""
        typed = [(dtype, ir.Shape([*self.grid, channels])) for dtype, channels in outputs]
        ordered = inputs_in_order(op_type, inputs)
        node = new_node(op_type, ordered, attributes, name, typed, OP_DOMAIN)
        self.graph.append(node)
        made: Sequence[ir.Value] = node.outputs
        return made

    def _replace_output(self, poses: ir.Value) -> None:
        old = self.graph.outputs[0]
        name = old.name
        self.graph.outputs[0] = poses
        old.name = f"{name}.replaced"
        poses.name = name


def _vectors(layer: Layer) -> Array:
    """What ``block_tail`` reads whole."""
    D = constant_array(layer.mixer.scan_inputs["D"])  # (K, 2d)
    packed: Array = TailVectors(
        *_pair(layer.out_norm),
        *skips(D, attribute(layer.mixer.scan, "limb_mask")),
        *_pair(layer.norm2),
        *_pair(layer.shared_norm),
        *_pair(layer.next_norm),
        layer.fc1_bias.astype(np.float32),
        layer.fc2_bias.astype(np.float32),
    ).pack()
    return packed


def _pair(norm: Norm) -> tuple[Array, Array]:
    return norm.gamma, norm.beta
