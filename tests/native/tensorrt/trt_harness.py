"""Where the plugin, the headers and the compiler are, and how the conformance harness is built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from places import ROOT

import pmexport
from posemamba.native.library import library_path

PLUGIN_SOURCES = sorted((ROOT / "trt_plugins" / "tensorrt").glob("*.cc"))
SOURCES = sorted((Path(__file__).parent / "harness").glob("*.cc"))
#: Folders of TensorRT headers (NvInferRuntime.h): one, or several joined as in PATH.
HEADERS_VARIABLE = "POSEMAMBA_TRT_HEADERS"
HEADER = "NvInferRuntime.h"


def plugin_library() -> Path:
    """``$POSEMAMBA_TRT_LIB``, else the one installed with the package."""
    installed = Path(pmexport.__file__).parent / "lib" / "libposemamba_trt.so"
    return Path(os.environ.get("POSEMAMBA_TRT_LIB", installed))


def cuda_library() -> Path:
    """The launchers in a library of their own."""
    return library_path("cuda")


def all_headers() -> list[Path]:
    """Every folder of headers here: those given, then those of ``tools/trt_headers.py``."""
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
    command = [nvcc() or "nvcc", "-std=c++17", "-O1"]
    command += ["-Xcompiler", "-Wall,-Wextra,-Wshadow,-Werror"]
    command += ["-I", str(ROOT / "trt_plugins" / "include"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def compile_harness(folder: Path, to: Path) -> list[Path]:
    """The harness's object files, compiled against the headers in ``folder``."""
    include = ["-isystem", folder, "-I", ROOT / "tests" / "native" / "kernels"]
    compile_cpp("-c", *include, *SOURCES, "-odir", to)
    return [to / f"{source.stem}.o" for source in SOURCES]


def link(objects: list[Path], to: Path) -> Path:
    """The conformance program. It stands in for TensorRT's library, so its symbols are exported."""
    compile_cpp("-cudart", "static", "-Xlinker", "--export-dynamic", "-ldl", *objects, "-o", to)
    return to


def link_twin(folder: Path, objects: list[Path], to: Path) -> tuple[Path, Path]:
    """The conformance program and the plugin with the CPU kernels for launchers (``twin/``).

    Nothing of CUDA is linked, so that what ``enqueue`` does can be checked where there is no GPU.
    """
    fakes = sorted((Path(__file__).parent / "twin").glob("*.cc"))
    program, plugin = to / "conformance", to / "plugin.so"
    kernels = library_path("cpu").resolve()
    compile_cpp(
        *["-cudart", "none", "-shared", "-Xcompiler", "-fPIC,-fno-exceptions"],
        *['-DPOSEMAMBA_VERSION="twin"', '-DPOSEMAMBA_TENSORRT_FLAVOR="TensorRT"'],
        *["-isystem", folder, *PLUGIN_SOURCES, *fakes, kernels],
        *["-Xlinker", f"-rpath={kernels.parent}", "-o", plugin],
    )
    runtime = Path(__file__).parent / "twin" / "runtime.cc"
    export = ["-Xlinker", "--export-dynamic", "-ldl"]
    compile_cpp("-cudart", "none", *export, *objects, runtime, "-o", program)
    return program, plugin


def cases(*, gpu: bool) -> list[str]:
    """The harness's cases, read from its sources; those of the GPU begin with ``gpu_``."""
    names = [name for s in SOURCES for name in re.findall(r"^CASE\((\w+)\)", s.read_text(), re.M)]
    return [name for name in names if name.startswith("gpu_") == gpu]


def play(
    program: Path, plugin: Path, *names: str, launchers: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run cases of the conformance program; ``launchers`` are those results are compared with."""
    command = [str(program), str(plugin), str(launchers or cuda_library()), *names]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
