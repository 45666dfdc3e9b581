"""The one table of scan orders."""

from __future__ import annotations

import pytest

from posemamba.errors import InputError
from posemamba.scan_order import SCAN_ORDERS
from posemamba.scan_order import get_scan_order as get


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


def test_a_walk_is_an_order_on_a_skeleton() -> None:
    walk = get("global-local").walk([0, 0, 1])
    assert walk.lists() == ([0, 1, 0, 1], [0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 1])
    assert walk.directions == 4
