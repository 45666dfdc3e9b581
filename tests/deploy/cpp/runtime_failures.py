"""What every failure has to be: its code, and one sentence that names the mistake and a fix."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from runtime_api import RuntimeFailure


def assert_sentence(failure: RuntimeFailure, code: int, *parts: str) -> None:
    assert failure.code == code, failure
    for part in parts:
        assert part in failure.sentence, failure.sentence
    assert "\n" not in failure.sentence
    assert 20 < len(failure.sentence) < 900
    assert ":" in failure.sentence  # what is wrong: what mends it


def fails(action: Callable[[], object], code: int, *parts: str) -> None:
    with pytest.raises(RuntimeFailure) as raised:
        action()
    assert_sentence(raised.value, code, *parts)
