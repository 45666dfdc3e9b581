"""Tests that need Ray are skipped without it, unless the environment forbids that."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest


def require_ray() -> None:
    """Skip, or fail where POSEMAMBA_REQUIRE_RAY=1, on a machine without Ray."""
    if find_spec("ray") is not None:
        return
    if os.environ.get("POSEMAMBA_REQUIRE_RAY") == "1":
        pytest.fail("ray is not installed, and POSEMAMBA_REQUIRE_RAY=1 asks for it")
    pytest.skip("ray is not installed: pip install 'pmexport[ray]'")
