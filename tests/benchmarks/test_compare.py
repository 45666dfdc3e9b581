"""The comparison's processes and its page, with made-up rows: no GPU is here."""

from __future__ import annotations

import json
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

from benchmarks.compare import run, table
from benchmarks.compare.cells import COMPILED, FLOW, MOTIONBERT, ORT, SUMS, TORCH, Cell, plan

REPORTS = ROOT / "reports"
ROW = {"ms": 2.0, "best_ms": 1.9, "calls": 7, "gpu_ms": 1.96, "beyond_weights_mib": 500}


def serve(connection: Connection, _models: Path, _log: Path, _cores: set[int] | None) -> None:
    """A library of which some networks do not come back."""
    answered = 0
    while True:
        question, cell = connection.recv()
        if question == "time" and cell.network == "dies":
            os._exit(3)
        if question == "time" and cell.network == "hangs":
            time.sleep(60)
        answered += 1
        failed = cell.network == "fails"
        connection.send(("failed", "why") if failed else ("row", ROW | {"calls": answered}))


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own imports this file again, by its name below the repository."""
    monkeypatch.syspath_prepend(ROOT)


def ran(cells: list[Cell], to: Path, budget: float = 100.0) -> dict[str, Any]:
    assert run.run_all(cells, run.Places(to, to), budget, None, serve) == 0
    report: dict[str, Any] = json.loads((to / "compare.json").read_text(encoding="utf-8"))
    assert (to / "compare.md").read_text(encoding="utf-8") == table.markdown(report)
    return report


@pytest.mark.parametrize(
    ("network", "why", "answered"),
    [
        ("fails", "why", 4),
        ("dies", "its process ended with 3", 1),
        ("hangs", "no answer in time", 1),
    ],
)
def test_a_lost_row_costs_no_other(
    network: str, why: str, answered: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the process is lost, the next row's is a new one, whose first answer it is."""
    monkeypatch.setattr(run, "ROW_SECONDS", 2.0)
    cells = [Cell("L", 1, TORCH), Cell(network, 8, TORCH), Cell("L", 32, TORCH)]
    report = ran(cells, tmp_path)
    assert [(row["batch"], row["calls"]) for row in report["rows"]] == [(1, 2), (32, answered)]
    (lost,) = report["skipped"]
    assert lost["why"].startswith(why)


def test_libraries_do_not_share_a_process(tmp_path: Path) -> None:
    cells = [Cell("L", 1, TORCH), Cell("dies", 1, ORT), Cell("L", 8, TORCH)]
    assert [row["calls"] for row in ran(cells, tmp_path)["rows"]] == [2, 3]


def test_a_spent_budget_still_leaves_a_page(tmp_path: Path) -> None:
    report = ran([Cell("L", 1, TORCH)], tmp_path, budget=-1.0)
    assert report["rows"] == []
    assert "- L x1, PyTorch: -1 seconds were over" in (tmp_path / "compare.md").read_text()


def test_every_row_is_planned_once_and_what_decides_comes_first() -> None:
    cells = plan()
    assert len(set(cells)) == len(cells)
    first = [(cell.network, cell.way) for cell in cells[:12]]
    assert first == [
        (network, way)
        for network, way in (("L", TORCH), ("L", ORT), (MOTIONBERT, COMPILED), ("L", FLOW))
        for _ in range(3)
    ]
    assert {goal.cell for goal in table.GOALS} <= set(cells)


def test_the_page_holds_each_row_against_what_was_asked() -> None:
    def row(cell: Cell, **other: float) -> dict[str, Any]:
        return vars(cell) | ROW | other

    rows = [
        row(Cell("L", 1, TORCH), gpu_ms=2.6, ms=2.65, drift_mm=1.234),
        row(Cell("L", 1, TORCH, SUMS), gpu_ms=2.4, ms=2.45),
        row(Cell("L", 1, ORT), ms=2.703),
        row(Cell(MOTIONBERT, 1, COMPILED), gpu_ms=1.85, ms=1.9),
        row(Cell("L", 32, TORCH), gpu_ms=44.0, ms=44.1, beyond_weights_mib=700),
    ]
    skipped = [vars(Cell("L", 1, TORCH, frames=27)) | {"why": "no answer"}]
    facts = {"date": "today", "torch": "2"}
    text = table.markdown({"environment": facts, "rows": rows, "skipped": skipped})
    for line in (
        "| L | 243 | 1 | PyTorch | 2.650 | 2.600 | 2.650 |  | 500 | 1.23 |",
        "| L, fp16-sums | 243 | 1 | PyTorch | 2.450 | 2.400 | 2.450 |  | 500 |  |",
        "| L | 243 | 1 | ONNX Runtime | 2.703 | 1.960 | 2.703 | +2.0 % | 500 |  |",
        "| L x1, PyTorch, ms | 2.500 | 2.600 | no |",
        "| L, fp16-sums x1, PyTorch, ms | 2.500 | 2.400 | |",
        "| L x32, PyTorch, ms | 1.380 | 1.375 | |",
        "| L x32, PyTorch, MiB | 650 | 700 | no |",
        "| L x1, ms, MotionBERT's compiled | 1.850 | 2.600 | no |",
        "| L x1, ONNX Runtime, % beside PyTorch | +3.0 | +2.0 | |",
        "| S x1, PyTorch, ms | 0.820 | not measured | |",
        "- L, 27 frames x1, PyTorch: no answer",
    ):
        assert line in text.splitlines(), line


def test_the_committed_page_is_of_its_data() -> None:
    report = json.loads((REPORTS / "2026-12-01-gpu-compare.json").read_text(encoding="utf-8"))
    page = (REPORTS / "2026-12-01-gpu-compare.md").read_text(encoding="utf-8")
    assert table.markdown(report) == page
