"""``block`` without a GPU: it is the two ops it joins, and PyTorch infers what it gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from posemamba.native import fused_ops, packing

D, RANK, STATES, DIRECTIONS = 64, 4, 16, 4
BATCH, FRAMES, JOINTS = 2, 3, 5


def draw(*shape: int, scale: float = 1.0) -> Tensor:
    return torch.randn(shape) * scale


def packed(outputs: int, inputs: int) -> Tensor:
    return packing.pack_weight(draw(outputs, inputs, scale=inputs**-0.5))


def arguments(*, head: bool) -> tuple[Tensor, Tensor, list[Tensor], list[object]]:
    """xz, residual, the convolution's weights, and what ``block`` and ``block_tail`` share."""
    torch.manual_seed(0)
    inner = 2 * D
    scan = [
        draw(DIRECTIONS, inner, RANK),
        draw(DIRECTIONS, inner) - 3,
        -torch.rand(DIRECTIONS, inner, STATES),
        draw(DIRECTIONS, inner),
    ]
    following = [draw(3, D), draw(3)] if head else [packed(4 * D, D)]
    shared: list[object] = [
        scan,
        draw(17 * D, scale=0.3),
        [packed(D, inner), packed(inner, D), packed(D, inner)],
        following,
        draw(FRAMES, D),
        (1e-5, 1e-5, 1e-5, 1e-5),
        STATES,
        RANK,
        (0, 1, 0, 1),
        (0, 0, 1, 1),
        (1, 0, 1, 0),
        (0, 0, 1, 2, 3),
    ]
    columns = DIRECTIONS * (RANK + 2 * STATES)
    conv = [draw(9, inner, scale=0.3), draw(inner), packed(columns, inner)]
    grid = (BATCH, FRAMES, JOINTS)
    return draw(*grid, 4 * D).half(), draw(*grid, D), conv, shared


@pytest.mark.parametrize("head", [False, True])
def test_block_is_its_two_ops(head: bool) -> None:
    xz, residual, conv, shared = arguments(head=head)
    u, x_dbl = fused_ops.conv_proj(xz[..., : 2 * D], *conv)
    expected = fused_ops.block_tail(u, x_dbl, xz[..., 2 * D :], residual, *shared)
    found = fused_ops.block(xz, residual, conv, *shared)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.isfinite(ours).all()
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("head", [False, True])
def test_what_is_inferred_of_a_block_is_what_it_gives(head: bool) -> None:
    xz, residual, conv, shared = arguments(head=head)
    made = fused_ops.block(xz, residual, conv, *shared)
    with FakeTensorMode() as mode:

        def fake(value: object) -> object:
            if isinstance(value, Tensor):
                return mode.from_tensor(value)
            return [fake(v) for v in value] if isinstance(value, list) else value

        inferred = fused_ops.block(*(fake(value) for value in (xz, residual, conv, *shared)))
    for real, thought in zip(made, inferred, strict=True):
        assert (real.shape, real.dtype) == (thought.shape, thought.dtype)
