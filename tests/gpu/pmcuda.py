"""ctypes binding of libposemamba_cuda.so for tests and benchmarks, on torch tensors.

`library` checks PM_ABI_VERSION before anything runs.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from posemamba.native.library import ABI_VERSION
from posemamba.native.structs import CrossScanParams, IndexedScanParams, ScanParams

CUDA_SUCCESS, CUDA_INVALID_VALUE, CUDA_NOT_SUPPORTED = 0, 1, 801
AUTO, CHUNKED, SERIAL = 0, 1, 2


class Tuning(ctypes.Structure):
    """pm_cuda_tuning."""

    _fields_ = [
        ("variant", ctypes.c_int32),
        ("chunks", ctypes.c_int32),
        ("config", ctypes.c_int32),
    ]


def library() -> ctypes.CDLL:
    """The library named by POSEMAMBA_CUDA_LIB (default: the build of benchmarks/gpu_run.sh)."""
    built = Path(__file__).resolve().parents[2] / "build/gpu/trt_plugins/kernels/cuda"
    path = Path(os.environ.get("POSEMAMBA_CUDA_LIB", built / "libposemamba_cuda.so"))
    lib = ctypes.CDLL(str(path))
    found = lib.pm_abi_version()
    if found != ABI_VERSION:
        raise RuntimeError(f"{path}: ABI version {found}, these tests need {ABI_VERSION}; rebuild")
    for op in ("cross_scan", "scan", "indexed_scan"):
        size = getattr(lib, f"pm_cuda_{op}_workspace")
        size.restype = ctypes.c_size_t
        size.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        getattr(lib, f"pm_cuda_{op}").argtypes = [ctypes.c_void_p] * 4
    return lib


@dataclass
class Directions:
    """How each direction walks the grid (pm_order codes and flags) and the limb table."""

    order: tuple[int, ...] = (0, 1, 0, 1)
    reverse: tuple[int, ...] = (0, 0, 1, 1)
    limb_mask: tuple[int, ...] = (1, 0, 1, 0)
    limb_index: tuple[int, ...] = (0, 0, 1, 2, 3, 0, 4, 5, 6, 8, 11, 12, 13, 8, 14, 15, 16)

    def __len__(self) -> int:
        return len(self.order)


@dataclass
class CrossInputs:
    """Tensors of one CrossSelectiveScan call; shapes as in scan.h."""

    launcher: ClassVar[str] = "cross_scan"

    x: torch.Tensor  # (batch, frames, joints, d_inner), last axis contiguous
    x_dbl: torch.Tensor  # (batch, frames, joints, K * (R + 2N)), last axis contiguous
    dt_weight: torch.Tensor  # (K, d_inner, R)
    dt_bias: torch.Tensor  # (K, d_inner)
    A: torch.Tensor  # (K, d_inner, N)
    D: torch.Tensor  # (K, d_inner)
    directions: Directions
    half_sums: int = 0

    def params(self, y: torch.Tensor) -> CrossScanParams:
        batch, frames, joints, d_inner = self.x.shape
        p = CrossScanParams()
        for name in ("x", "x_dbl", "dt_weight", "dt_bias", "A", "D"):
            setattr(p, name, getattr(self, name).data_ptr())
        p.y = y.data_ptr()
        p.batch, p.frames, p.joints, p.d_inner = batch, frames, joints, d_inner
        p.x_stride, p.x_dbl_stride = self.x.stride(2), self.x_dbl.stride(2)
        p.y_stride = y.stride(2)
        p.d_state, p.dt_rank = self.A.shape[2], self.dt_weight.shape[2]
        p.directions = len(self.directions)
        p.dtype = 1 if self.x.dtype == torch.float16 else 0
        d = self.directions
        p.order[: len(d)] = d.order
        p.reverse[: len(d)] = d.reverse
        p.limb_mask[: len(d)] = d.limb_mask
        p.limb_index[:joints] = d.limb_index[:joints]
        p.half_sums = self.half_sums
        return p


@dataclass
class IndexedInputs:
    """Tensors of one CrossSelectiveScan call of version 2; shapes as in scan_v2.h."""

    launcher: ClassVar[str] = "indexed_scan"

    x: torch.Tensor  # (batch, positions, d_inner), last axis contiguous
    x_dbl: torch.Tensor  # (batch, positions, K * (R + 2N)), last axis contiguous
    dt_weight: torch.Tensor  # (K, d_inner, R)
    dt_bias: torch.Tensor  # (K, d_inner)
    A: torch.Tensor  # (K, d_inner, N)
    D: torch.Tensor  # (K, d_inner)
    scan_index: torch.Tensor  # (K, steps), int32
    neighbour_index: torch.Tensor | None = None
    reset_length: torch.Tensor | None = None  # (K,), int32

    def params(self, y: torch.Tensor) -> IndexedScanParams:
        p = IndexedScanParams()
        for name in vars(self):
            tensor = getattr(self, name)
            setattr(p, name, None if tensor is None else tensor.data_ptr())
        p.y = y.data_ptr()
        p.batch, p.positions, p.d_inner = self.x.shape
        p.directions, p.steps = self.scan_index.shape
        p.x_stride, p.x_dbl_stride, p.y_stride = (t.stride(1) for t in (self.x, self.x_dbl, y))
        p.d_state, p.dt_rank = self.A.shape[2], self.dt_weight.shape[2]
        p.dtype = 1 if self.x.dtype == torch.float16 else 0
        return p


@dataclass
class ScanInputs:
    """Tensors of one SelectiveScan call; shapes as in scan.h."""

    launcher: ClassVar[str] = "scan"

    u: torch.Tensor  # (batch, groups * channels, length)
    delta: torch.Tensor
    A: torch.Tensor  # (groups * channels, N)
    B: torch.Tensor  # (batch, groups, N, length)
    C: torch.Tensor
    D: torch.Tensor | None = None
    z: torch.Tensor | None = None
    delta_bias: torch.Tensor | None = None
    delta_softplus: bool = True
    reverse: tuple[int, ...] = (0, 0, 0, 0)

    def params(self, y: torch.Tensor) -> ScanParams:
        batch, rows, length = self.u.shape
        groups = self.B.shape[1]
        p = ScanParams()
        for name in ("u", "delta", "A", "B", "C", "D", "z", "delta_bias"):
            tensor = getattr(self, name)
            setattr(p, name, None if tensor is None else tensor.data_ptr())
        p.y = y.data_ptr()
        p.batch, p.length, p.groups, p.channels = batch, length, groups, rows // groups
        p.d_state, p.delta_softplus = self.A.shape[1], int(self.delta_softplus)
        p.dtype = 1 if self.u.dtype == torch.float16 else 0
        p.reverse[:groups] = self.reverse[:groups]
        return p


class Op:
    """One prepared call: parameters, workspace and output stay alive with it."""

    def __init__(
        self,
        lib: ctypes.CDLL,
        inputs: CrossInputs | ScanInputs | IndexedInputs,
        y: torch.Tensor,
        tuning: Tuning | None = None,
        poison: bool = False,
    ) -> None:
        name = inputs.launcher
        self._launch = getattr(lib, f"pm_cuda_{name}")
        self._inputs, self.y, self._tuning = inputs, y, tuning
        self._params = inputs.params(y)
        self._address = ctypes.addressof(self._params)
        self._tuning_address = None if tuning is None else ctypes.addressof(tuning)
        size = getattr(lib, f"pm_cuda_{name}_workspace")(self._address, self._tuning_address)
        self.workspace_bytes = size
        self.workspace = torch.empty(max(size, 256) // 4, dtype=torch.float32, device="cuda")
        if poison:
            self.workspace.fill_(float("nan"))

    def launch(self) -> int:
        """Enqueues on torch's current stream; the cudaError_t of the launch."""
        stream = torch.cuda.current_stream().cuda_stream
        return int(
            self._launch(
                self._address, self._tuning_address, self.workspace.data_ptr(), stream or None
            )
        )

    def __call__(self) -> torch.Tensor:
        error = self.launch()
        if error != CUDA_SUCCESS:
            raise RuntimeError(f"the launcher returned cudaError_t {error}")
        return self.y
