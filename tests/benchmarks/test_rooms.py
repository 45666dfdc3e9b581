"""The rooms of `benchmarks/`: what its README names is there; every file can be imported."""

from __future__ import annotations

import importlib
import re

import pytest
from places import ROOT

HERE = ROOT / "benchmarks"
PAGE = (HERE / "README.md").read_text(encoding="utf-8")
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(HERE.rglob("*.py"))
]


def test_the_page_names_every_room_and_script_and_no_other() -> None:
    rooms = {path.name for path in HERE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert set(re.findall(r"^\| `(\w+)/`", PAGE, re.MULTILINE)) == rooms
    scripts = {path.name for path in HERE.glob("*.sh")}
    assert set(re.findall(r"^\| `(\w+\.sh)`", PAGE, re.MULTILINE)) == scripts
    named = re.findall(r"`([\w/]+\.(?:py|sh))`", PAGE)
    assert [name for name in named if not (HERE / name).is_file()] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_file_can_be_imported_without_a_gpu(module: str) -> None:
    importlib.import_module(module)
