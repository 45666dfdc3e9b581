"""What the program `drive` printed of a model it lifted through stand-ins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runtime_api import SUCCESS


@dataclass
class Driven:
    code: int
    sentence: str
    info: dict[str, Any] | None
    difference: float
    held: int


Drive = Callable[..., Driven]
"""The fixture `drive`: model, back end, words, and what the stand-ins shall do."""


def assert_lifted(result: Driven) -> None:
    assert (result.code, result.sentence) == (SUCCESS, "")
    assert result.difference == 0  # the stand-in network in the same process
    assert result.held == 0


def assert_refused(result: Driven, code: int, *parts: str) -> None:
    assert result.code == code, result
    for part in parts:
        assert part in result.sentence, result.sentence
    assert ":" in result.sentence
    assert result.held == 0, "something was not given back after the failure"
