"""The CUDA kernels of the gradients, compiled for the CPU and run there (``cuda_on_cpu/``)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ctypes import byref, c_int, c_size_t, c_void_p
from pathlib import Path

import torch
from kernel_api import Guarded
from native_build import run
from places import ROOT

from posemamba.native.structs import CrossScanBackwardParams, ScanBackwardParams

SHIM = Path(__file__).parent / "cuda_on_cpu"
KERNELS = ROOT / "trt_plugins" / "kernels"
BACKWARD = KERNELS / "cuda" / "scan" / "backward"
SOURCES = (
    *sorted(BACKWARD.glob("*.cu")),
    *sorted(BACKWARD.glob("*.cc")),
    KERNELS / "common" / "validate.cc",
    KERNELS / "common" / "validate_backward.cc",
    SHIM / "emulator.cc",
)
#: The shim's folder comes first: it stands in for CUDA's headers and two of ours. glibc's fortified
#: longjmp refuses to jump between stacks, which is what the emulator's threads do.
FLAGS = ("-std=c++17", "-O1", "-fPIC", "-ffp-contract=off", "-U_FORTIFY_SOURCE",
         "-fsanitize=undefined",
         "-fno-sanitize-recover=undefined", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas",
         f"-I{SHIM}", f"-I{ROOT / 'trt_plugins/include'}", f"-I{KERNELS}")  # fmt: skip
LAUNCHERS = {"cross_scan_backward": CrossScanBackwardParams, "scan_backward": ScanBackwardParams}
SHARED_BYTES = 227 * 1024  # of the device that it starts with


class Tuning(ctypes.Structure):
    """``pm_cuda_tuning``."""

    _fields_ = (("variant", c_int), ("chunks", c_int), ("config", c_int))


class Emulation:
    """The launchers, and what a test sets about the machine."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        for name, params in LAUNCHERS.items():
            size = getattr(self._library, f"pm_cuda_{name}_workspace")
            size.restype, size.argtypes = c_size_t, [ctypes.POINTER(params), c_void_p]
            launch = getattr(self._library, f"pm_cuda_{name}")
            launch.argtypes = [ctypes.POINTER(params), c_void_p, c_void_p, c_void_p]
        self._library.cuda_on_cpu_shared.argtypes = [c_size_t]
        self.reset()

    def reset(self) -> None:
        """Threads in ascending order, an H100's shared memory, automatic chunks."""
        self.order(0)
        self.shared_bytes(SHARED_BYTES)
        self.tuning = Tuning()

    def order(self, order: int) -> None:
        """In which threads get their turn: 0 ascending, 1 descending, others shuffled."""
        self._library.cuda_on_cpu_order(order)

    def shared_bytes(self, most: int) -> None:
        """The most shared memory that a thread block of the device has."""
        self._library.cuda_on_cpu_shared(most)

    def workspace(self, name: str, params: ctypes.Structure) -> int:
        size = getattr(self._library, f"pm_cuda_{name}_workspace")
        return int(size(byref(params), byref(self.tuning)))

    def launch(self, name: str, params: ctypes.Structure, workspace: int | None) -> int:
        """The launcher's ``cudaError_t``."""
        run_kernels = getattr(self._library, f"pm_cuda_{name}")
        return int(run_kernels(byref(params), byref(self.tuning), workspace, None))

    def launch_scan(self, name: str, params: ctypes.Structure, _device: torch.device) -> None:
        """In the place of :func:`posemamba.native.launch.launch_scan`: the workspace is NaN, and
        nothing is written around it."""
        size = self.workspace(name, params)
        assert size > 0
        workspace = Guarded(size)
        assert self.launch(name, params, workspace.pointer) == 0
        workspace.check("the workspace")


def compile_library(folder: Path, sources: Sequence[Path]) -> Path:
    """Compile into ``folder``."""
    compiler = os.environ.get("CXX", "c++")

    def compiled(source: Path) -> Path:
        made = folder / f"{source.stem}{source.suffix}.o"
        run(compiler, *FLAGS, "-c", "-x", "c++", source, "-o", made)
        return made

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, sources))
    library = folder / "libcuda_on_cpu.so"
    run(compiler, "-shared", "-fsanitize=undefined", *objects, "-o", library)
    return library


def compile_text(folder: Path, text: str, sources: Sequence[Path] = ()) -> ctypes.CDLL:
    """Compile C++ that a test wrote, with ``sources`` and the emulator; open it."""
    written = folder / "text_of_test.cc"
    written.write_text(text)
    return ctypes.CDLL(str(compile_library(folder, (written, *sources, SHIM / "emulator.cc"))))


def compile_kernels(folder: Path, sources: Sequence[Path] = SOURCES) -> Emulation:
    """Compile into ``folder`` and open."""
    return Emulation(compile_library(folder, sources))
