"""The composed rewrite for ONNX Runtime CUDA: channels last, standard products between our nodes.

The file ``pmexport onnx`` writes is portable: one scan node per block, standard operators around
it. On a GPU those cost more in memory traffic and launches than in arithmetic. Here

- the two halves of ``in_proj`` are one product again;
- Transpose, Conv, Transpose and SiLU are one ``ConvSilu``;
- LayerNormalization, SiLU and the gate are one ``GatedNorm``;
- a residual sum and the norms that read it are one ``AddNorm``.

All in domain ``posemamba``, float32 and float16; ``docs/reference/ops.md`` specifies them.
Sizes the fused kernels are compiled for go further, see :mod:`pmexport.passes.fused`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnxscript import ir

from pmexport.format.names import OP_DOMAIN
from pmexport.format.operators import ADD_NORM, CONV_SILU, GATED_NORM, inputs_in_order
from pmexport.passes.graph import Typed, add_initializer, new_node, prune
from pmexport.passes.match_block import (
    Mixer,
    ResidualNorm,
    before_casts,
    find_mixers,
    find_residual_norms,
)
from posemamba.errors import InputError
from posemamba.native.packing import NORM_MULTIPLE, NORM_WIDTH, norm_fits


def rewrite_composed(model: ir.Model) -> None:
    """Rewrite a graph of ``pmexport onnx --ops fused`` in place; what it computes stays the same.

    Raises:
        InputError: the graph is not one of those, was rewritten before, or is of sizes that the
            kernels do not take.
    """
    graph = model.graph
    mixers = find_mixers(graph)
    d_model, d_inner = mixers[0].in_proj.shape[0], mixers[0].in_proj.shape[1] // 2
    if not (norm_fits(d_model) and norm_fits(d_inner)):
        raise InputError(
            f"its norms are {d_model} and {d_inner} wide, the kernels take multiples of "
            f"{NORM_MULTIPLE} up to {NORM_WIDTH}: use it as it is"
        )
    dtype = mixers[0].scan.outputs[0].dtype
    assert dtype is not None
    for mixer in mixers:
        _rewrite_mixer(graph, mixer)
    for found in list(find_residual_norms(graph, dtype)):
        _rewrite_residual_norm(graph, found, dtype)
    prune(model)


def _rewrite_mixer(graph: ir.Graph, mixer: Mixer) -> None:
    name, scanned, like = mixer.name, mixer.u, mixer.normed.shape
    weight = add_initializer(graph, f"{name}.in_proj.weight", mixer.in_proj)
    taps = add_initializer(graph, f"{name}.conv2d.taps", mixer.taps)
    bias = add_initializer(graph, f"{name}.conv2d.bias.fp32", mixer.conv_bias)
    wide = ir.Shape([*like[:3], weight.shape[1]]) if like is not None else None
    before = mixer.normed.uses()[0].node
    product = new_node(
        "MatMul", [mixer.normed, weight], {}, f"{name}.in_proj.MatMul", [(scanned.dtype, wide)]
    )
    graph.insert_before(before, product)
    xz = product.outputs[0]
    (u,) = _insert(
        graph, before, CONV_SILU, {"xz": xz, "weight": taps, "bias": bias}, {},
        f"{name}.conv2d", [(scanned.dtype, scanned.shape)],
    )  # fmt: skip
    ir.convenience.replace_all_uses_with(mixer.u, u)
    y = before_casts(_given(mixer.out_norm))
    (gated,) = _insert(
        graph, mixer.out_norm, GATED_NORM, {"y": y, "xz": xz, **_affine(mixer.out_norm)},
        {"epsilon": _epsilon(mixer.out_norm)}, f"{name}.out_norm", [(y.dtype, y.shape)],
    )  # fmt: skip
    ir.convenience.replace_all_uses_with(mixer.gated, gated)


def _rewrite_residual_norm(graph: ir.Graph, found: ResidualNorm, dtype: ir.DataType) -> None:
    residual, shared = found.residual, found.shared
    inputs = {"residual": residual, "branch": found.branch, **_affine(found.norm)}
    attributes = {"epsilon": _epsilon(found.norm), "shared_epsilon": 0.0}
    if shared is not None:
        inputs |= {f"shared_{name}": value for name, value in _affine(shared).items()}
        attributes["shared_epsilon"] = _epsilon(shared)
    scope = str(found.norm.name).rpartition(".")[0]
    stream, normed = _insert(
        graph, found.add, ADD_NORM, inputs, attributes, scope,
        [(residual.dtype, residual.shape), (dtype, residual.shape)],
    )  # fmt: skip
    ir.convenience.replace_all_uses_with(found.stream, stream)
    old = found.norm.outputs[0]
    for use in list(old.uses()):
        if use.node.op_type == "Cast":
            ir.convenience.replace_all_uses_with(use.node.outputs[0], normed)
        else:
            use.node.replace_input_with(use.idx, normed)


def _insert(
    graph: ir.Graph,
    before: ir.Node,
    op_type: str,
    inputs: Mapping[str, ir.Value | None],
    attributes: Mapping[str, float],
    scope: str,
    outputs: Sequence[Typed],
) -> Sequence[ir.Value]:
    """A node of ours in front of another; its outputs."""
    ordered = inputs_in_order(op_type, inputs)
    node = new_node(op_type, ordered, attributes, f"{scope}.{op_type}", outputs, OP_DOMAIN)
    graph.insert_before(before, node)
    made: Sequence[ir.Value] = node.outputs
    return made


def _given(norm: ir.Node) -> ir.Value:
    """What a LayerNormalization reads."""
    value = norm.inputs[0]
    assert value is not None
    return value


def _affine(norm: ir.Node) -> dict[str, ir.Value | None]:
    """Scale and bias of a LayerNormalization."""
    _, gamma, beta = norm.inputs
    return {"gamma": gamma, "beta": beta}


def _epsilon(norm: ir.Node) -> float:
    return float(norm.attributes["epsilon"].value)
