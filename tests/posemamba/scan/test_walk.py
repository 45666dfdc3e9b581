"""Visiting orders, against positions worked out by hand."""

from __future__ import annotations

import pytest
import torch

from posemamba.scan.walk import arrange, restore, visiting_positions
from posemamba.scan_order import Order

FRAMES, JOINTS = 2, 3  # positions: frame 0 is 0 1 2, frame 1 is 3 4 5


@pytest.mark.parametrize(
    ("order", "reverse", "expected"),
    [
        (Order.FRAME_MAJOR, 0, [0, 1, 2, 3, 4, 5]),
        (Order.JOINT_MAJOR, 0, [0, 3, 1, 4, 2, 5]),
        (Order.FRAME_MAJOR_FLIPPED, 0, [2, 1, 0, 5, 4, 3]),
        (Order.JOINT_MAJOR_FLIPPED, 0, [3, 0, 4, 1, 5, 2]),
        (Order.FRAME_MAJOR, 1, [5, 4, 3, 2, 1, 0]),
        (Order.JOINT_MAJOR, 1, [5, 2, 4, 1, 3, 0]),
    ],
)
def test_visiting_positions(order: Order, reverse: int, expected: list[int]) -> None:
    assert visiting_positions(order, reverse, FRAMES, JOINTS).tolist() == expected


@pytest.mark.parametrize("order", list(Order))
def test_restore_undoes_arrange(order: Order) -> None:
    grid = torch.randn(2, FRAMES, JOINTS, 4)
    assert torch.equal(restore(arrange(grid, order), order, FRAMES, JOINTS), grid)
