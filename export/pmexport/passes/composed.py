"""The composed rewrite for ONNX Runtime CUDA: channels last, standard products between our nodes.

The file ``pmexport onnx`` writes is portable: one scan node a block, standard operators around it.
On a GPU those cost more in memory traffic and launches than in arithmetic. Here

- the two halves of ``in_proj`` are one product again;
- Transpose, Conv, Transpose and SiLU are one ``ConvSilu``;
- LayerNormalization, SiLU and the gate are one ``GatedNorm``;
- a residual sum and the norms that read it are one ``AddNorm``.

All in domain ``posemamba``, float32 and float16; ``docs/guide/onnxruntime.md`` specifies them. Sizes the
fused kernels are compiled for go further, see :mod:`pmexport.passes.fused`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnxscript import ir

from pmexport.format.operators import OP_DOMAIN, PLUGIN_ATTRIBUTES
from pmexport.passes.clean import add_initializer, prune
from pmexport.passes.match_block import Mixer, ResidualNorm, find_mixers, find_residual_norms

CONV_SILU, GATED_NORM, ADD_NORM = "ConvSilu", "GatedNorm", "AddNorm"
_Outputs = Sequence[tuple[ir.DataType | None, ir.Shape | None]]


def rewrite_composed(model: ir.Model) -> None:
    """Rewrite a graph of ``pmexport onnx --ops fused`` in place; what it computes stays the same.

    Raises:
        InputError: the graph is not one of those, or was rewritten before.
    """
    graph = model.graph
    mixers = find_mixers(graph)
    dtype = mixers[0].scan.outputs[0].dtype
    assert dtype is not None
    for mixer in mixers:
        _rewrite_mixer(graph, mixer)
    for found in list(find_residual_norms(graph, dtype)):
        _rewrite_residual_norm(graph, found, dtype)
    prune(model)


def _rewrite_mixer(graph: ir.Graph, mixer: Mixer) -> None:
    weight = add_initializer(  # (d_model, 2 * d_inner): x first, then z
        graph,
        f"{mixer.name}.in_proj.weight",
        np.concatenate([_array(mixer.x_weight), _array(mixer.z_weight)], axis=1),
    )
    kernel = _array(mixer.conv.inputs[1])  # (d_inner, 1, 3, 3)
    taps = add_initializer(  # (9, d_inner)
        graph,
        f"{mixer.name}.conv2d.taps",
        kernel.reshape(len(kernel), 9).T.astype(np.float32),
    )
    bias = add_initializer(
        graph, f"{mixer.name}.conv2d.bias.fp32", _array(mixer.conv.inputs[2]).astype(np.float32)
    )
    like, scanned = mixer.normed.shape, mixer.u
    wide = ir.Shape([*like[:3], weight.shape[1]]) if like is not None else None
    before = mixer.normed.uses()[0].node
    xz = _node(
        graph, before, "", "MatMul", [mixer.normed, weight], {}, f"{mixer.name}.in_proj.MatMul",
        [(scanned.dtype, wide)],
    )[0]  # fmt: skip
    u = _node(
        graph, before, OP_DOMAIN, CONV_SILU, [xz, taps, bias], {},
        f"{mixer.name}.conv2d.{CONV_SILU}", [(scanned.dtype, scanned.shape)],
    )[0]  # fmt: skip
    ir.convenience.replace_all_uses_with(mixer.u, u)
    norm = mixer.out_norm
    y = mixer.scan.outputs[0]
    gated = _node(
        graph, norm, OP_DOMAIN, GATED_NORM, [y, xz, *norm.inputs[1:]],
        {"epsilon": _epsilon(norm)}, f"{mixer.name}.out_norm.{GATED_NORM}", [(y.dtype, y.shape)],
    )[0]  # fmt: skip
    ir.convenience.replace_all_uses_with(mixer.gated, gated)


def _rewrite_residual_norm(graph: ir.Graph, found: ResidualNorm, dtype: ir.DataType) -> None:
    residual, shared = found.residual, found.shared
    inputs = [residual, found.branch, *found.norm.inputs[1:]]
    attributes = {"epsilon": _epsilon(found.norm), "shared_epsilon": 0.0}
    if shared is not None:
        inputs += shared.inputs[1:]
        attributes["shared_epsilon"] = _epsilon(shared)
    scope = str(found.norm.name).rpartition(".")[0]
    stream, normed = _node(
        graph, found.add, OP_DOMAIN, ADD_NORM, inputs, attributes, f"{scope}.{ADD_NORM}",
        [(residual.dtype, residual.shape), (dtype, residual.shape)],
    )  # fmt: skip
    ir.convenience.replace_all_uses_with(found.stream, stream)
    old = found.norm.outputs[0]
    for use in list(old.uses()):
        if use.node.op_type == "Cast":
            ir.convenience.replace_all_uses_with(use.node.outputs[0], normed)
        else:
            use.node.replace_input_with(use.idx, normed)


def _node(
    graph: ir.Graph,
    before: ir.Node,
    domain: str,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: dict[str, Any],
    name: str,
    outputs: _Outputs,
) -> Sequence[ir.Value]:
    """A new node; its outputs are named after it."""
    if domain:
        attributes = attributes | PLUGIN_ATTRIBUTES
    node = ir.Node(
        domain,
        op_type,
        inputs,
        attributes=ir.convenience.convert_attributes(attributes),
        num_outputs=len(outputs),
        name=name,
    )
    for index, (value, (dtype, shape)) in enumerate(zip(node.outputs, outputs, strict=True)):
        value.name = name if len(outputs) == 1 else f"{name}.{index}"
        value.type = None if dtype is None else ir.TensorType(dtype)
        value.shape = shape
    graph.insert_before(before, node)
    made: Sequence[ir.Value] = node.outputs
    return made


def _array(value: ir.Value | None) -> Any:  # noqa: ANN401
    assert value is not None
    assert value.const_value is not None
    return value.const_value.numpy()


def _epsilon(norm: ir.Node) -> float:
    return float(norm.attributes["epsilon"].value)
