"""Every package of a release, built once, and environments with nothing else in them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

#: Minutes of building: .ci/run asks for it, `make test` alone does not.
ASKED = os.environ.get("POSEMAMBA_REQUIRE_PACKAGES") == "1"
KINDS = ("sdist", "cpu", "runtime", "deb", *(("cuda",) if shutil.which("nvcc") else ()))


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not ASKED:
        pytest.skip("POSEMAMBA_REQUIRE_PACKAGES=1 builds every package, which takes minutes")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, ROOT / "tools" / "make_packages.py", "-o", folder, *KINDS]
    subprocess.run([str(word) for word in command], check=True, timeout=900)
    return folder


@pytest.fixture(scope="session")
def manifest(dist: Path) -> dict[str, dict[str, Any]]:
    """The rows of manifest.json by file name."""
    rows = json.loads((dist / "manifest.json").read_text())["files"]
    return {row["file"]: row for row in rows}


class Environment:
    """A virtual environment of its own; nothing of this one reaches it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)

    def run(self, *words: str | Path) -> str:
        """What a program of the environment printed; it must end well."""
        program = self.folder / "bin" / str(words[0])
        clean = {key: value for key, value in os.environ.items() if "POSEMAMBA" not in key}
        clean.pop("PYTHONPATH", None)
        clean["PATH"] = f"{self.folder / 'bin'}:/usr/bin:/bin"
        clean["XDG_CACHE_HOME"] = str(self.folder / "cache")
        done = subprocess.run(
            [str(program), *map(str, words[1:])],
            capture_output=True, text=True, check=False, timeout=600, env=clean, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, *what: str | Path) -> None:
        constraints = ROOT / "constraints.txt"
        self.run("python", "-m", "pip", "install", "--quiet", "--constraint", constraints, *what)


@pytest.fixture
def environment(tmp_path: Path) -> Callable[..., Environment]:
    """Makes one with some packages installed."""

    def make(*what: str | Path) -> Environment:
        made = Environment(tmp_path / "environment")
        made.install(*what)
        return made

    return make
