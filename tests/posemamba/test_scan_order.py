"""The one table of scan orders, against positions worked out by hand."""

from __future__ import annotations

import pytest
import torch

from posemamba.errors import InputError
from posemamba.scan_order import SCAN_ORDERS, Order, arrange, restore, visiting_positions
from posemamba.scan_order import get_scan_order as get

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


def test_only_the_paper_model_reads_limbs_and_only_bidirectional_ones_go_back() -> None:
    assert len(SCAN_ORDERS) == 6
    for name, entry in SCAN_ORDERS.items():
        assert entry.directions == 4
        assert any(entry.limb_mask) == (name == "global-local")
        assert any(entry.reverse) == (name in {"global-local", "bidirectional"})


def test_names_are_found_in_any_spelling_and_unknown_ones_are_refused() -> None:
    assert get("FS_BT") is SCAN_ORDERS["fs-bt"]
    with pytest.raises(InputError, match=r"'zigzag'.*global-local"):
        get("zigzag")
