"""The report of training on the CPU is of its data, and a block keeps no K copies."""

from __future__ import annotations

import json

from places import ROOT

from benchmarks.training import cpu

REPORT = ROOT / "reports" / "2026-11-30-training-cpu.json"


def test_the_page_is_of_its_data() -> None:
    record = json.loads(REPORT.read_text(encoding="utf-8"))
    page = REPORT.with_suffix(".md").read_text(encoding="utf-8")
    assert cpu.report(record) == page


def test_a_block_keeps_no_copy_per_direction() -> None:
    """By hand: five tensors of d = 64, four of 2d (before and after the convolution's SiLU, the
    scan's output, the MLP's hidden), what in_proj gives (4d) and x_dbl (144) make 1,232 numbers a
    position; one tensor of 2d per direction would be 512 more."""
    case = cpu.Case("S", 27, 1, "fused")
    blocks, positions = 20, 27 * 17
    numbers = case.kept_bytes() / 4 / blocks / positions
    assert 1200 < numbers < 1350


def test_both_scans_take_the_same_steps() -> None:
    row = cpu.measure("S", 2, 1, rounds=1)
    assert row["kept_mib"]["fused"] < row["kept_mib"]["chunked"]
    assert all(len(seconds) == 1 for seconds in row["seconds"].values())
