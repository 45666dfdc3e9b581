"""The one table of scan orders."""

from __future__ import annotations

import pytest

from posemamba.errors import InputError
from posemamba.scan_order import EACH_ROW, SCAN_ORDERS, own_scan_order
from posemamba.scan_order import get_scan_order as get

PAPERS = ("global-local", "bidirectional", "fs-ft", "fs-bt", "bs-ft", "bs-bt")


def test_only_the_paper_model_reads_limbs_and_only_bidirectional_ones_go_back() -> None:
    for name in PAPERS:
        entry = SCAN_ORDERS[name]
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


@pytest.mark.parametrize(
    ("official", "ours"),
    [
        ("v2_plus_poselimbs", "global-local"),
        ("v2", "bidirectional"),
        ("v3", "bidirectional"),
        ("v01", "bidirectional"),
        ("V2_no32", "bidirectional"),
        ("v2_plus_poselimbs_no32", "global-local"),
        ("v2_bfs", "bfs"),
        ("v2_bfs_first", "bfs-first"),
        ("v2_fused_bfs", "fused-bfs"),
        ("selfsum_poselimbs", "selfsum"),
        ("v31d", "v31d"),
    ],
)
def test_official_names(official: str, ours: str) -> None:
    assert get(official).name == ours


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("v2_nozact", "no SiLU on the gate"),
        ("v3_oact", "a GELU behind out_norm"),
        ("v2_plus_poselimbs_ondwconv3", "a convolution behind out_norm"),
        ("v32dc", "cannot run"),
        ("v04", "Triton"),
        ("factorized", "GraphConditionedPoseMamba"),
    ],
)
def test_known_scans_that_are_not_supported_are_named(name: str, why: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' .*{why}.*supported"):
        get(name)


# --- an order of one's own ----------------------------------------------------------------------

F, T = {"order": "frame-major"}, {"order": "joint-major"}
BACK = {"reversed": True}


def test_own_tables_say_what_the_table_says() -> None:
    own = own_scan_order({"directions": [F, T, F | BACK, T | BACK]})
    assert own.walks(range(17)) == get("bidirectional").walks(range(17))
    joints = {"joints": list(SCAN_ORDERS["bfs"].joints or ())}
    gated = [each | joints | {"gated": True} for each in (F, T, F | BACK, T | BACK)]
    limbs = {"limbs": True}
    own = own_scan_order({"directions": [F | limbs, T, F | BACK | limbs, T | BACK, *gated]})
    assert own.walks(range(17)) == get("fused-bfs").walks(range(17))
    assert get(own.name) == own  # the name is the whole table


def test_limbs_count_along_the_joints_of_a_walk() -> None:
    joints = [16, *range(16)]
    own = own_scan_order({"directions": [F | {"joints": joints, "limbs": True}],
                          "limb_index": [0, *range(16)]})  # fmt: skip
    walk = own.walk(range(17))
    for place, neighbour in enumerate(walk.limb_index):
        assert joints[neighbour] == [0, *range(16)][joints[place]]


def test_repeats_omissions_and_resets_are_no_grid() -> None:
    rows = [F | {"visits": [3, 2, 3], "reset": True}, F | {"reset": 3}, T]
    own = own_scan_order({"directions": rows})
    tour, pieces, plain = own.walks(range(17))
    assert (tour.joints, tour.reset, tour.on_grid) == ((3, 2, 3), EACH_ROW, False)
    assert (pieces.joints, pieces.reset, pieces.on_grid) == (None, 3, False)
    assert plain.on_grid
    assert not own.is_one_walk
    assert get(own.name) == own


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (None, "'directions' must be a list"),
        ({"directions": {}}, "'directions' must be a list"),
        ({"directions": []}, "0 directions, not 1 to 8"),
        ({"directions": [F] * 9}, "9 directions, not 1 to 8"),
        ({"directions": [F], "limbs": 1}, "has 'limbs'"),
        ({"directions": ["frame-major"]}, r"directions\[0\] is frame-major: it must be a mapping"),
        ({"directions": [F, {"order": "spiral"}]}, r"directions\[1\]: order is spiral"),
        ({"directions": [{}]}, "order is None"),
        ({"directions": [F | {"reverse": True}]}, "did you mean 'reversed'"),
        ({"directions": [F | {"limbs": 1}]}, "limbs is 1: use true or false"),
        ({"directions": [F | {"joints": [0, 1]}]}, "17 joint numbers from 0 to 16"),
        ({"directions": [F | {"joints": [0] * 17}]}, "every joint once"),
        ({"directions": [F | {"joints": [True] * 17}]}, "17 joint numbers"),
        ({"directions": [F | {"visits": []}]}, "visits must be 1 to 272 joint numbers"),
        ({"directions": [F | {"visits": [17]}]}, "numbers from 0 to 16"),
        ({"directions": [F | {"visits": [0], "joints": list(range(17))}]}, "without joints"),
        ({"directions": [F | {"visits": [0], "put_back": False}]}, "put_back true"),
        ({"directions": [F | {"reset": 0}]}, "reset is 0: use true, false or a number"),
        ({"directions": [F | {"reset": "frame"}]}, "reset is frame"),
        ({"directions": [F], "limb_index": [17] * 17}, "limb_index must be 17 joint numbers"),
    ],
)
def test_bad_tables_are_one_line(table: object, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        own_scan_order(table)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_no_table_is_refused() -> None:
    with pytest.raises(InputError, match="no JSON"):
        get("{")
