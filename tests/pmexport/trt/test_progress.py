"""The bar of TensorRT's phases: on a terminal the innermost one, into a pipe nothing."""

from __future__ import annotations

import io
import sys

import pytest

from pmexport.trt.progress import PhaseBar

EVENTS = (
    {"event": "version", "version": "1"},
    {"event": "phase", "name": "Building engine", "steps": 2},
    {"event": "phase", "name": "Timing tactics", "steps": 40},
    {"event": "step", "name": "Timing tactics", "step": 30},
    {"event": "step", "name": "Building engine", "step": 1},  # of an outer phase: not shown
    {"event": "phase_end", "name": "Timing tactics"},
    {"event": "phase_end", "name": "Building engine"},
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with PhaseBar() as bar:
        for event in EVENTS:
            bar(event)
        return stream.getvalue()


def test_innermost_phase_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = shown(Terminal(), monkeypatch).split("\r")
    assert any(frame.startswith("Building engine") and "0/2" in frame for frame in frames)
    assert any(frame.startswith("Timing tactics") and "30/40" in frame for frame in frames)
    assert not any(frame.startswith("Timing tactics") and "1/40" in frame for frame in frames)
    assert frames[-1].strip() == ""  # it is gone before anything else is printed


def test_silent_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(io.StringIO(), monkeypatch) == ""
