"""The tables: what is published, what was measured, and dashes for the rest."""

from __future__ import annotations

import json

from posemamba.model.counts import count_table
from posemamba.paper.tables import Measured, PaperTables

COUNTS = tuple(count_table())


def cells(text: str, title: str) -> dict[str, list[str]]:
    """Rows below a title of the Markdown form, by their first cell."""
    block = text.split(title)[1].split("\n\n")[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
    return {row[0]: row[1:] for row in rows[2:]}


def test_nothing_measured_is_dashes() -> None:
    text = PaperTables(243, COUNTS).markdown()
    errors = cells(text, "Human3.6M, mm")
    assert errors["S"] == ["41.8", "-", "-", "20.0", "-"]
    assert errors["L"] == ["38.1", "-", "-", "15.6", "-"]
    assert errors["X"] == ["-"] * 5
    assert cells(text, "MPI-INF-3DHP, ground")["B"] == ["-"] * 3
    assert cells(text, "Sizes")["L"][0] == "9,450,499"


def test_measured_rows_stand_beside_the_published_ones() -> None:
    measured = (
        Measured("L", "mine.pth", h36m_p1=38.26, h36m_p2=32.1),
        Measured("L", "other.pth", mpi_mpjpe=15.0, mpi_pck=98.5, mpi_auc=84.2),
        Measured("custom", "odd.pth", h36m_p1=50.0, h36m_p1_truth=30.0),
    )
    tables = PaperTables(243, COUNTS, measured)
    errors = cells(tables.markdown(), "Human3.6M, mm")
    assert errors["L, mine.pth"] == ["38.1", "38.3", "32.1", "15.6", "-"]
    assert errors["L, other.pth"] == ["38.1", "-", "-", "15.6", "-"]
    assert errors["odd.pth"] == ["-", "50.0", "-", "-", "30.0"]
    assert "L" not in errors
    assert cells(tables.markdown(), "MPI-INF-3DHP, ground")["L, other.pth"] == [
        "15.0",
        "98.5",
        "84.2",
    ]


def test_text_and_json_hold_the_same_figures() -> None:
    tables = PaperTables(81, tuple(count_table(81)), (Measured("S", "s.pth", h36m_p1=42.5),))
    report = json.loads(json.dumps(tables.to_dict()))
    row = report["counts"]["rows"][0]
    assert row["variant"] == "S"
    assert row["macs"]["total"] == sum(row["macs"][part] for part in
                                       ("linear_conv", "projections", "scan"))  # fmt: skip
    assert report["published_h36m_mpjpe_mm"]["rows"]["L"] == {
        "detected": 38.1,
        "ground_truth": 15.6,
    }
    assert report["measured"][0]["h36m_p1"] == 42.5
    assert report["measured"][0]["h36m_p2"] is None
    text = tables.text()
    for figure in ("42.5", "1,470,211", f"{row['macs']['total'] / 1e9:.2f}", "one clip of 81"):
        assert figure in text
