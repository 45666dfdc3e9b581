"""The progress bar: on a terminal one line that goes away, elsewhere nothing."""

from __future__ import annotations

import io

import pytest

from posemamba_runtime.cli import progress
from posemamba_runtime.cli.progress import Bar


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
