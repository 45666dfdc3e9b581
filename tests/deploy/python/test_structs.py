"""The ctypes mirrors have the layout and the functions that the C compiler reads in the header."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path

import pytest
from places import ROOT

from posemamba_runtime import Result
from posemamba_runtime._structs import FUNCTIONS, STRUCTS

INCLUDE = ROOT / "deploy" / "cpp" / "include"
HEADER = INCLUDE / "posemamba" / "runtime" / "lifter.h"


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Size of each struct, offset and size of each of its fields, value of each result."""
    entries = []
    for name, struct in STRUCTS.items():
        entries.append((name, f"sizeof({name})"))
        for field, *_ in struct._fields_:
            entries.append((f"{name}.{field}", f"offsetof({name}, {field})"))
            entries.append((f"{name}.{field} size", f"sizeof((({name}*)0)->{field})"))
    entries += [(result.name, f"PM_{result.name}") for result in Result]
    lines = "".join(f'  printf("{key}=%d\\n", (int)({value}));\n' for key, value in entries)
    folder = tmp_path_factory.mktemp("layout")
    source = folder / "layout.c"
    source.write_text(
        "#include <posemamba/runtime/lifter.h>\n#include <stddef.h>\n#include <stdio.h>\n"
        f"int main(void) {{\n{lines}  return 0;\n}}\n"
    )
    program = folder / "layout"
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{INCLUDE}"]
    subprocess.run(["cc", *flags, str(source), "-o", str(program)], check=True)
    text = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    return {key: int(value) for key, value in (line.split("=") for line in text.splitlines())}


@pytest.mark.parametrize("name", STRUCTS)
def test_structs(name: str, layout: dict[str, int]) -> None:
    struct = STRUCTS[name]
    assert ctypes.sizeof(struct) == layout[name]  # a field that is missing here would show
    for field, *_ in struct._fields_:
        known = getattr(struct, field)
        assert known.offset == layout[f"{name}.{field}"], field
        assert known.size == layout[f"{name}.{field} size"], field


def test_results(layout: dict[str, int]) -> None:
    assert {result.name: layout[result.name] for result in Result} == {
        result.name: result.value for result in Result
    }
    assert set(re.findall(r"\bPM_([A-Z_]+) = ", HEADER.read_text())) == {r.name for r in Result}


def functions(header: Path) -> dict[str, int]:
    """By name, how many arguments each function takes."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
    found = re.findall(r"\b(pm_[a-z_]+)\s*\(([^)]*)\)\s*;", text)
    return {
        name: 0 if arguments.strip() == "void" else arguments.count(",") + 1
        for name, arguments in found
    }


def test_functions() -> None:
    declared = {name: len(arguments) for name, (_, arguments) in FUNCTIONS.items()}
    assert functions(HEADER) == declared
