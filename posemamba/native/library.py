"""The native kernel libraries, called through their C interface (``trt_plugins/include``).

Calling the C launchers through ctypes keeps one build good for every PyTorch version; what a call
costs is measured in ``docs/reference/ops.md``.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_char_p, c_int32, c_int64, c_size_t, c_void_p
from functools import lru_cache
from pathlib import Path

from posemamba.errors import InputError

ABI_VERSION = 1
MAX_DIRECTIONS = 8
MAX_JOINTS = 64
LIBRARY_VARIABLE = "POSEMAMBA_KERNELS_LIB"
#: By device type: the variable that names another build, and the file installed with the package.
_LIBRARIES = {
    "cpu": (LIBRARY_VARIABLE, "libposemamba_kernels.so"),
    "cuda": ("POSEMAMBA_CUDA_LIB", "libposemamba_cuda.so"),
}


class CrossScanParams(Structure):
    """``pm_cross_scan_params`` of ``posemamba/scan.h``."""

    _fields_ = (
        ("x", c_void_p),
        ("x_dbl", c_void_p),
        ("dt_weight", c_void_p),
        ("dt_bias", c_void_p),
        ("A", c_void_p),
        ("D", c_void_p),
        ("y", c_void_p),
        ("batch", c_int64),
        ("frames", c_int64),
        ("x_stride", c_int64),
        ("x_dbl_stride", c_int64),
        ("y_stride", c_int64),
        ("joints", c_int32),
        ("d_inner", c_int32),
        ("d_state", c_int32),
        ("dt_rank", c_int32),
        ("directions", c_int32),
        ("dtype", c_int32),
        ("order", c_int32 * MAX_DIRECTIONS),
        ("reverse", c_int32 * MAX_DIRECTIONS),
        ("limb_mask", c_int32 * MAX_DIRECTIONS),
        ("limb_index", c_int32 * MAX_JOINTS),
    )


class ScanParams(Structure):
    """``pm_scan_params`` of ``posemamba/scan.h``."""

    _fields_ = (
        ("u", c_void_p),
        ("delta", c_void_p),
        ("A", c_void_p),
        ("B", c_void_p),
        ("C", c_void_p),
        ("D", c_void_p),
        ("z", c_void_p),
        ("delta_bias", c_void_p),
        ("y", c_void_p),
        ("batch", c_int64),
        ("length", c_int64),
        ("groups", c_int32),
        ("channels", c_int32),
        ("d_state", c_int32),
        ("delta_softplus", c_int32),
        ("dtype", c_int32),
        ("reverse", c_int32 * MAX_DIRECTIONS),
    )


_LAUNCHERS = {"cross_scan": CrossScanParams, "scan": ScanParams}


def int_array(values: Sequence[int], length: int) -> ctypes.Array[c_int32]:
    """A fixed-size C array of ``values``, padded with zeros.

    Raises:
        InputError: more values than the kernels' limit.
    """
    if len(values) > length:
        raise InputError(f"{len(values)} entries given, the scan kernels hold at most {length}")
    return (c_int32 * length)(*[int(v) for v in values])


def library_path(device: str = "cpu") -> Path:
    """The kernel library in use for a device type, ``cpu`` or ``cuda``.

    ``$POSEMAMBA_KERNELS_LIB`` or ``$POSEMAMBA_CUDA_LIB``, else the one installed with this package.
    """
    variable, name = _LIBRARIES[device]
    return Path(os.environ.get(variable, Path(__file__).parents[1] / "lib" / name))


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
    return library


def _declare(
    library: ctypes.CDLL, device: str, workspace: Sequence[type], launch: Sequence[type]
) -> None:
    """Give both launchers of a device their types; ``params`` comes first everywhere."""
    for name, params in _LAUNCHERS.items():
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
    _declare(library, "cpu", [c_int32], [c_void_p, c_void_p])  # threads; workspace, threads
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
