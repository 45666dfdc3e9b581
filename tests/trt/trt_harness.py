"""Where the plugin, the headers and the compiler are, and how the conformance harness is built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pmexport
import posemamba

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((Path(__file__).parent / "harness").glob("*.cc"))
#: Folders of TensorRT headers (NvInferRuntime.h): one, or several joined as in PATH.
HEADERS_VARIABLE = "POSEMAMBA_TRT_HEADERS"
HEADER = "NvInferRuntime.h"


def plugin_library() -> Path:
    """``$POSEMAMBA_TRT_LIB``, else the one installed with the package."""
    installed = Path(pmexport.__file__).parent / "lib" / "libposemamba_trt.so"
    return Path(os.environ.get("POSEMAMBA_TRT_LIB", installed))


def cuda_library() -> Path:
    """``$POSEMAMBA_CUDA_LIB``, else the one installed with the package."""
    installed = Path(posemamba.__file__).parent / "lib" / "libposemamba_cuda.so"
    return Path(os.environ.get("POSEMAMBA_CUDA_LIB", installed))


def all_headers() -> list[Path]:
    """Every folder of headers here: those given, then those of ``scripts/trt_headers.py``."""
    given = os.environ.get(HEADERS_VARIABLE, "").split(os.pathsep)
    usual = [ROOT / "build" / "tensorrt-headers", ROOT / ".whl" / "tensorrt-headers"]
    return [f for f in [*map(Path, filter(None, given)), *usual] if (f / HEADER).is_file()]


def headers() -> Path | None:
    """The first of them."""
    return next(iter(all_headers()), None)


def nvcc() -> str | None:
    """The CUDA compiler; it knows where the CUDA headers and runtime are."""
    return shutil.which(os.environ.get("CUDACXX", "nvcc"))


def compile_cpp(*arguments: str | Path) -> None:
    """Run nvcc as a C++ compiler; it brings CUDA's headers and runtime.

    Raises:
        AssertionError: it failed; the message is the compiler's.
    """
    command = [nvcc() or "nvcc", "-std=c++17", "-O1", "-cudart", "static"]
    command += ["-Xcompiler", "-Wall,-Wextra,-Wshadow,-Werror"]
    command += ["-I", str(ROOT / "trt_plugins" / "include"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def build(folder: Path, to: Path) -> Path:
    """The conformance program, exporting its symbols: it stands in for TensorRT's library."""
    extra = ["-isystem", folder, "-I", ROOT / "tests" / "kernels"]
    compile_cpp(*extra, "-Xlinker", "--export-dynamic", "-ldl", *SOURCES, "-o", to)
    return to


def cases(*, gpu: bool) -> list[str]:
    """The harness's cases, read from its sources; those of the GPU begin with ``gpu_``."""
    names = [name for s in SOURCES for name in re.findall(r"^CASE\((\w+)\)", s.read_text(), re.M)]
    return [name for name in names if name.startswith("gpu_") == gpu]


def play(program: Path, plugin: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run cases of the conformance program."""
    command = [str(program), str(plugin), str(cuda_library()), *names]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
