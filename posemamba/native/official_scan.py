"""``CrossSelectiveScan`` with the limb gradient of the authors' kernel, for training alone.

Their kernel drops what a joint would learn from the neighbours that read it, while the weight of
``x_proj`` still learns from what those neighbours contribute. So the neighbours' part of ``x_dbl``
comes in as an input of its own, whose gradient goes to that weight and no further.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from posemamba.native.gradients import NATIVE_GRADIENTS, cross_selective_scan_backward
from posemamba.native.scan_ops import (
    cross_selective_scan,
    of_inputs,
    recomputed_gradients,
    save_inputs,
)
from posemamba.scan import chunked, reference
from posemamba.scan.once import Context
from posemamba.scan.operands import Operands
from posemamba.scan_order import Walk


@torch.library.custom_op(
    "posemamba::cross_selective_scan_official", mutates_args=(), device_types=("cpu", "cuda")
)
def cross_selective_scan_official(
    x: Tensor,
    x_dbl: Tensor,
    limb_dbl: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    d_state: int,
    dt_rank: int,
    order: Sequence[int],
    reverse: Sequence[int],
    limb_mask: Sequence[int],
    limb_index: Sequence[int],
) -> Tensor:
    """:func:`posemamba.native.scan_ops.cross_selective_scan` with the official limb gradient.

    Args:
        limb_dbl: the values of ``x_dbl``, computed apart from the detached ``x``.
    """
    rest = (d_state, dt_rank, order, reverse, limb_mask, limb_index)
    y: Tensor = cross_selective_scan(x, x_dbl, dt_weight, dt_bias, A, D, *rest)
    return y


@cross_selective_scan_official.register_fake
def _(x: Tensor, *_args: Any) -> Tensor:
    return x.new_empty(x.shape)


def _backward(ctx: Context, grad: Tensor) -> tuple[Any, ...]:
    if grad.device.type not in NATIVE_GRADIENTS:
        return recomputed_gradients(ctx, [grad], _plain)
    saved = ctx.saved_tensors
    x, x_dbl, _, *weights = saved[:7]
    inputs = (x, x_dbl, *weights, *ctx.constants[7:])
    dx, dx_dbl, *d_weights, limb = cross_selective_scan_backward(grad, *inputs, True)
    return of_inputs(ctx, saved, grad, (dx, dx_dbl, limb, *d_weights))


def _plain(*values: Any) -> Tensor:
    x, x_dbl, limb_dbl, dt_weight, dt_bias, A, D, d_state, _dt_rank, *walked = values
    order, reverse, limb_mask, limb_index = map(tuple, walked)
    walk = Walk(order, reverse, limb_mask, limb_index)
    x, x_dbl, limb_dbl = x.float(), x_dbl.float(), limb_dbl.float()
    inputs = (x, x_dbl, dt_weight.float(), d_state, walk, (x.detach(), limb_dbl))
    u, delta, B, C = reference.directional_inputs(*inputs)
    given = Operands(
        *(u, delta, A.flatten(0, 1), B, C, D.flatten()),
        delta_bias=dt_bias.flatten(),
        delta_softplus=True,
        reverse=walk.reverse,
    )
    y = chunked.selective_scan(given)
    return reference.merge_directions(y, walk.order, x.shape[1], x.shape[2]).to(values[0].dtype)


cross_selective_scan_official.register_autograd(_backward, setup_context=save_inputs)
