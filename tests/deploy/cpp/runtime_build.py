"""Builds of deploy/cpp for the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

from places import ROOT

SOURCE = ROOT / "deploy" / "cpp"


def build(name: str, *options: str, targets: tuple[str, ...] = ()) -> Path:
    """A build folder of deploy/cpp; what is built already stays."""
    folder = ROOT / "build" / "runtime-tests" / name
    configure = ["cmake", "-S", str(SOURCE), "-B", str(folder), "-DPOSEMAMBA_RUNTIME_TESTS=ON"]
    done = subprocess.run([*configure, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    command = ["cmake", "--build", str(folder), "-j2"]
    command += ["--target", *targets] if targets else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder
