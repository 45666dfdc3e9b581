"""Names that headers and docstrings list are those of the tables."""

from __future__ import annotations

import re

import pytest
from places import ROOT

from posemamba_runtime import Lifter
from posemamba_runtime.cli.words import BACKENDS
from posemamba_runtime.keypoints.layouts import LAYOUTS

CPP = ROOT / "deploy" / "cpp"
HEADER = (CPP / "include" / "posemamba" / "runtime" / "lifter.h").read_text(encoding="utf-8")
OPEN = (CPP / "src" / "backends" / "open.cc").read_text(encoding="utf-8")
_NAME = r'"([a-z][a-z0-9-]+)"'

#: Where a list is told, and what it has to be.
LISTS = {
    "layouts, C": (re.search(r"char\* keypoints;(.*?)\*/", HEADER, re.DOTALL), LAYOUTS),
    "layouts, Python": (
        re.search(r"keypoints:(.*?)\n +size:", Lifter.stream.__doc__ or "", re.DOTALL),
        LAYOUTS,
    ),
    "back ends, C": (re.search(r"char\* backend;(.*?)\*/", HEADER, re.DOTALL), BACKENDS),
    "back ends, Python": (
        re.search(r"backend:(.*?)\n +runtime_library:", Lifter.__doc__ or "", re.DOTALL),
        BACKENDS,
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_the_tables(name: str) -> None:
    told, table = LISTS[name]
    assert told is not None
    assert set(re.findall(_NAME, told[1])) == set(table)


def test_back_ends_of_the_library_are_those_of_the_command_line() -> None:
    assert ["auto", *re.findall(rf"\{{{_NAME}, FileKind", OPEN)] == list(BACKENDS)
