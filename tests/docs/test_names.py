"""What documentation and comments call by name is there: modules and their contents, and files."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from places import ROOT

PAGES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md"]
PAGES += [page for name in ("docs", "deploy") for page in sorted((ROOT / name).rglob("*.md"))]
_DOTTED = re.compile(r"`((?:posemamba|pmexport|posemamba_runtime)(?:\.\w+)+)(?:\([^`]*\))?`")
_FOLDERS = (
    *("posemamba", "export", "trt_plugins", "deploy", "cmake"),
    *("tests", "benchmarks", "tools", "reports"),
)
_FOLDER = "|".join(_FOLDERS)
_PATH = re.compile(rf"`((?:{_FOLDER})/[\w./-]+)`")
#: Where such a path may begin.
_HOMES = (ROOT, ROOT / "trt_plugins" / "include", ROOT / "deploy" / "cpp" / "include")
_ROLE = re.compile(r":\w+:`~?((?:posemamba|pmexport|posemamba_runtime)\.[\w.]+)`")
_CODE_PATH = re.compile(
    rf"(?<![\w./-])((?:docs|{_FOLDER})/[\w./-]+\.(?:py|md|sh|cc|h|hpp|cu|cuh))\b"
)
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
    assert not [name for name in _PATH.findall(text) if not is_file_of_ours(name)]


def is_file_of_ours(name: str) -> bool:
    return any((home / name).exists() for home in _HOMES)


def code(*suffixes: str) -> list[Path]:
    return [
        path
        for folder in _FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in suffixes
    ]


def test_docstrings_refer_to_what_is_there() -> None:
    stale = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in code(".py")
        for name in _ROLE.findall(path.read_text(encoding="utf-8"))
        if not exists(name)
    }
    assert not stale


def test_comments_name_files_that_are_there() -> None:
    stale = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in code(".py", ".sh", ".cc", ".h", ".hpp", ".cu", ".cuh")
        for name in _CODE_PATH.findall(path.read_text(encoding="utf-8"))
        if not is_file_of_ours(name)
    }
    assert not stale


def test_a_stale_name_is_found() -> None:
    assert exists("posemamba.scan_order.SCAN_ORDERS")
    assert not exists("posemamba.scan_orders")
    assert not exists("posemamba.scan_order.NONE")
