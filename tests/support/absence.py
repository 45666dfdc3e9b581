"""What a test lacks on this machine: a skip that says so, or a failure where CI has to have it."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def lacking(what: str, part: str) -> NoReturn:
    """Skip; fail where ``POSEMAMBA_REQUIRE_<part>`` is 1, see ``docs/guide/build.md``."""
    variable = f"POSEMAMBA_REQUIRE_{part}"
    if os.environ.get(variable) == "1":
        pytest.fail(f"{what}; {variable}=1 asks for it")
    pytest.skip(what)
