"""ctypes binding of the launchers' C API (`posemamba/scan.h`, `posemamba/scan_cpu.h`) for tests."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from posemamba.native import library as native
from posemamba.native.structs import (
    MAX_DIRECTIONS,
    CrossScanBackwardParams,
    CrossScanParams,
    ScanBackwardParams,
    ScanParams,
)

OK, NULL_POINTER, BAD_SHAPE, BAD_STRIDE, BAD_ORDER, BAD_DTYPE, UNSUPPORTED, BAD_STRUCT = range(8)
FRAME_MAJOR, JOINT_MAJOR, FRAME_MAJOR_FLIPPED, JOINT_MAJOR_FLIPPED = range(4)
H36M_LIMB = (0, 0, 1, 2, 3, 0, 4, 5, 6, 8, 11, 12, 13, 8, 14, 15, 16)
ISAS = ("avx512", "avx2", "neon", "baseline")

Task = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
Run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, Task, ctypes.c_void_p)


class Parallel(ctypes.Structure):
    """`pm_parallel`."""

    _fields_ = (("context", ctypes.c_void_p), ("threads", ctypes.c_int32), ("run", Run))


def library_path() -> Path:
    """The library under test, the one the package uses (``$POSEMAMBA_KERNELS_LIB``)."""
    path = native.library_path()
    assert path.is_file(), f"{path}: not built; run `make env`, or set POSEMAMBA_KERNELS_LIB"
    return path


def load_library() -> ctypes.CDLL:
    """The library with every function's types set."""
    lib = ctypes.CDLL(str(library_path()))
    lib.pm_abi_version.restype = ctypes.c_int32
    lib.pm_status_string.restype = ctypes.c_char_p
    lib.pm_cpu_isa.restype = ctypes.c_char_p
    lib.pm_cpu_set_isa.argtypes = [ctypes.c_char_p]
    lib.pm_cpu_pool.argtypes = [ctypes.c_int32]
    lib.pm_cpu_pool.restype = ctypes.POINTER(Parallel)
    for name, params in (
        ("cross_scan", CrossScanParams),
        ("scan", ScanParams),
        ("cross_scan_backward", CrossScanBackwardParams),
        ("scan_backward", ScanBackwardParams),
    ):
        workspace = getattr(lib, f"pm_cpu_{name}_workspace")
        workspace.argtypes = [ctypes.POINTER(params), ctypes.c_int32]
        workspace.restype = ctypes.c_size_t
        getattr(lib, f"pm_cpu_{name}").argtypes = [
            ctypes.POINTER(params),
            ctypes.c_void_p,
            ctypes.POINTER(Parallel),
        ]
    return lib


def available_isas(lib: ctypes.CDLL) -> list[str]:
    """Instruction sets this machine has, widest first; leaves the automatic choice in force."""
    found = [name for name in ISAS if lib.pm_cpu_set_isa(name.encode()) == OK]
    assert lib.pm_cpu_set_isa(None) == OK
    return found


@dataclass
class CrossScanCase:
    """One CrossSelectiveScan problem; arrays are made by `kernel_cases.py`."""

    x: np.ndarray  # [batch, frames, joints, d_inner]
    x_dbl: np.ndarray  # [batch, frames, joints, directions * (dt_rank + 2 * d_state)]
    dt_weight: np.ndarray  # [directions, d_inner, dt_rank]
    dt_bias: np.ndarray  # [directions, d_inner]
    A: np.ndarray  # [directions, d_inner, d_state]
    D: np.ndarray  # [directions, d_inner]
    order: tuple[int, ...] = (0, 1, 0, 1)
    reverse: tuple[int, ...] = (0, 0, 1, 1)
    limb_mask: tuple[int, ...] = (1, 0, 1, 0)
    limb_index: tuple[int, ...] = H36M_LIMB
    half_sums: int = 0


@dataclass
class ScanCase:
    """One SelectiveScan problem."""

    u: np.ndarray  # [batch, groups * channels, length]
    delta: np.ndarray  # [batch, groups * channels, length]
    A: np.ndarray  # [groups * channels, d_state]
    B: np.ndarray  # [batch, groups, d_state, length]
    C: np.ndarray  # [batch, groups, d_state, length]
    D: np.ndarray | None = None  # [groups * channels]
    z: np.ndarray | None = None  # as u
    delta_bias: np.ndarray | None = None  # [groups * channels]
    delta_softplus: bool = True
    reverse: tuple[int, ...] = field(default_factory=lambda: (0,) * MAX_DIRECTIONS)


GUARD = 0x5A
GUARD_BYTES = 192


class Guarded:
    """`nbytes` of poisoned memory (all ones: NaN in float16 and float32) between guard bands."""

    def __init__(self, nbytes: int, misalign: int = 0) -> None:
        self._raw = np.full(nbytes + 2 * GUARD_BYTES + 64 + misalign, GUARD, np.uint8)
        start = -self._raw.ctypes.data % 64 + misalign + GUARD_BYTES // 64 * 64
        self._start, self._stop = start, start + nbytes
        self.bytes = self._raw[start : start + nbytes]
        self.bytes[:] = 0xFF

    @property
    def pointer(self) -> int:
        return int(self.bytes.ctypes.data)

    def check(self, what: str) -> None:
        outside = np.concatenate([self._raw[: self._start], self._raw[self._stop :]])
        touched = np.count_nonzero(outside != GUARD)
        assert touched == 0, f"{touched} bytes written outside {what}"


def position_stride(array: np.ndarray) -> int:
    """Elements between positions of [batch, frames, joints, row]; the rest must follow from it."""
    stride = array.strides[2] // array.itemsize
    _, frames, joints, _ = array.shape
    itemsize = array.itemsize
    expected = (frames * joints * stride, joints * stride, stride, 1)
    for size, actual, want in zip(array.shape, array.strides, expected, strict=True):
        assert size == 1 or actual == want * itemsize
    return stride


def cross_scan_params(case: CrossScanCase) -> CrossScanParams:
    """Parameters of a case, all but y and y_stride."""
    batch, frames, joints, d_inner = case.x.shape
    p = CrossScanParams()
    p.x, p.x_dbl = case.x.ctypes.data, case.x_dbl.ctypes.data
    for name in ("dt_weight", "dt_bias", "A", "D"):
        array = getattr(case, name)
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        setattr(p, name, array.ctypes.data)
    p.batch, p.frames, p.joints, p.d_inner = batch, frames, joints, d_inner
    p.x_stride, p.x_dbl_stride = position_stride(case.x), position_stride(case.x_dbl)
    p.y_stride = d_inner
    p.d_state, p.dt_rank, p.directions = case.A.shape[2], case.dt_weight.shape[2], len(case.order)
    p.dtype = {"float32": 0, "float16": 1}[case.x.dtype.name]
    for k in range(p.directions):
        p.order[k], p.reverse[k] = case.order[k], case.reverse[k]
        p.limb_mask[k] = case.limb_mask[k]
    for j in range(joints):
        p.limb_index[j] = case.limb_index[j]
    p.half_sums = case.half_sums
    return p


def run_cross_scan(
    lib: ctypes.CDLL,
    case: CrossScanCase,
    *,
    threads: int = 1,
    y_extra: int = 0,
    misalign: int = 0,
) -> np.ndarray:
    """y [batch, frames, joints, d_inner] through the C API, with all guards checked.

    `y_extra` elements follow every row of y and must not be written; `misalign` bytes offset y and
    the workspace from a 64-byte boundary.
    """
    p = cross_scan_params(case)
    p.y_stride = p.d_inner + y_extra
    rows = p.batch * p.frames * p.joints
    itemsize = case.x.itemsize
    y = Guarded(rows * p.y_stride * itemsize, misalign)
    p.y = y.pointer
    size = lib.pm_cpu_cross_scan_workspace(ctypes.byref(p), threads)
    assert size > 0
    workspace = Guarded(size, misalign)
    parallel = lib.pm_cpu_pool(threads) if threads > 1 else None
    status = lib.pm_cpu_cross_scan(ctypes.byref(p), workspace.pointer, parallel)
    assert status == OK, lib.pm_status_string(status).decode()
    y.check("y")
    workspace.check("the workspace")
    out = y.bytes.view(case.x.dtype).reshape(rows, p.y_stride)
    gap = out[:, p.d_inner :].tobytes()
    assert gap == b"\xff" * len(gap), "elements between rows of y were written"
    return out[:, : p.d_inner].reshape(case.x.shape).copy()


def scan_params(case: ScanCase) -> ScanParams:
    """Parameters of a case, all but y."""
    batch, all_channels, length = case.u.shape
    groups = case.B.shape[1]
    p = ScanParams()
    for name in ("u", "delta", "A", "B", "C", "D", "z", "delta_bias"):
        array = getattr(case, name)
        if array is not None:
            assert array.flags.c_contiguous
            setattr(p, name, array.ctypes.data)
    p.batch, p.length, p.groups, p.channels = batch, length, groups, all_channels // groups
    p.d_state, p.delta_softplus = case.A.shape[1], int(case.delta_softplus)
    p.dtype = {"float32": 0, "float16": 1}[case.u.dtype.name]
    for g in range(groups):
        p.reverse[g] = case.reverse[g]
    return p


def run_scan(
    lib: ctypes.CDLL, case: ScanCase, *, threads: int = 1, misalign: int = 0
) -> np.ndarray:
    """y [batch, groups * channels, length] through the C API, with all guards checked."""
    p = scan_params(case)
    y = Guarded(case.u.nbytes, misalign)
    p.y = y.pointer
    size = lib.pm_cpu_scan_workspace(ctypes.byref(p), threads)
    assert size > 0
    workspace = Guarded(size)
    parallel = lib.pm_cpu_pool(threads) if threads > 1 else None
    status = lib.pm_cpu_scan(ctypes.byref(p), workspace.pointer, parallel)
    assert status == OK, lib.pm_status_string(status).decode()
    y.check("y")
    workspace.check("the workspace")
    return y.bytes.view(case.u.dtype).reshape(case.u.shape).copy()
