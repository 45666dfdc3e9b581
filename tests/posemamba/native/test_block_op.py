"""``block`` without a GPU: it is the two ops it joins, in place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from posemamba.errors import InputError
from posemamba.native import fused_ops, packing, whole_block
from posemamba.native.structs import BlockTailParams
from posemamba.scan_order import Walk

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


def run(
    xz: Tensor, stream: Tensor, conv: list[Tensor], shared: list[object], *, head: bool
) -> tuple[Tensor, Tensor]:
    """``block`` on copies: its stream, and the next xz or the poses."""
    xz, stream = xz.clone(), stream.clone()
    poses_3d = stream.new_full((*stream.shape[:-1], 3), torch.nan) if head else None
    whole_block.block(xz, stream, poses_3d, conv, *shared)
    return stream, xz if poses_3d is None else poses_3d


@pytest.mark.parametrize("head", [False, True])
def test_block_is_its_two_ops(head: bool) -> None:
    xz, residual, conv, shared = arguments(head=head)
    u, x_dbl = fused_ops.conv_proj(xz[..., : 2 * D], *conv)
    expected = fused_ops.block_tail(u, x_dbl, xz[..., 2 * D :], residual, *shared)
    found = run(xz, residual, conv, shared, head=head)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.isfinite(ours).all()
        assert torch.equal(ours, theirs)


def test_xz_stays_as_it_is_before_the_head() -> None:
    xz, stream, conv, shared = arguments(head=True)
    before = xz.clone()
    whole_block.block(xz, stream, torch.empty(*stream.shape[:-1], 3), conv, *shared)
    assert torch.equal(xz, before)


@pytest.mark.parametrize("half_sums", [False, True])
def test_half_sums_reach_the_launcher(half_sums: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU; here the last call before it is watched."""
    told = []

    def launch(name: str, _conv: object, _device: object, _limits: str, *middle: int) -> None:
        assert name == "block"
        told.append(BlockTailParams.from_address(middle[0]).scan.half_sums)

    monkeypatch.setattr(whole_block, "launch_cuda", launch)
    monkeypatch.setattr(whole_block, "cuda_workspace", lambda *_: torch.empty(1))
    xz, stream, conv, shared = arguments(head=False)
    walk = Walk(*shared[8:])  # type: ignore[arg-type]
    tail = fused_ops.TailWeights(*shared[1:6])  # type: ignore[arg-type]
    given = (conv, shared[0], tail, STATES, RANK, walk, half_sums)
    whole_block.launch_block(xz, stream, stream, xz, *given)  # type: ignore[arg-type]
    assert told == [int(half_sums)]


@pytest.mark.parametrize("head", [False, True])
def test_poses_without_a_head_and_a_head_without_poses_are_refused(head: bool) -> None:
    xz, stream, conv, shared = arguments(head=head)
    poses_3d = None if head else torch.empty(*stream.shape[:-1], 3)
    with pytest.raises(InputError, match="poses_3d goes with the head"):
        whole_block.block(xz, stream, poses_3d, conv, *shared)


@pytest.mark.parametrize("head", [False, True])
def test_block_keeps_pytorchs_rules_of_an_op(head: bool) -> None:
    """Its schema says what it changes, and it is traced without being run."""
    xz, stream, conv, shared = arguments(head=head)
    poses_3d = torch.empty(*stream.shape[:-1], 3) if head else None
    given = (xz, stream, poses_3d, conv, *shared)
    torch.library.opcheck(
        torch.ops.posemamba.block.default, given, test_utils=("test_schema", "test_faketensor")
    )
