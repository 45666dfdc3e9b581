"""The plugin library as a file: its symbols, and the headers it compiles against."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import trt_harness
from absence import lacking

#: Weak ones need not be there; the loader resolves the rest from libc and libgcc's helpers.
FROM_LIBC = re.compile(r"@GLIBC")


def symbols(library: Path, *options: str) -> list[str]:
    if shutil.which("nm") is None:
        pytest.fail("nm (binutils) is needed to look at the library")
    command = ["nm", "-D", *options, str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.strip()]


def test_exports_three_functions(plugin: Path) -> None:
    names = sorted(line.split()[-1] for line in symbols(plugin, "--defined-only"))
    assert names == ["getCreators", "pm_trt_architectures", "setLoggerFinder"]


def test_needs_no_tensorrt_and_no_cuda_library(plugin: Path) -> None:
    undefined = symbols(plugin, "--undefined-only")
    strong = [line for line in undefined if line.split()[0] == "U"]
    assert [line for line in strong if not FROM_LIBC.search(line)] == []
    assert [line for line in undefined if "nvinfer" in line] == []


def test_names_its_version(plugin: Path) -> None:
    """The text a node's timing-cache key begins with."""
    build = (trt_harness.ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    version = re.search(r"project\(posemamba VERSION ([0-9.]+)", build)
    assert version is not None
    assert version.group(1).encode() in plugin.read_bytes()


@pytest.mark.parametrize("folder", trt_harness.all_headers() or [None], ids=lambda f: f and f.name)
def test_compiles_against_headers(folder: Path | None, tmp_path: Path) -> None:
    """Every release whose headers $POSEMAMBA_TRT_HEADERS names, and those of trt_headers.py."""
    if folder is None or trt_harness.nvcc() is None:
        lacking("needs TensorRT headers (tools/trt_headers.py) and nvcc for CUDA's", "TRT")
    defines = ['-DPOSEMAMBA_VERSION="test"', '-DPOSEMAMBA_TENSORRT_FLAVOR="test"']
    for source in trt_harness.PLUGIN_SOURCES:
        options = ["-isystem", folder, "-Xcompiler", "-fno-exceptions", *defines]
        trt_harness.compile_cpp(*options, "-c", source, "-o", tmp_path / f"{source.stem}.o")
