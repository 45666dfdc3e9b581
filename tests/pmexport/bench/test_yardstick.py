"""The machine's own pace, on a clock that passes only when something is done."""

from __future__ import annotations

import pytest

from pmexport.bench.yardstick import SHARE, Yardstick, small_product


class Machine:
    """Seconds pass in calls and pieces, longer while somebody else has half of the core."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slower = 1.0
        self.pieces = 0

    def clock(self) -> float:
        return self.now

    def call(self, seconds: float) -> None:
        self.now += self.slower * seconds

    def piece(self) -> None:
        self.pieces += 1
        self.now += self.slower * 60e-6


@pytest.mark.parametrize("call_s", [0.5, 2e-3, 60e-6])
def test_it_takes_a_small_share_of_any_measurement(call_s: float) -> None:
    machine = Machine()
    yardstick = Yardstick(machine.clock, machine.piece)
    while machine.now < 2.0:
        machine.call(call_s)
        yardstick()
    assert machine.pieces * 60e-6 == pytest.approx(SHARE * machine.now, rel=0.02)
    assert yardstick.best_ms == pytest.approx(0.06)


def test_the_fastest_piece_counts_as_the_fastest_call_does() -> None:
    machine = Machine()
    yardstick = Yardstick(machine.clock, machine.piece)
    assert yardstick.best_ms is None
    for machine.slower in (1.5, 1.2, 1.5):
        machine.call(0.1)
        yardstick()
    assert yardstick.best_ms == pytest.approx(1.2 * 0.06)


def test_every_measurement_has_one_however_short() -> None:
    machine = Machine()
    yardstick = Yardstick(machine.clock, machine.piece)
    yardstick()
    assert machine.pieces == 1


def test_the_piece_is_work() -> None:
    yardstick = Yardstick(work=small_product)
    for _ in range(20):
        yardstick()
    assert yardstick.best_ms is not None
    # 262,144 multiplications and additions: no core does a thousand in a nanosecond.
    assert yardstick.best_ms > 262_144 / 1e3 / 1e6
