"""Both ways through the chunked scan's recurrence, whatever the device, and however it is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from posemamba.scan import chunked as chunked_scan
from posemamba.scan import recurrence as recurrent_scan
from posemamba.scan import reference
from posemamba.scan.operands import Operands

BATCH, GROUPS, CHANNELS, STATE = 2, 2, 3, 4
Recurrence = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
WAYS: dict[str, Recurrence] = {
    "cpu": recurrent_scan.recurrence,
    "gpu": chunked_scan._side_by_side,
}
# float64 rounding, 2e-16, times sums of some hundred terms of order one.
TOLERANCE = 1e-11


def problem(length: int) -> list[Tensor]:
    """du, dt, A, B, C in float64."""
    torch.manual_seed(length)
    rows = GROUPS * CHANNELS
    dt = torch.rand(BATCH, rows, length, dtype=torch.float64)
    tensors = [
        torch.randn(BATCH, rows, length, dtype=torch.float64) * dt,
        dt,
        -torch.rand(rows, STATE, dtype=torch.float64) * 3,
        torch.randn(BATCH, GROUPS, STATE, length, dtype=torch.float64),
        torch.randn(BATCH, GROUPS, STATE, length, dtype=torch.float64),
    ]
    return [tensor.requires_grad_() for tensor in tensors]


def step_by_step(du: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    # The reference multiplies by dt itself; dt is never 0 here.
    y = reference.selective_scan(Operands(du / dt, dt, A, B, C))
    state = du.new_zeros(BATCH, GROUPS * CHANNELS, STATE)
    for step in range(du.shape[2]):
        b = B[..., step].repeat_interleave(CHANNELS, dim=1)
        state = torch.exp(dt[..., step, None] * A) * state + du[..., step, None] * b
    return y, state


def weighted(results: tuple[Tensor, Tensor]) -> Tensor:
    """A number that depends on every entry of both results, unlike on each."""
    flat = torch.cat([result.flatten() for result in results])
    return (flat * torch.cos(torch.arange(len(flat), dtype=flat.dtype))).sum()


def value_and_gradients(scan: Recurrence, tensors: list[Tensor]) -> list[Tensor]:
    results = scan(*tensors)
    values = [result.detach() for result in results]
    return [*values, *torch.autograd.grad(weighted(results), tensors)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("length", [1, 2, 5, 16, 17, 60])
def test_equals_the_step_by_step_scan(way: str, length: int) -> None:
    tensors = problem(length)
    expected = value_and_gradients(step_by_step, tensors)
    for found, wanted in zip(value_and_gradients(WAYS[way], tensors), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("steps", [1, 7, 30, 60, 61])
def test_blocks_of_any_size_give_the_same(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = problem(60)
    expected = value_and_gradients(recurrent_scan.recurrence, tensors)
    state_bytes = BATCH * GROUPS * CHANNELS * STATE * tensors[0].element_size()
    monkeypatch.setattr(recurrent_scan, "_BLOCK_BYTES", steps * state_bytes)
    assert recurrent_scan._block_size(tensors[0].movedim(-1, 0), tensors[2]) == min(steps, 60)
    found = value_and_gradients(recurrent_scan.recurrence, tensors)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("way", WAYS)
def test_finite_differences(way: str) -> None:
    assert torch.autograd.gradcheck(WAYS[way], problem(6))


@pytest.mark.parametrize("way", WAYS)
def test_only_what_needs_a_gradient_gets_one(way: str) -> None:
    tensors = problem(9)
    expected = value_and_gradients(WAYS[way], tensors)[4]
    for index, tensor in enumerate(tensors):
        tensor.requires_grad_(index == 2)
    (found,) = torch.autograd.grad(weighted(WAYS[way](*tensors)), [tensors[2]])
    torch.testing.assert_close(found, expected, rtol=0, atol=0)  # the same arithmetic


@pytest.mark.parametrize("way", WAYS)
def test_decays_that_vanish_leave_finite_gradients(way: str) -> None:
    torch.manual_seed(0)
    du, _, A, B, C = (tensor.detach().float() for tensor in problem(40))
    dt = torch.full_like(du, 1e4)  # exp(dt A) underflows to 0 at the first step
    tensors = [tensor.requires_grad_() for tensor in (du, dt, A * 100, B, C)]
    for tensor in value_and_gradients(WAYS[way], tensors):
        assert torch.isfinite(tensor).all()


def test_forward_keeps_no_states_of_every_step() -> None:
    """Besides its inputs, the CPU way saves one state a block."""
    tensors = problem(60)
    saved: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        recurrent_scan.recurrence(*tensors)
    every_state = BATCH * GROUPS * CHANNELS * STATE * 60
    assert max(saved) < every_state / 2


def test_a_compiler_sees_one_node_a_pass() -> None:
    """Fake kernels and gradients as ``torch.compile`` and ``torch.export`` want them."""
    du, dt, A, B, C = (tensor.detach() for tensor in problem(9))
    rates = A.reshape(GROUPS, CHANNELS, STATE).transpose(1, 2).contiguous()
    sequences = [
        tensor.unflatten(1, (GROUPS, -1)).movedim(-1, 0).contiguous() for tensor in (du, dt)
    ]
    steps = [tensor.movedim(-1, 0).contiguous() for tensor in (B, C)]
    inputs = (*sequences, rates, *steps)
    torch.library.opcheck(
        torch.ops.posemamba.recurrence.default,
        tuple(tensor.requires_grad_() for tensor in inputs),
    )


def test_threads_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    scan = recurrent_scan._Buffers.scan

    def watched(*arguments: Any) -> tuple[Tensor, Tensor]:
        seen.append(torch.get_num_threads())
        return scan(*arguments)

    monkeypatch.setattr(recurrent_scan._Buffers, "scan", watched)
    torch.set_num_threads(2)
    try:
        value_and_gradients(recurrent_scan.recurrence, problem(9))
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
