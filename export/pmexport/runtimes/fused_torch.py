"""Run a fused graph without a GPU: its operators are PyTorch custom ops with CPU compositions.

Slow, for checking a rewrite where its kernels cannot run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from onnxscript import ir

from pmexport.passes.fused import BLOCK_TAIL, CONV_PROJ, EMBED, LAST_BLOCK_TAIL
from pmexport.runtimes.base import Lift, torch_lift

if TYPE_CHECKING:
    from torch import Tensor

_EPSILONS = ("out_epsilon", "norm2_epsilon", "shared_epsilon", "next_epsilon")
_WALK = ("d_state", "dt_rank", "order", "reverse", "limb_mask", "limb_index")


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
            inputs = [None if v is None else values[v.name] for v in node.inputs]
            results = _OPERATORS[node.op_type](node, inputs)
            values |= {v.name: r for v, r in zip(node.outputs, results, strict=True)}
        return values[graph.outputs[0].name]

    return torch_lift(network, threads)


def _embed(node: ir.Node, inputs: list[Any]) -> tuple[Tensor, Tensor]:
    from posemamba.native import fused_ops

    *given, in_proj = inputs
    made: tuple[Tensor, Tensor] = fused_ops.embed(*given, [in_proj], _value(node, "epsilon"))
    return made


def _conv_proj(_node: ir.Node, inputs: list[Any]) -> tuple[Tensor, Tensor]:
    from posemamba.native import fused_ops

    xz, taps, bias, projection = inputs
    channels = bias.shape[0]
    made: tuple[Tensor, Tensor] = fused_ops.conv_proj(xz[..., :channels], taps, bias, projection)
    return made


def _block_tail(node: ir.Node, inputs: list[Any]) -> tuple[Tensor, Tensor]:
    from posemamba.native import fused_ops

    u, x_dbl, xz, residual = inputs[:4]
    last = node.op_type == LAST_BLOCK_TAIL
    following = inputs[12:14] if last else inputs[12:13]
    position = inputs[13] if not last and len(inputs) > 13 else None
    made: tuple[Tensor, Tensor] = fused_ops.block_tail(
        u,
        x_dbl,
        xz[..., u.shape[3] :],
        residual,
        inputs[4:8],
        inputs[8],
        inputs[9:12],
        following,
        position,
        [_value(node, name) for name in _EPSILONS],
        *(_value(node, name) for name in _WALK),
    )
    return made


def _value(node: ir.Node, name: str) -> Any:  # noqa: ANN401
    value = node.attributes[name].value
    return value if isinstance(value, int | float) else list(value)


_OPERATORS: dict[str, Callable[[ir.Node, list[Any]], tuple[Tensor, Tensor]]] = {
    EMBED: _embed,
    CONV_PROJ: _conv_proj,
    BLOCK_TAIL: _block_tail,
    LAST_BLOCK_TAIL: _block_tail,
}
