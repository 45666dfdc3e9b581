"""The documentation's pictures: made by one command, small enough for a README."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from places import ROOT

ASSETS = ROOT / "docs" / "assets"


def run(tool: str, output: Path) -> None:
    command = [sys.executable, f"tools/{tool}", "-o", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_axes_are_as_their_command_draws_them(tmp_path: Path) -> None:
    run("make_axes.py", tmp_path / "axes.svg")
    committed = (ASSETS / "axes.svg").read_text(encoding="utf-8")
    assert committed == (tmp_path / "axes.svg").read_text(encoding="utf-8")
    words = {element.text for element in ElementTree.fromstring(committed).iter() if element.text}
    assert {"y down", "z away", "y up", "z to camera", "x left"} <= words


@pytest.mark.slow
def test_the_demo_is_small_and_moves(tmp_path: Path) -> None:
    """The committed picture, and that its command still makes one like it."""
    run("make_gif.py", tmp_path / "demo.gif")
    for path in (ASSETS / "demo.gif", tmp_path / "demo.gif"):
        assert path.stat().st_size < 2_000_000
        with Image.open(path) as picture:
            assert picture.n_frames > 50  # type: ignore[attr-defined]
            assert picture.size == (640, 384)
