"""Run a fused graph without a GPU: its operators are PyTorch custom ops with CPU compositions.

Slow, for checking a rewrite where its kernels cannot run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from onnxscript import ir

from pmexport.format.operators import (
    BLOCK,
    BLOCK_TAIL,
    CONV_PROJ,
    EMBED,
    HALF_SUMS,
    LAST_BLOCK,
    LAST_BLOCK_TAIL,
    OPERATORS,
    inputs_by_name,
)
from pmexport.passes.graph import attribute
from pmexport.runtimes.base import Lift
from pmexport.runtimes.torch_cpu import torch_lift

if TYPE_CHECKING:
    from torch import Tensor

Inputs = dict[str, Any]
"""A node's tensors by name."""


def fused_lift(model: ir.Model, threads: int | None = None) -> Lift:
    """A graph of :func:`pmexport.passes.fused.rewrite_fused` as a function of host arrays."""
    import torch

    graph = model.graph
    constants = {
        value.name: torch.from_numpy(value.const_value.numpy().copy())
        for value in graph.initializers.values()
    }

    def network(keypoints_2d: Tensor) -> Tensor:
        values = constants | {graph.inputs[0].name: keypoints_2d}
        for node in graph:
            inputs = inputs_by_name(node.op_type, [values[v.name] for v in node.inputs])
            results = _OPERATORS[node.op_type](node, inputs)
            values |= {v.name: r for v, r in zip(node.outputs, results, strict=True)}
        return values[graph.outputs[0].name]

    return torch_lift(network, threads)


def _embed(node: ir.Node, given: Inputs) -> tuple[Tensor, Tensor]:
    from posemamba.native import fused_ops

    made: tuple[Tensor, Tensor] = fused_ops.embed(
        given["keypoints_2d"],
        given["weight"],
        given["bias"],
        given["joint_position"],
        given["next_norm"],
        [given["in_proj"]],
        attribute(node, "epsilon"),
    )
    return made


def _conv_proj(_node: ir.Node, given: Inputs) -> tuple[Tensor, Tensor]:
    from posemamba.native import fused_ops

    bias = given["bias"]
    x = given["xz"][..., : bias.shape[0]]
    made: tuple[Tensor, Tensor] = fused_ops.conv_proj(x, given["weight"], bias, given["projection"])
    return made


def _block(node: ir.Node, given: Inputs) -> tuple[Tensor, Tensor]:
    conv = {"weight": given["conv_weight"], "bias": given["conv_bias"]}
    u, x_dbl = _conv_proj(node, given | conv)
    return _block_tail(node, given | {"u": u, "x_dbl": x_dbl})


def _block_tail(node: ir.Node, given: Inputs) -> tuple[Tensor, Tensor]:
    from posemamba.native import fused_ops

    operator = OPERATORS[node.op_type]
    u = given["u"]
    following = ("head_weight", "head_bias") if "head_weight" in given else ("in_proj",)
    made: tuple[Tensor, Tensor] = fused_ops.block_tail(
        u,
        given["x_dbl"],
        given["xz"][..., u.shape[3] :],
        given["residual"],
        [given[name] for name in ("dt_weight", "dt_bias", "A", "D")],
        given["vectors"],
        [given[name] for name in ("out_proj", "fc1", "fc2")],
        [given[name] for name in following],
        given.get("position"),
        [attribute(node, name) for name in operator.floats],
        *(attribute(node, name) for name in (*operator.ints, *operator.int_lists)),
        bool(HALF_SUMS in node.attributes and attribute(node, HALF_SUMS)),
    )
    return made


_OPERATORS: dict[str, Callable[[ir.Node, Inputs], tuple[Tensor, Tensor]]] = {
    EMBED: _embed,
    BLOCK: _block,
    LAST_BLOCK: _block,
    CONV_PROJ: _conv_proj,
    BLOCK_TAIL: _block_tail,
    LAST_BLOCK_TAIL: _block_tail,
}
