"""The two scan operators as PyTorch custom ops, namespace ``posemamba``.

They run the project's native kernels, have fake kernels (so ``torch.export`` and ``torch.compile``
see through them) and true gradients: :mod:`posemamba.native.gradients`, or the chunked scan where
there is no kernel. Neither mamba-ssm nor a GPU is needed. ``docs/reference/ops.md`` specifies both;
the ONNX operators of the same names are identical.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from posemamba.errors import InputError
from posemamba.native.gradients import (
    NATIVE_GRADIENTS,
    cross_selective_scan_backward,
    selective_scan_backward,
)
from posemamba.native.launch import launch_scan, require_axes
from posemamba.native.scan_params import (
    cross_inputs,
    cross_scan_params,
    scan_inputs,
    scan_params,
)
from posemamba.scan import chunked, reference
from posemamba.scan.once import Context, taken_once
from posemamba.scan.operands import Operands
from posemamba.scan_order import Walk
from posemamba.text import plural


@torch.library.custom_op(
    "posemamba::cross_selective_scan", mutates_args=(), device_types=("cpu", "cuda")
)
def cross_selective_scan(
    x: Tensor,
    x_dbl: Tensor,
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
    half_sums: bool = False,
) -> Tensor:
    """K selective scans over the (frames, joints) grid and their sum, in one pass.

    PoseMamba (arXiv 2408.03540), section 3.2; Mamba (arXiv 2312.00752), algorithm 2.

    Args:
        x: (batch, frames, joints, d_inner), float32 or float16.
        x_dbl: (batch, frames, joints, K * (dt_rank + 2 * d_state)), dtype of ``x``; per direction
            the raw step sizes, B and C, in position order and before any limb sum.
        dt_weight: (K, d_inner, dt_rank) float32.
        dt_bias, D: (K, d_inner) float32.
        A: (K, d_inner, d_state) float32, already ``-exp(A_log)``.
        order, reverse, limb_mask: per direction, as :class:`posemamba.scan_order.ScanOrder`.
        limb_index: limb neighbour of each joint.
        half_sums: of float16 ``x`` alone: the sum over the states may be float16 too. A kernel
            without such sums, as on the CPU, makes them in float32.

    Returns:
        (batch, frames, joints, d_inner), dtype of ``x``, accumulated in float32.

    Raises:
        InputError: a dtype or size the kernels do not take, tensors that do not fit each other, or
            the native library is missing.
    """
    require_axes("cross_selective_scan", "x", x, 4)
    if half_sums and x.dtype != torch.float16:
        raise InputError(
            f"posemamba::cross_selective_scan: half_sums is for float16, x is {x.dtype}: leave it "
            "out"
        )
    k, joints = len(order), x.shape[2]
    lengths = (len(reverse), len(limb_mask), len(limb_index))
    if lengths != (k, k, joints):
        raise InputError(
            f"posemamba::cross_selective_scan: reverse, limb_mask and limb_index have {lengths} "
            f"entries, {plural(k, 'direction')} and {plural(joints, 'joint')} ask "
            f"for {(k, k, joints)}"
        )
    weights = (dt_weight, dt_bias, A, D)
    inputs = cross_inputs("cross_selective_scan", x, x_dbl, weights, k, d_state, dt_rank)
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    walk = Walk(tuple(order), tuple(reverse), tuple(limb_mask), tuple(limb_index))
    params = cross_scan_params(inputs, d_state, dt_rank, walk, y, half_sums)
    if y.numel():
        launch_scan("cross_scan", params, x.device)
    return y


@cross_selective_scan.register_fake
def _(x: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.custom_op("posemamba::selective_scan", mutates_args=(), device_types=("cpu", "cuda"))
def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    z: Tensor | None,
    delta_softplus: bool,
    reverse: Sequence[int],
) -> Tensor:
    """The Mamba-1 scan; :func:`posemamba.mamba.selective_scan_fn` has mamba-ssm's signature.

    Shapes as :class:`posemamba.scan.operands.Operands`. Activations are float32 or float16,
    all of one type; ``A``, ``D`` and ``delta_bias`` float32, or narrower.

    Raises:
        InputError: a dtype or size the kernels do not take, tensors that do not fit each other, or
            the native library is missing.
    """
    given = Operands(u, delta, A, B, C, D, z, delta_bias, delta_softplus, reverse)
    inputs = scan_inputs("selective_scan", given)
    y = torch.empty_like(inputs.u)
    params = scan_params(inputs, y)
    if y.numel():
        launch_scan("scan", params, u.device)
    return y


@selective_scan.register_fake
def _(u: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return u.new_empty(u.shape)


def save_inputs(ctx: Context, inputs: tuple[Any, ...], output: object) -> None:
    """Keep what a backward pass reads: tensors in ``saved_tensors``, the rest in ``constants``."""
    tensors = [v if isinstance(v, Tensor) else None for v in inputs]
    ctx.save_for_backward(*tensors)
    ctx.constants = [None if isinstance(v, Tensor) else v for v in inputs]


def recomputed_gradients(
    ctx: Context,
    grads: Sequence[Tensor | None],
    function: Callable[..., Tensor | tuple[Tensor, ...]],
) -> tuple[Any, ...]:
    """Gradients through a plain scan, of the inputs that need them.

    Args:
        ctx: holds the inputs, tensors in ``saved_tensors`` and all others in ``constants``.
        grads: one for each output of ``function``, None for an output that nobody used.
    """
    tensors = ctx.saved_tensors  # asked for once: activation checkpointing gives them once
    values = [
        constant if saved is None else saved.detach().requires_grad_(ctx.needs_input_grad[i])
        for i, (saved, constant) in enumerate(zip(tensors, ctx.constants, strict=True))
    ]
    wanted = [i for i, need in enumerate(ctx.needs_input_grad) if need]
    with torch.enable_grad():
        output = function(*values)
    outputs = (output,) if isinstance(output, Tensor) else output
    used = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None]
    gradients: list[Tensor | None] = [None] * len(values)
    if not used:
        return tuple(gradients)
    found = torch.autograd.grad(
        [o for o, _ in used], [values[i] for i in wanted], [g for _, g in used], allow_unused=True
    )
    for i, gradient in zip(wanted, found, strict=True):
        if gradient is not None:  # of an input that the outputs in use do not see
            # Copied: a compiler's view of it holds where an input was a transposed tensor, too.
            gradients[i] = gradient.clone(memory_format=torch.contiguous_format)
    return taken_once(gradients, [*tensors, *grads])


def _cross_reference(*values: Any) -> Tensor:
    inputs = (*values[:7], *values[8:12])  # dt_rank is the width of dt_weight
    return reference.cross_selective_scan(*inputs, scan=chunked.selective_scan)


def _scan_reference(*values: Any) -> Tensor:
    u, delta, A, B, C, D, delta_bias, z, delta_softplus, reverse = values
    given = Operands(u, delta, A, B, C, D, z, delta_bias, delta_softplus, list(reverse))
    return chunked.selective_scan(given)


def of_inputs(
    ctx: Context,
    saved: Sequence[Any],
    grad: Tensor,
    found: Sequence[Tensor],
) -> tuple[Tensor | None, ...]:
    """A kernel's gradients of the inputs that need them, in the types of the inputs."""
    given = zip(found, saved, ctx.needs_input_grad, strict=False)
    gradients = [gradient.to(of.dtype) if need else None for gradient, of, need in given]
    rest = [None] * (len(ctx.constants) - len(gradients))
    return *taken_once(gradients, [*saved, grad]), *rest


def _cross_backward(ctx: Context, grad: Tensor) -> tuple[Any, ...]:
    if grad.device.type not in NATIVE_GRADIENTS:
        return recomputed_gradients(ctx, [grad], _cross_reference)
    saved = ctx.saved_tensors
    inputs = (*saved[:6], *ctx.constants[6:12])  # gradients sum in float32
    return of_inputs(ctx, saved, grad, cross_selective_scan_backward(grad, *inputs, False)[:6])


def _scan_backward(ctx: Context, grad: Tensor) -> tuple[Any, ...]:
    if grad.device.type not in NATIVE_GRADIENTS:
        return recomputed_gradients(ctx, [grad], _scan_reference)
    saved = ctx.saved_tensors
    found = selective_scan_backward(grad, *saved[:8], *ctx.constants[8:])
    return of_inputs(ctx, saved, grad, found)


cross_selective_scan.register_autograd(_cross_backward, setup_context=save_inputs)
selective_scan.register_autograd(_scan_backward, setup_context=save_inputs)
