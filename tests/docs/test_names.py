"""What the documentation calls by name is there: modules and their contents, and files."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from places import ROOT

PAGES = [ROOT / "README.md"]
PAGES += [page for name in ("docs", "deploy") for page in sorted((ROOT / name).rglob("*.md"))]
_DOTTED = re.compile(r"`((?:posemamba|pmexport|posemamba_runtime)(?:\.\w+)+)(?:\(\))?`")
_FOLDERS = "posemamba|export|trt_plugins|deploy|tests|benchmarks|tools|reports|cmake"
_PATH = re.compile(rf"`((?:{_FOLDERS})/[\w./-]+)`")
#: A key of an ONNX file's metadata.
_OTHERS = re.compile(r"^posemamba\.target$")


def exists(name: str) -> bool:
    """Whether a dotted name is a module or something in one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            if not hasattr(found, part) and part not in getattr(found, "__annotations__", {}):
                return False
            found = getattr(found, part, None)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = [name for name in _DOTTED.findall(text) if not _OTHERS.search(name)]
    assert not [name for name in names if not exists(name)]
    homes = (ROOT, ROOT / "trt_plugins" / "include", ROOT / "deploy" / "cpp" / "include")
    files = _PATH.findall(text)
    assert not [name for name in files if not any((home / name).exists() for home in homes)]


def test_a_stale_name_is_found() -> None:
    assert exists("posemamba.scan_order.SCAN_ORDERS")
    assert not exists("posemamba.scan_orders")
    assert not exists("posemamba.scan_order.NONE")
