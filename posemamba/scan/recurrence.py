"""The recurrence ``h = decay h + added`` of the selective scan on a CPU, with its gradient.

A block of steps at a time, few enough that all its states stay in the cache. The forward pass keeps
the state before each block only; the backward pass recomputes the rest (Gu & Dao, "Mamba", arXiv
2312.00752, section 3.3.2). Every decay is an ``exp`` of its own step: nothing is divided by
products of decays and nothing overflows.

Time comes first and channels last: ``T`` steps of a block, ``d`` channels of a group. Both passes
are custom ops, so that a compiler sees one node each and not thousands of steps. Gradients can be
taken once, not twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from posemamba.scan.once import Context, taken_once

_SMALL_STATE = 1 << 17
"""Numbers in a state, over batch and groups, below which one thread works on it: S to batch 15."""
_BLOCK_BYTES = 1 << 20
"""Of one block's states; the fastest of 128 KiB to 1 MiB on a Zen 4 core."""


@torch.library.custom_op("posemamba::recurrence", mutates_args=(), device_types="cpu")
def _forward(
    du: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """``C . h`` (L, batch, groups, d), the last state, and the states at the blocks' starts."""
    size = _block_size(du, A)
    with _threads_that_pay(du, A):
        buffers = _Buffers(size, du, A)
        state = du.new_zeros(du.shape[1], *A.shape)  # (batch, groups, N, d)
        starts, y = [], torch.empty_like(du)
        for first in range(0, du.shape[0], size):
            starts.append(state)
            now = slice(first, first + size)
            _, states = buffers.scan(du[now], dt[now], A, B[now], state)
            # (T, batch, groups, 1, N) @ (T, batch, groups, N, d)
            y[now] = torch.matmul(C[now].unsqueeze(-2), states[1:]).squeeze(-2)
            state = states[-1].clone()
    no_steps = du.new_empty(0, *state.shape)
    return y, state, torch.stack(starts) if starts else no_steps


@_forward.register_fake
def _(du: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    blocks = -(-du.shape[0] // _block_size(du, A))
    state = du.new_empty(du.shape[1], *A.shape)
    return torch.empty_like(du), state, du.new_empty(blocks, du.shape[1], *A.shape)


@torch.library.custom_op("posemamba::recurrence_backward", mutates_args=(), device_types="cpu")
def _backward(
    dy: Tensor,
    d_state: Tensor,
    du: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    starts: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of ``du``, ``dt``, ``A``, ``B`` and ``C``, given those of the two results."""
    size = _block_size(du, A)
    with _threads_that_pay(du, A):
        buffers = _Buffers(size, du, A)
        d_du, d_dt = torch.empty_like(du), torch.empty_like(dt)
        d_B, d_C, d_A = torch.empty_like(B), torch.empty_like(C), torch.zeros_like(A)
        later = d_state.clone()  # what the steps after a block ask of its last state
        for block in reversed(range(len(starts))):
            now = slice(block * size, (block + 1) * size)
            decays, states = buffers.scan(du[now], dt[now], A, B[now], starts[block])
            d_C[now] = torch.matmul(states[1:], dy[now].unsqueeze(-1)).squeeze(-1)
            wanted = buffers.wanted[: len(decays)]  # d loss / d state: (T, batch, groups, N, d)
            torch.mul(C[now].unsqueeze(-1), dy[now].unsqueeze(-2), out=wanted)
            steps = wanted.unbind(0)
            steps[-1].add_(later)
            through = decays.unbind(0)
            for step in range(len(steps) - 2, -1, -1):
                steps[step].addcmul_(through[step + 1], steps[step + 1])
            torch.mul(through[0], steps[0], out=later)
            d_B[now] = torch.matmul(wanted, du[now].unsqueeze(-1)).squeeze(-1)
            d_du[now] = torch.matmul(B[now].unsqueeze(-2), wanted).squeeze(-2)
            # Through the decay exp(dt A): wanted * decay * the state before it.
            decays.mul_(states[:-1]).mul_(wanted)
            torch.mul(decays, A, out=wanted)
            torch.sum(wanted, -2, out=d_dt[now])
            d_A += decays.mul_(dt[now].unsqueeze(-2)).sum((0, 1))
    return d_du, d_dt, d_A, d_B, d_C


@_backward.register_fake
def _(
    dy: Tensor,
    d_state: Tensor,
    du: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    starts: Tensor,
) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(tensor) for tensor in (du, dt, A, B, C))


def _save(ctx: Context, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs, output[2])


def _gradients(
    ctx: Context,
    dy: Tensor,
    d_state: Tensor,
    _starts: Tensor,
) -> tuple[Tensor | None, ...]:
    # Of what is saved the states at the blocks' starts depend on the rest: tied through that.
    saved = ctx.saved_tensors  # asked for once: activation checkpointing gives them once
    inputs = tuple(tensor.detach() for tensor in saved)
    gradients = _backward(dy.detach().contiguous(), d_state.detach().contiguous(), *inputs)
    return taken_once(gradients, [*saved[:-1], dy, d_state])


_forward.register_autograd(_gradients, setup_context=_save)


class _Buffers:
    """Memory of one block, used for all of them: fresh memory costs more than the arithmetic."""

    def __init__(self, size: int, du: Tensor, A: Tensor) -> None:
        shape = (du.shape[1], *A.shape)  # (batch, groups, N, d)
        self._decays, self.wanted = du.new_empty(size, *shape), du.new_empty(size, *shape)
        self._states = du.new_empty(size + 1, *shape)

    def scan(
        self, du: Tensor, dt: Tensor, A: Tensor, B: Tensor, start: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decays of the block's T steps, and its T + 1 states from ``start`` on."""
        steps = len(du)
        decays, states = self._decays[:steps], self._states[: steps + 1]
        torch.mul(dt.unsqueeze(-2), A, out=decays).exp_()
        states[0] = start
        torch.mul(B.unsqueeze(-1), du.unsqueeze(-2), out=states[1:])
        rows = states.unbind(0)
        for decay, before, after in zip(decays.unbind(0), rows[:-1], rows[1:], strict=True):
            after.addcmul_(decay, before)
        return decays, states


@contextmanager
def _threads_that_pay(du: Tensor, A: Tensor) -> Iterator[None]:
    """One thread where a state is small: its blocks are done sooner than threads meet.

    On a machine busy with other work, meeting some thousand times takes a hundred times as long as
    the arithmetic.
    """
    threads = torch.get_num_threads()
    if du.shape[1] * A.numel() >= _SMALL_STATE or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _block_size(du: Tensor, A: Tensor) -> int:
    state_bytes = du.shape[1] * A.numel() * du.element_size()
    return max(1, min(len(du), _BLOCK_BYTES // max(1, state_bytes)))


def recurrence(du: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """``y = C . h`` with ``h = exp(dt A) h + du B``, from a state of zeros.

    Args:
        du, dt: (batch, groups * d, L), the step size times the input, and the step size.
        A: (groups * d, N).
        B, C: (batch, groups, N, L).

    Returns:
        (batch, groups * d, L), and the last state (batch, groups * d, N). All of one dtype,
        float32 or float64.
    """
    groups, state = B.shape[1], B.shape[2]
    rates = A.reshape(groups, -1, state).transpose(1, 2).contiguous()  # (groups, N, d)
    sequences = [
        torch.unflatten(t, 1, (groups, -1)).movedim(-1, 0).contiguous() for t in (du, dt)
    ]  # (L, batch, groups, d)
    b, c = (t.movedim(-1, 0).contiguous() for t in (B, C))  # (L, batch, groups, N)
    y, last, _ = _forward(sequences[0], sequences[1], rates, b, c)
    return y.movedim(0, -1).flatten(1, 2), last.transpose(2, 3).flatten(1, 2)
