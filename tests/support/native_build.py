"""The libraries as CMake built and installed them, for the tests of what is shipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from places import ROOT

#: Another build folder than the ones below.
BUILD_VARIABLE = "POSEMAMBA_BUILD_DIR"


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run it; what it said is in the failure's message."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, cwd=cwd
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done


def build_folder() -> Path:
    """The folder that `make env` built in, else one of the tests' own with the CPU parts."""
    named = os.environ.get(BUILD_VARIABLE)
    if named:
        return Path(named)
    for folder in sorted((ROOT / "build").glob("py3-none-linux_*")):
        if (folder / "deploy" / "cpp").is_dir():
            return folder
    folder = ROOT / "build" / "tests"
    run("cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DPOSEMAMBA_CUDA=OFF")
    run("cmake", "--build", folder, "-j2")
    return folder


def install(build: Path, prefix: Path) -> Path:
    """Install a build; the prefix."""
    run("cmake", "--install", build, "--prefix", prefix)
    return prefix


def missing_tools(*names: str) -> list[str]:
    """The commands that are not on the path."""
    return [name for name in names if shutil.which(name) is None]


def pip_download(requirement: str, to: Path, *options: str) -> Path:
    """One wheel, as pip is configured to get it."""
    to.mkdir(parents=True, exist_ok=True)
    run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
        "--dest", to, *options, requirement)  # fmt: skip
    (wheel,) = to.glob("*.whl")
    return wheel
