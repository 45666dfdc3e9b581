"""The ablation's rows, its statistics by hand, and what it says of unfinished work."""

from __future__ import annotations

import math

import pytest

from posemamba.ablation.table import (
    FULL,
    ROWS,
    TERMS,
    AblationReport,
    Cell,
    Row,
    cells,
    summarise,
)

SMALL = (Row("scan order", "fs-ft", "fs-ft"), Row("scan order", FULL), Row("loss", "all terms"))
SETTINGS = {"steps": 1000, "seeds": 3, "depth": 2, "d_model": 8, "frames": 9, "batch": 4,
            "val": {"motions": "m.npz"}}  # fmt: skip


def figures(values: dict[str, list[float]]) -> dict[str, dict[str, dict[str, float]]]:
    return {
        Cell(order, (), seed).key: {
            "motions": {"mpjpe_mm": value, "p_mpjpe_mm": value / 2, "mpjve_mm": value / 10}
        }
        for order, list_ in values.items()
        for seed, value in enumerate(list_)
    }


def report(values: dict[str, list[float]]) -> AblationReport:
    return AblationReport(SETTINGS, SMALL, figures(values), ({"torch": "2"},))


def test_rows_are_those_of_the_papers_table_and_every_loss_term() -> None:
    orders = {row.scan_order for row in ROWS if row.group == "scan order"}
    assert orders == {"global-local", "bidirectional", "fs-ft", "fs-bt", "bs-ft", "bs-bt"}
    assert [row.off for row in ROWS if row.group == "loss"] == [
        tuple(TERMS), *((term,) for term in TERMS), ()
    ]  # fmt: skip
    # The full model is two rows and one run: six orders and four losses, three seeds.
    wanted = cells(ROWS, 3)
    assert len(wanted) == len({cell.key for cell in wanted}) == 30
    assert [cell.seed for cell in wanted] == [0] * 10 + [1] * 10 + [2] * 10


def test_mean_spread_and_paired_difference_by_hand() -> None:
    runs = figures({"fs-ft": [12.0, 15.0, 18.0], FULL: [10.0, 14.0, 12.0]})
    summary = summarise(SMALL, 3, runs)["fs-ft"]["motions"]["mpjpe_mm"]
    assert summary.values == (12.0, 15.0, 18.0)
    assert summary.mean == 15.0
    assert summary.spread == pytest.approx(3.0)
    assert summary.difference == pytest.approx(3.0)  # 2, 1, 6
    assert summary.difference_spread == pytest.approx(math.sqrt(7.0))
    full = summarise(SMALL, 3, runs)[FULL]["motions"]["mpjpe_mm"]
    assert full.difference is None
    assert full.difference_spread is None


def test_differences_pair_the_same_seeds_only() -> None:
    runs = figures({"fs-ft": [12.0, 15.0], FULL: [10.0]})
    summary = summarise(SMALL, 3, runs)["fs-ft"]["motions"]["mpjpe_mm"]
    assert summary.difference == 2.0
    assert summary.difference_spread is None


def test_markdown_shows_spread_differences_and_what_is_missing() -> None:
    text = report({"fs-ft": [12.0, 15.0, 18.0], FULL: [10.0, 14.0, 12.0]}).markdown()
    assert "| scan order: fs-ft | 15.00 ± 3.00 | 7.50 ± 1.50 | 1.50 ± 0.30 | +3.00 ± 2.65 |" in text
    assert "| loss: all terms | 12.00 ± 2.00 | 6.00 ± 1.00 | 1.20 ± 0.20 | - |" in text
    assert "1,000 steps of 4 clips" in text
    assert "Run with torch 2." in text
    assert "NOT FINISHED" not in text
    unfinished = report({FULL: [10.0]})
    assert "NOT FINISHED: 5 runs missing" in unfinished.markdown()
    assert len(unfinished.missing) == 5
    assert "fs-ft |" not in unfinished.markdown()
    assert "| loss: all terms | 10.00 | 5.00 | 1.00 | - |" in unfinished.markdown()


def test_json_holds_every_run() -> None:
    content = report({"fs-ft": [12.0], FULL: [10.0]}).to_dict()
    assert content["runs"]["fs-ft.off-none.seed0"]["motions"]["mpjpe_mm"] == 12.0
    assert content["summary"]["fs-ft"]["motions"]["mpjpe_mm"]["difference"] == 2.0
    assert content["settings"]["steps"] == 1000
