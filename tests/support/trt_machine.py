"""The GPU a test wants this machine to have."""

from __future__ import annotations

import pytest

from pmexport.engine import gpu as driver


def gpu(monkeypatch: pytest.MonkeyPatch, architecture: str | None, name: str = "") -> None:
    """Make this a machine with that GPU, or with none."""
    monkeypatch.setattr(driver, "_first_gpu", lambda: (architecture, name))
