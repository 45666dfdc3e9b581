"""Every command line whose standard output takes no more says so, with exit code 2.

As Python comes, with a buffer before the output, and without: only one of the two meets the failure
where it writes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOLD = "Error: the output cannot be written (No space left on device): send it elsewhere\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    "words",
    [
        "posemamba_runtime --help",
        "posemamba_runtime lift --help",
        "posemamba_runtime serve --help",
        "posemamba --help",
        "posemamba --version",
        "posemamba count",
        "posemamba train --help",
        "pmexport --help",
        "pmexport --version",
        "pmexport check --help",
        "pmexport lift --help",
        "pmexport serve --help",
    ],
)
def test_a_full_output_is_told(words: str, buffered: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    if not buffered:
        environment["PYTHONUNBUFFERED"] = "1"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", *words.split()],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, TOLD)
