"""Tensors to the kernels' launchers: addresses, strides, dtypes, workspaces, the launch itself."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import c_void_p

import torch
from torch import Tensor
from torch.autograd import forward_ad

from posemamba.errors import InputError
from posemamba.native.library import load_cpu_library, load_cuda_library
from posemamba.native.structs import SCAN_SIZES, SCAN_V2_SIZES
from posemamba.text import plural

Shape = tuple[int, ...]
_DTYPE_CODES = {torch.float32: 0, torch.float16: 1}
_WEIGHT_TYPES = (torch.float32, torch.float16, torch.bfloat16)
"""Types of weights that float32 holds without rounding: the kernels read float32."""
_ELSEWHERE = (
    "convert it, or use plain PyTorch: model.set_scan('reference') of a PoseMamba, "
    "posemamba.mamba.selective_scan_fn elsewhere"
)
_BAD_SHAPE = 2
_SCAN_LIMITS = "the kernels take d_inner in multiples of 8 and the sizes of posemamba/scan.h"


def addresses(**tensors: Tensor | None) -> dict[str, int | None]:
    """The pointer fields of a struct, by name; null for None."""
    return {name: None if t is None else t.data_ptr() for name, t in tensors.items()}


def grid(tensor: Tensor) -> dict[str, int]:
    """The size fields of a struct whose first input is (batch, frames, joints, ...)."""
    return dict(zip(("batch", "frames", "joints"), tensor.shape, strict=False))


def dtype_code(tensor: Tensor, op: str) -> int:
    """The launchers' ``pm_dtype`` of a tensor.

    Raises:
        InputError: neither float32 nor float16.
    """
    try:
        return _DTYPE_CODES[tensor.dtype]
    except KeyError:
        raise InputError(
            f"{op} takes float32 or float16, not {tensor.dtype}: {_ELSEWHERE}"
        ) from None


def require_types(
    op: str, activations: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> None:
    """The kernels read one type of activations and float32 weights: nothing is rounded in silence,
    and no imaginary part dropped.

    Args:
        activations: the first one's type is that of all.
        weights: float32, or narrower.

    Raises:
        InputError: so.
    """
    first, of = next(iter(activations.items()))
    for name, tensor in activations.items():
        if tensor.dtype != of.dtype:
            raise InputError(
                f"posemamba::{op}: {name} is {tensor.dtype}, {first} is {of.dtype}: {_ELSEWHERE}"
            )
    for name, tensor in weights.items():
        if tensor.dtype not in _WEIGHT_TYPES:
            raise InputError(
                f"posemamba::{op}: {name} is {tensor.dtype}, the kernels read weights as "
                f"torch.float32: {_ELSEWHERE}"
            )


def require_shapes(op: str, first: Tensor, shapes: Mapping[str, tuple[Tensor, Shape]]) -> None:
    """The kernels get bare addresses: a tensor of another size would be read past its end.

    Raises:
        InputError: a tensor that does not have its shape, or is on another device than ``first``.
    """
    for name, (tensor, shape) in shapes.items():
        if tuple(tensor.shape) != shape:
            raise InputError(
                f"posemamba::{op}: {name} is {list(tensor.shape)}, it must be {list(shape)}"
            )
        if tensor.device != first.device:
            raise InputError(
                f"posemamba::{op}: {name} is on {tensor.device}, the first input on {first.device}"
            )


def require_axes(op: str, name: str, tensor: Tensor, axes: int) -> None:
    """Refuse a tensor of another number of axes.

    Raises:
        InputError: so.
    """
    if tensor.ndim != axes:
        found = plural(tensor.ndim, "axis", "axes")
        raise InputError(f"posemamba::{op}: {name} has {found}, it must have {axes}")


def position_rows(tensor: Tensor) -> tuple[Tensor, int]:
    """A tensor whose positions are evenly spaced rows, and their distance in elements.

    Slices of the last axis pass without a copy; anything else is made contiguous.
    """
    _, frames, joints, width = tensor.shape
    stride = tensor.stride(2) if joints > 1 else (tensor.stride(1) if frames > 1 else width)
    expected = (frames * joints * stride, joints * stride, stride, 1)
    even = all(
        size == 1 or have == want
        for size, have, want in zip(tensor.shape, tensor.stride(), expected, strict=True)
    )
    if not even or stride < width:
        return tensor.contiguous(), width
    return tensor, stride


def row_stride(tensor: Tensor) -> int:
    """Distance in elements between the rows of a slice of a contiguous tensor's last axis.

    Raises:
        InputError: rows that are not evenly spaced.
    """
    stride = tensor.stride(-2)
    expected = stride
    for size, have in zip(tensor.shape[-2::-1], tensor.stride()[-2::-1], strict=True):
        if size != 1 and have != expected:
            raise InputError(f"rows of a tensor of strides {tensor.stride()} are not evenly spaced")
        expected = expected * size
    return stride


def cuda_workspace(name: str, params: ctypes.Structure, device: torch.device) -> Tensor:
    """Device memory for one launch, of the size the launcher asks for on that device.

    The caching allocator hands it to the same stream again, so it may be freed after the launch.
    """
    library = load_cuda_library()
    with torch.cuda.device(device):
        size = getattr(library, f"pm_cuda_{name}_workspace")(ctypes.byref(params), None)
    return torch.empty(size, dtype=torch.uint8, device=device)


def launch_cuda(
    name: str, params: ctypes.Structure, device: torch.device, limits: str, *middle: int | None
) -> None:
    """Launch ``pm_cuda_<name>`` on the device's current stream.

    Args:
        limits: what the kernel takes, for the error.
        middle: addresses between ``params`` and the stream.

    Raises:
        InputError: the launcher refuses, or CUDA fails.
    """
    launch = getattr(load_cuda_library(), f"pm_cuda_{name}")
    with torch.cuda.device(device):
        stream = torch.cuda.current_stream(device).cuda_stream
        error = launch(ctypes.byref(params), *map(c_void_p, middle), c_void_p(stream))
    if error != 0:
        raise InputError(f"posemamba::{name}: CUDA error {error}; {limits}")


def launch_scan(name: str, params: ctypes.Structure, device: torch.device) -> None:
    """Run one of the scans where its tensors are, with the workspace it asks for.

    Raises:
        InputError: the launcher refuses, or a forward derivative is being taken, which would be
            zero in silence.
    """
    if forward_ad._current_level >= 0:
        raise InputError(
            f"posemamba::{name} has no forward derivatives (jvp, jacfwd): take reverse mode, or "
            "plain PyTorch: model.set_scan('reference')"
        )
    if device.type == "cuda":
        workspace = cuda_workspace(name, params, device)
        limits = _size_beyond(name, params) or _SCAN_LIMITS
        launch_cuda(name, params, device, limits, None, workspace.data_ptr())
        return
    library = load_cpu_library()
    threads = torch.get_num_threads()
    size = getattr(library, f"pm_cpu_{name}_workspace")(ctypes.byref(params), threads)
    workspace = torch.empty(size, dtype=torch.uint8)
    launch = getattr(library, f"pm_cpu_{name}")
    status = launch(ctypes.byref(params), workspace.data_ptr(), library.pm_cpu_pool(threads))
    if status != 0:
        named = _size_beyond(name, params) if status == _BAD_SHAPE else None
        reason = named or library.pm_status_string(status).decode()
        raise InputError(f"posemamba::{name}: {reason}")


#: What each launcher's struct may hold.
_SIZES = {
    "cross_scan": SCAN_SIZES,
    "scan": SCAN_SIZES,
    "indexed_scan": SCAN_V2_SIZES,
    "stateful_scan": SCAN_V2_SIZES,
    "cross_scan_backward": SCAN_SIZES,
    "scan_backward": SCAN_SIZES,
}


def _size_beyond(name: str, params: ctypes.Structure) -> str | None:
    """``d_state is 128, the kernels take 1 to 64`` of the first size that is so; None for none."""
    # Version 2 of ``scan`` and the gradients wrap another struct.
    sizes = getattr(params, "scan", getattr(params, "forward", params))
    for field, most in _SIZES[name].items():
        size = getattr(sizes, field, 1)
        if size < 1 or (most is not None and size > most):
            taken = "at least 1" if most is None else f"1 to {most}"
            return f"{field} is {size}, the kernels take {taken}"
    return None
