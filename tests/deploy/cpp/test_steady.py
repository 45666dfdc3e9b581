"""100,000 pushes of 4 persons: no allocation, flat memory, microseconds of our own work."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest


@pytest.mark.alone
@pytest.mark.parametrize("policy", ["last", "center", "blend"])
@pytest.mark.parametrize("missing", [0, 1])
def test_hundred_thousand_pushes(policy: str, missing: int, built: Path, stand_ins: Path) -> None:
    """The network is the stand-in's, a few microseconds: the rest is ours."""
    command = [str(built / "tests" / "steady"), "100000", policy, str(missing)]
    done = subprocess.run(
        [*command, str(stand_ins / "libonnxruntime.so")],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    cost = json.loads(done.stdout)
    assert cost["pushes"] == 100_000
    assert cost["poses"] > 99_000
    assert cost["allocations"] == 0  # in push, step and poll
    assert cost["grown_mib"] < 0.5
    # Measured on two shared cores: a push 0.3 us, a frame of four persons 8 to 51 us. The limit is
    # the issue's, four times that for the other work of a busy machine.
    assert cost["push_p99_us"] < 100
    assert cost["frame_p99_us"] < 400
