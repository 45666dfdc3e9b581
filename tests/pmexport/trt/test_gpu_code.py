"""What a plugin library says of its GPUs, and what that means."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pmexport.trt.gpu_code import GpuCode, gpu_code, kernels_for
from pmexport.trt.targets import ARCHITECTURES
from posemamba.native.library import library_path


@pytest.mark.parametrize(
    ("code", "runs"),
    [
        (GpuCode((86,), ()), {"sm86", "sm89"}),
        (GpuCode((80,), ()), {"sm80", "sm86", "sm89"}),
        (GpuCode((87,), ()), {"sm87"}),  # Tegra's is its own
        (GpuCode((86, 87), ()), {"sm86", "sm87", "sm89"}),
        (GpuCode((120,), ()), {"sm120", "sm121"}),
        (GpuCode((), (90,)), {"sm90", "sm100", "sm103", "sm110", "sm120", "sm121"}),
        (GpuCode((75,), (75,)), set(ARCHITECTURES)),
        (GpuCode((86, 100), (100,), frozenset({100})), {"sm86", "sm89", "sm100"}),
    ],
    ids=str,
)
def test_what_runs_where(code: GpuCode, runs: set[str]) -> None:
    assert {target for target in ARCHITECTURES if code.runs_on(target)} == runs


def library(folder: Path, said: str) -> Path:
    """A library whose ``pm_trt_architectures`` returns a text."""
    source = f'extern "C" const char* pm_trt_architectures(void) {{ return "{said}"; }}\n'
    path = folder / "library.so"
    command = ["c++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(path)]
    subprocess.run(command, input=source, text=True, check=True)
    return path


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("sm86 sm120", GpuCode((86, 120), ())),
        ("sm80 sm87 sm90 ptx90", GpuCode((80, 87, 90), (90,))),
        ("sm120 sm80", GpuCode((80, 120), ())),
        ("ptx90", GpuCode((), (90,))),
        ("sm90a sm100f ptx100f", GpuCode((90, 100), (100,), frozenset({90, 100}))),
        ("", None),
        ("all-major", None),
        ("sm80,sm90", None),
    ],
)
def test_what_a_library_says(said: str, code: GpuCode | None, tmp_path: Path) -> None:
    assert gpu_code(library(tmp_path, said)) == code


def test_a_library_that_does_not_say(tmp_path: Path) -> None:
    assert gpu_code(library_path()) is None  # for the CPU
    path = tmp_path / "library.so"
    for content in (b"", b"\x7fELF\x02\x01"):
        path.write_bytes(content)
        assert gpu_code(path) is None


def test_in_words() -> None:
    names = GpuCode((86, 120), (90,)).names()
    assert names == ["sm86", "sm120", "ptx90"]
    assert kernels_for(names) == "kernels for sm86, sm120, ptx90"
    assert kernels_for(None) == "which does not say its GPUs"
