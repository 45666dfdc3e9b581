"""The compiler's words on every kernel: how they are read, and the committed report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.kernels import resources
from benchmarks.kernels.resources import ARCHITECTURES, Entry, Job

SAID = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z5firstv' for 'sm_87'
ptxas info    : Function properties for _Z5firstv
    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers, 8 bytes cumulative stack size
ptxas info    : Compiling entry function '_Z6secondv' for 'sm_87'
ptxas info    : Function properties for _Z6secondv
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 0 barriers
"""


def entry(kernel: str, architecture: str, registers: int, spill: int = 0) -> Entry:
    return Entry("scan/some.cu", architecture, kernel, registers, spill)


def test_what_the_compiler_says_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvcc = tmp_path / "nvcc"
    nvcc.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{SAID}\nEND\n", encoding="utf-8")
    nvcc.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    source = resources.KERNELS / "cuda/scan/lane_channel/kernels.cu"
    first, second = resources.compiled(Job(source, "sm_87"))
    assert (first.kernel, first.registers, first.spill, first.scans) == ("_Z5firstv", 128, 16, True)
    assert (second.registers, second.spill) == (40, 0)


def test_a_source_is_compiled_again_when_a_header_far_below_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its two headers one is included by the other."""
    (tmp_path / "cuda").mkdir()
    source = tmp_path / "cuda/a.cu"
    source.write_text('#include "b.h"\n#include <cuda.h>\n', encoding="utf-8")
    (tmp_path / "b.h").write_text('  # include "c.h"\n', encoding="utf-8")
    monkeypatch.setattr(resources, "KERNELS", tmp_path)
    monkeypatch.setattr(resources, "INCLUDES", (tmp_path,))

    def key(below: str, architecture: str = "sm_87") -> str:
        (tmp_path / "c.h").write_text(below, encoding="utf-8")
        resources.closure.cache_clear()
        return Job(source, architecture).key

    assert key("one") == key("one")
    assert key("one") != key("two")
    assert key("one") != key("one", "sm_90a")


def test_a_page_names_spills_and_leaves_out_what_has_no_code() -> None:
    entries = resources.named(
        [
            entry("_ZN9posemamba4cuda5aboutEv", "sm_80", 40, spill=8),
            entry("_ZN9posemamba4cuda5aboutEv", "sm_90a", 50),
            entry("_ZN9posemamba4cuda4onlyEv", "sm_80", 4),
            entry("_ZN9posemamba4cuda4onlyEv", "sm_90a", 168),
        ]
    )
    lines = resources.markdown(entries).splitlines()
    nothing = ["-"] * 3
    assert f"| `about` | 40* | {' | '.join(nothing)} | 50 | {' | '.join(nothing)} |" in lines
    assert f"| `only` | - | {' | '.join(nothing)} | 168 | {' | '.join(nothing)} |" in lines
    assert "- `about`: 8 on sm_80" in lines
    assert "Scans that spill, in bytes: about for sm_80: 8." in lines


def committed() -> list[Entry]:
    return [Entry(**row) for row in json.loads(resources.REPORT.read_text(encoding="utf-8"))]


def test_no_scan_but_the_known_ones_spills_on_any_architecture() -> None:
    entries = committed()
    assert resources.spilled_scans(entries) == []
    scans = {e.architecture for e in entries if e.scans}
    assert scans == set(ARCHITECTURES)


def test_the_committed_page_is_of_its_data_and_has_every_file_with_kernels() -> None:
    entries = committed()
    page = resources.REPORT.with_suffix(".md").read_text(encoding="utf-8")
    assert resources.markdown(entries) == page
    kernels = resources.KERNELS / "cuda"
    sources = {str(path.relative_to(kernels)) for path in kernels.rglob("*.cu")}
    assert {e.source for e in entries} <= sources
