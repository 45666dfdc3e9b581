"""The progress bar: on a terminal one line that goes away, elsewhere nothing."""

from __future__ import annotations

import io

import pytest

from posemamba_runtime.cli import progress
from posemamba_runtime.cli.progress import Bar
from posemamba_runtime.cli.summary import speed


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_written_to_a_file() -> None:
    stream = io.StringIO()
    with Bar("Lifting", stream) as bar:
        for done in range(100):
            bar(done, 100)
    assert stream.getvalue() == ""


def test_a_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS", 0.0)
    stream = _Terminal()
    with Bar("Lifting", stream) as bar:
        bar(50, 200)
    text = stream.getvalue()
    assert "\n" not in text
    assert "25%" in text
    assert text.endswith("\r\x1b[2K")


def test_it_is_drawn_ten_times_a_second_at_most() -> None:
    stream = _Terminal()
    with Bar("Lifting", stream) as bar:
        for done in range(10_000):
            bar(done, 10_000)
    assert stream.getvalue().count("Lifting") < 30


@pytest.mark.parametrize(
    ("poses", "seconds", "told"),
    [(40, 88.5, "0.45"), (243, 26.0, "9.3"), (24_000, 10.0, "2,400"), (0, 0.0, "0")],
)
def test_a_slow_network_has_a_speed_too(poses: int, seconds: float, told: str) -> None:
    assert speed(poses, seconds) == f"{told} a second"
