"""The prediction for Orin: its committed report, what enters, and how machine code is counted."""

from __future__ import annotations

import pytest

from benchmarks.block import issue_slots
from benchmarks.block import predict as predicted
from pmexport.bench.predict import CALIBRATED, DEVICES, Shape

LOOP = """
		Function : void outer<1>(int)
        /*0000*/                   MOV R1, c[0x0][0x28] ;              /* 0x00 */
                                                                       /* 0x11 */
        /*0010*/                   MUFU.EX2 R2, R3 ;                   /* 0x00 */
        /*0020*/                   FFMA R2, R3, R4, R5 ;               /* 0x00 */
        /*0030*/               @P0 BRA `(.L_1) 0x10 ;                  /* 0x00 */
        /*0040*/                   FADD R2, R3, R4 ;                   /* 0x00 */
        /*0050*/               @P1 BRA 0x0 ;                           /* 0x00 */
        /*0060*/                   NOP ;                               /* 0x00 */
		Function : void outer<1>(int)
        /*0000*/                   EXIT ;                              /* 0x00 */
"""


def test_loops_of_a_listing() -> None:
    """An inner loop of three with an exponential, in one of six; of two architectures the first."""
    (body,) = issue_slots.read_code(LOOP).values()
    assert len(body) == 7
    assert sorted(issue_slots.loops(body)) == [(3, 1, True), (6, 1, False)]
    assert issue_slots.instructions(body) == 6  # NOP pads


def test_a_scan_is_bound_by_issue_or_by_exponentials() -> None:
    """64 exponentials in a loop of 64 + n instructions, four warps of 16 a step."""
    design = issue_slots.Design("scan", 128, 4, 16, converters=False)

    def clocks(others: int) -> float:
        lines = ["MUFU.EX2"] * 64 + ["FFMA"] * (others - 1) + ["BRA 0x0"]
        body = [(16 * i, text) for i, text in enumerate(lines)]
        return issue_slots.clocks_of_step(design, body)

    assert clocks(64) == 128  # 4 warps * 16 * 8 clocks over 4 schedulers
    assert clocks(64 * 15) == 4 * 16 * 16 / 4  # 16 instructions an exponential


def test_the_committed_report_is_what_the_program_says() -> None:
    assert predicted.REPORT.read_text(encoding="utf-8") == predicted.report()
    assert predicted.report().count("redicted") > 3


def test_what_is_measured_is_what_the_calibration_has() -> None:
    """On the H200 the parts of a block give back the forwards they were not made from."""
    for error in predicted.parts_on_the_h200().values():
        assert abs(error) < 0.02
    for key, (d_inner, batch, us) in predicted.MEASURED.items():
        shape = Shape(batch, predicted.FRAMES, d_inner)
        again = predicted.bound_us(key, shape, "sm_90", CALIBRATED) * predicted.beyond(key)
        assert again == pytest.approx(us)


@pytest.mark.parametrize("d_inner", predicted.WIDTHS)
def test_a_prediction_lies_in_its_range_and_above_what_the_data_sheet_allows(d_inner: int) -> None:
    orin = DEVICES["orin-agx"]
    for frames in predicted.LENGTHS:
        for batch in predicted.BATCHES:
            shape = Shape(batch, frames, d_inner)
            whole = predicted.block(shape)["block"]
            assert whole.least <= whole.us <= whole.most
            exponentials = shape.positions * 4 * d_inner * 17  # a step's decays and softplus
            assert whole.least > exponentials / (16 * orin.multiprocessors * orin.clock_ghz * 1e3)


def test_it_agrees_with_the_fit_within_half() -> None:
    """Two ways from one set of measurements: the worst row is short windows of S (1.43)."""
    ratios = [float(row.split("|")[-2]) for row in predicted.network_table()[2:]]
    assert len(ratios) == 24
    assert min(ratios) > 0.85
    assert max(ratios) < 1.5
