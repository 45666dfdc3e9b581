"""One version: CMake's. Everything else takes it from there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from native_build import run
from places import ROOT

import posemamba_runtime

VERSION = re.search(
    r"project\(posemamba VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()
).group(1)  # type: ignore[union-attr]


def test_the_library() -> None:
    assert posemamba_runtime.version() == VERSION == "0.2.0"


@pytest.mark.parametrize(
    "project", [ROOT / "pyproject.toml", ROOT / "deploy/python/pyproject.toml"]
)
def test_python_packages(project: Path) -> None:
    text = project.read_text()
    pattern = re.search(r"^regex = '(.*)'$", text, re.M)
    source = re.search(r'^input = "(.*)"$', text, re.M)
    assert pattern is not None
    assert source is not None
    found = re.search(pattern[1], (project.parent / source[1]).read_text())
    assert found is not None
    assert found["value"] == VERSION


def test_installed(prefix: Path) -> None:
    (pc,) = prefix.rglob("posemamba.pc")
    assert run("pkg-config", "--modversion", pc).stdout.strip() == VERSION
    names = {path.name for path in pc.parents[1].glob("libposemamba_runtime.so*")}
    assert f"libposemamba_runtime.so.{VERSION}" in names
