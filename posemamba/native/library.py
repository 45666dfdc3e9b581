"""The native kernel libraries, called through their C interface (``trt_plugins/include``).

Calling the C launchers through ctypes keeps one build good for every PyTorch version; what a call
costs is measured in ``docs/reference/ops.md``.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_int32, c_size_t, c_void_p
from functools import lru_cache
from pathlib import Path

from posemamba.errors import InputError
from posemamba.files.installed import built_file
from posemamba.native.structs import (
    TABLE,
    CrossScanBackwardParams,
    CrossScanParams,
    IndexedScanParams,
    ScanBackwardParams,
    ScanParams,
    StatefulScanParams,
)

ABI_VERSION = 3
LIBRARY_VARIABLE = "POSEMAMBA_KERNELS_LIB"
#: By device type: the variable that names another build, and the file installed with the package.
_LIBRARIES = {
    "cpu": (LIBRARY_VARIABLE, "libposemamba_kernels.so"),
    "cuda": ("POSEMAMBA_CUDA_LIB", "libposemamba_cuda.so"),
}


_LAUNCHERS = {
    "cross_scan": CrossScanParams,
    "scan": ScanParams,
    "indexed_scan": IndexedScanParams,
    "stateful_scan": StatefulScanParams,
    "cross_scan_backward": CrossScanBackwardParams,
    "scan_backward": ScanBackwardParams,
}


def library_path(device: str = "cpu") -> Path:
    """The kernel library in use for a device type, ``cpu`` or ``cuda``.

    ``$POSEMAMBA_KERNELS_LIB`` or ``$POSEMAMBA_CUDA_LIB``, else the one installed with this package.
    """
    variable, name = _LIBRARIES[device]
    given = os.environ.get(variable)
    return built_file(Path(__file__).parents[1], f"lib/{name}") if given is None else Path(given)


def _open(device: str, remedy: str) -> ctypes.CDLL:
    path = library_path(device)
    if not path.is_file():
        raise InputError(f"native {device} kernels not found at '{path}': {remedy}")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise InputError(
            f"native {device} kernels '{path}' cannot be loaded: {error}; {remedy}"
        ) from None
    library.pm_abi_version.restype = c_int32
    found = library.pm_abi_version()
    if found != ABI_VERSION:
        raise InputError(
            f"native {device} kernels '{path}' have ABI {found}, this package needs "
            f"{ABI_VERSION}: {remedy}"
        )
    _check_structs(library, f"native {device} kernels '{path}'", remedy)
    return library


def _check_structs(library: ctypes.CDLL, what: str, remedy: str) -> None:
    """Hold our mirrors of the parameters against the sizes a library tells.

    Raises:
        InputError: a struct of another size: fields would be read at wrong places.
    """
    try:
        size_of = library.pm_struct_size
    except AttributeError:  # a library from before the function
        return
    size_of.restype, size_of.argtypes = c_size_t, [c_char_p]
    for name, mirror in TABLE.items():
        theirs, ours = size_of(name.encode()), ctypes.sizeof(mirror)
        if theirs not in (0, ours):  # 0: not one of this library's
            raise InputError(f"{what}: {name} has {theirs} bytes there, {ours} here: {remedy}")


def _declare(
    library: ctypes.CDLL,
    device: str,
    workspace: Sequence[type],
    launch: Sequence[type],
) -> None:
    """Give the scan launchers of a device their types; ``params`` comes first everywhere.

    Raises:
        InputError: a library of an older build, without one of them.
    """
    for name, params in _LAUNCHERS.items():
        if not hasattr(library, f"pm_{device}_{name}"):
            raise InputError(
                f"native {device} kernels '{library._name}' are of an older build, without "
                f"pm_{device}_{name}: build them again with 'pip install .'"
            )
        size = getattr(library, f"pm_{device}_{name}_workspace")
        size.restype = c_size_t
        size.argtypes = [POINTER(params), *workspace]
        run = getattr(library, f"pm_{device}_{name}")
        run.restype = c_int32
        run.argtypes = [POINTER(params), *launch]


@lru_cache(maxsize=1)
def load_cpu_library() -> ctypes.CDLL:
    """Load the CPU kernels once.

    Raises:
        InputError: the library is missing, cannot be loaded, or is of another ABI.
    """
    library = _open(
        "cpu",
        "build them with 'pip install .', or choose the slow PyTorch scan with scan='reference'",
    )
    library.pm_status_string.restype = c_char_p
    library.pm_status_string.argtypes = [c_int32]
    library.pm_cpu_isa.restype = c_char_p
    library.pm_cpu_pool.restype = c_void_p
    library.pm_cpu_pool.argtypes = [c_int32]
    # threads; workspace, threads
    _declare(library, "cpu", [c_int32], [c_void_p, c_void_p])
    return library


@lru_cache(maxsize=1)
def load_cuda_library() -> ctypes.CDLL:
    """Load the CUDA kernels once.

    Raises:
        InputError: the library is missing, cannot be loaded, or is of another ABI.
    """
    library = _open(
        "cuda",
        "install where nvcc is found with 'pip install .', or move the model to the CPU",
    )
    # tuning; tuning, workspace, stream. The launches return a cudaError_t.
    _declare(library, "cuda", [c_void_p], [c_void_p, c_void_p, c_void_p])
    return library
