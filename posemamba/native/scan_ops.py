"""The two scan operators as PyTorch custom ops, namespace ``posemamba``.

They run the project's native kernels, have fake kernels (so ``torch.export`` and ``torch.compile``
see through them) and true gradients (recomputed through the chunked scan). Neither mamba-ssm nor a
GPU is needed. ``docs/reference/ops.md`` specifies both; the ONNX operators of the same names are identical.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from ctypes import c_void_p
from typing import Any

import torch
from torch import Tensor

from posemamba.errors import InputError
from posemamba.native import library as native
from posemamba.scan import chunked as chunked_scan
from posemamba.scan import reference

Shape = tuple[int, ...]
_DTYPE_CODES = {torch.float32: 0, torch.float16: 1}
_SCAN_LIMITS = "the kernels take d_inner in multiples of 8 and the sizes of posemamba/scan.h"


def dtype_code(tensor: Tensor, op: str) -> int:
    """The launchers' ``pm_dtype`` of a tensor.

    Raises:
        InputError: neither float32 nor float16.
    """
    try:
        return _DTYPE_CODES[tensor.dtype]
    except KeyError:
        raise InputError(
            f"{op} takes float32 or float16, not {tensor.dtype}: convert the model, "
            "or use scan='reference'"
        ) from None


def _require_shapes(op: str, first: Tensor, shapes: Mapping[str, tuple[Tensor, Shape]]) -> None:
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


def _require_axes(op: str, name: str, tensor: Tensor, axes: int) -> None:
    if tensor.ndim != axes:
        raise InputError(f"posemamba::{op}: {name} has {tensor.ndim} axes, it must have {axes}")


def _position_rows(tensor: Tensor) -> tuple[Tensor, int]:
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


def cross_scan_params(
    x: Tensor,
    x_stride: int,
    x_dbl: Tensor,
    x_dbl_stride: int,
    weights: Sequence[Tensor],
    d_state: int,
    dt_rank: int,
    order: Sequence[int],
    reverse: Sequence[int],
    limb_mask: Sequence[int],
    limb_index: Sequence[int],
    y: int | None = None,
) -> native.CrossScanParams:
    """The launchers' parameters; arguments as :func:`cross_selective_scan`, ``y`` an address.

    Args:
        x_stride, x_dbl_stride: distance between positions in elements.
        weights: ``dt_weight, dt_bias, A, D``, float32 and contiguous.
    """
    dt_weight, dt_bias, A, D = weights
    return native.CrossScanParams(
        x=x.data_ptr(),
        x_dbl=x_dbl.data_ptr(),
        dt_weight=dt_weight.data_ptr(),
        dt_bias=dt_bias.data_ptr(),
        A=A.data_ptr(),
        D=D.data_ptr(),
        y=y,
        batch=x.shape[0],
        frames=x.shape[1],
        x_stride=x_stride,
        x_dbl_stride=x_dbl_stride,
        y_stride=x.shape[3],
        joints=x.shape[2],
        d_inner=x.shape[3],
        d_state=d_state,
        dt_rank=dt_rank,
        directions=len(order),
        dtype=dtype_code(x, "cross_selective_scan"),
        order=native.int_array(order, native.MAX_DIRECTIONS),
        reverse=native.int_array(reverse, native.MAX_DIRECTIONS),
        limb_mask=native.int_array(limb_mask, native.MAX_DIRECTIONS),
        limb_index=native.int_array(limb_index, native.MAX_JOINTS),
    )


def cuda_workspace(name: str, params: ctypes.Structure, device: torch.device) -> Tensor:
    """Device memory for one launch, of the size the launcher asks for on that device.

    The caching allocator hands it to the same stream again, so it may be freed after the launch.
    """
    library = native.load_cuda_library()
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
    launch = getattr(native.load_cuda_library(), f"pm_cuda_{name}")
    with torch.cuda.device(device):
        stream = torch.cuda.current_stream(device).cuda_stream
        error = launch(ctypes.byref(params), *map(c_void_p, middle), c_void_p(stream))
    if error != 0:
        raise InputError(f"posemamba::{name}: CUDA error {error}; {limits}")


def _run(name: str, params: ctypes.Structure, device: torch.device) -> None:
    if device.type == "cuda":
        workspace = cuda_workspace(name, params, device)
        launch_cuda(name, params, device, _SCAN_LIMITS, None, workspace.data_ptr())
        return
    library = native.load_cpu_library()
    threads = torch.get_num_threads()
    size = getattr(library, f"pm_cpu_{name}_workspace")(ctypes.byref(params), threads)
    workspace = torch.empty(size, dtype=torch.uint8)
    launch = getattr(library, f"pm_cpu_{name}")
    status = launch(ctypes.byref(params), workspace.data_ptr(), library.pm_cpu_pool(threads))
    if status != 0:
        raise InputError(f"posemamba::{name}: {library.pm_status_string(status).decode()}")


@torch.library.custom_op(
    "posemamba::cross_selective_scan", mutates_args=(), device_types=("cpu", "cuda")
)
def cross_selective_scan(
    x: Tensor,
    x_dbl: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    d_state: int,
    dt_rank: int,
    order: Sequence[int],
    reverse: Sequence[int],
    limb_mask: Sequence[int],
    limb_index: Sequence[int],
) -> Tensor:
    """K selective scans over the (frames, joints) grid and their sum, in one pass.

    PoseMamba (arXiv 2408.03540), section 3.2; Mamba (arXiv 2312.00752), algorithm 2.

    Args:
        x: (batch, frames, joints, d_inner), float32 or float16.
        x_dbl: (batch, frames, joints, K * (dt_rank + 2 * d_state)), dtype of ``x``; per direction
            the raw step sizes, B and C, in position order and before any limb sum.
        dt_weight: (K, d_inner, dt_rank) float32.
        dt_bias, D: (K, d_inner) float32.
        A: (K, d_inner, d_state) float32, already ``-exp(A_log)``.
        order, reverse, limb_mask: per direction, as :class:`posemamba.scan_order.ScanOrder`.
        limb_index: limb neighbour of each joint.

    Returns:
        (batch, frames, joints, d_inner), dtype of ``x``, accumulated in float32.

    Raises:
        InputError: a dtype or size the kernels do not take, tensors that do not fit each other, or
            the native library is missing.
    """
    _require_axes("cross_selective_scan", "x", x, 4)
    batch, frames, joints, inner = x.shape
    k = len(order)
    lengths = (len(reverse), len(limb_mask), len(limb_index))
    if lengths != (k, k, joints):
        raise InputError(
            f"posemamba::cross_selective_scan: reverse, limb_mask and limb_index have {lengths} "
            f"entries, {k} directions and {joints} joints ask for {(k, k, joints)}"
        )
    shapes = {
        "x_dbl": (x_dbl, (batch, frames, joints, k * (dt_rank + 2 * d_state))),
        "dt_weight": (dt_weight, (k, inner, dt_rank)),
        "dt_bias": (dt_bias, (k, inner)),
        "A": (A, (k, inner, d_state)),
        "D": (D, (k, inner)),
    }
    _require_shapes("cross_selective_scan", x, shapes)
    x, x_stride = _position_rows(x)
    x_dbl, x_dbl_stride = _position_rows(x_dbl.to(x.dtype))
    weights = [t.to(torch.float32).contiguous() for t in (dt_weight, dt_bias, A, D)]
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    walk = (order, reverse, limb_mask, limb_index)
    params = cross_scan_params(
        x, x_stride, x_dbl, x_dbl_stride, weights, d_state, dt_rank, *walk, y=y.data_ptr()
    )
    if y.numel():
        _run("cross_scan", params, x.device)
    return y


@cross_selective_scan.register_fake
def _(x: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:  # noqa: ANN401
    return x.new_empty(x.shape)


@torch.library.custom_op("posemamba::selective_scan", mutates_args=(), device_types=("cpu", "cuda"))
def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    delta_bias: Tensor,
    z: Tensor | None,
    delta_softplus: bool,
    reverse: Sequence[int],
) -> Tensor:
    """The Mamba-1 scan, what ``mamba_ssm``'s ``selective_scan_fn`` computes.

    Shapes as :func:`posemamba.scan.reference.selective_scan`; float32 or float16 activations, float32
    ``A``, ``D`` and ``delta_bias``.

    Raises:
        InputError: a dtype or size the kernels do not take, tensors that do not fit each other, or
            the native library is missing.
    """
    _require_axes("selective_scan", "u", u, 3)
    _require_axes("selective_scan", "A", A, 2)
    batch, rows, length = u.shape
    groups, state = len(reverse), A.shape[1]
    if groups == 0 or rows % groups:
        raise InputError(
            f"posemamba::selective_scan: {rows} channels cannot be split into the {groups} groups "
            "of reverse"
        )
    shapes = {
        "delta": (delta, (batch, rows, length)),
        "A": (A, (rows, state)),
        "B": (B, (batch, groups, state, length)),
        "C": (C, (batch, groups, state, length)),
        "D": (D, (rows,)),
        "delta_bias": (delta_bias, (rows,)),
    }
    if z is not None:
        shapes["z"] = (z, (batch, rows, length))
    _require_shapes("selective_scan", u, shapes)
    u, delta, B, C = (t.to(u.dtype).contiguous() for t in (u, delta, B, C))
    z = None if z is None else z.to(u.dtype).contiguous()
    weights = [t.to(torch.float32).contiguous() for t in (A, D, delta_bias)]
    y = torch.empty_like(u)
    params = native.ScanParams(
        u=u.data_ptr(),
        delta=delta.data_ptr(),
        A=weights[0].data_ptr(),
        B=B.data_ptr(),
        C=C.data_ptr(),
        D=weights[1].data_ptr(),
        z=None if z is None else z.data_ptr(),
        delta_bias=weights[2].data_ptr(),
        y=y.data_ptr(),
        batch=batch,
        length=length,
        groups=groups,
        channels=rows // groups,
        d_state=state,
        delta_softplus=int(delta_softplus),
        dtype=dtype_code(u, "selective_scan"),
        reverse=native.int_array(reverse, native.MAX_DIRECTIONS),
    )
    if y.numel():
        _run("scan", params, u.device)
    return y


@selective_scan.register_fake
def _(u: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:  # noqa: ANN401
    return u.new_empty(u.shape)


def _save_inputs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
    tensors = [v if isinstance(v, Tensor) else None for v in inputs]
    ctx.save_for_backward(*tensors)
    ctx.constants = [None if isinstance(v, Tensor) else v for v in inputs]


def _recomputed_gradients(ctx: Any, grad: Tensor, function: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Gradients through a plain scan, of the inputs that need them."""
    values = [
        constant if saved is None else saved.detach().requires_grad_(ctx.needs_input_grad[i])
        for i, (saved, constant) in enumerate(zip(ctx.saved_tensors, ctx.constants, strict=True))
    ]
    wanted = [i for i, need in enumerate(ctx.needs_input_grad) if need]
    with torch.enable_grad():
        output = function(*values)
    found = torch.autograd.grad(output, [values[i] for i in wanted], grad)
    gradients: list[Tensor | None] = [None] * len(values)
    for i, gradient in zip(wanted, found, strict=True):
        gradients[i] = gradient
    return tuple(gradients)


def _cross_reference(*values: Any) -> Tensor:  # noqa: ANN401
    x, x_dbl, dt_weight, dt_bias, A, D, d_state, _, order, reverse, limb_mask, limb_index = values
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    inputs = reference.directional_inputs(
        x.to(work), x_dbl.to(work), dt_weight, d_state, order, limb_mask, limb_index
    )
    u, delta, B, C = inputs
    y = chunked_scan.selective_scan(
        u, delta, A.flatten(0, 1), B, C, D.flatten(), None, dt_bias.flatten(), True, list(reverse)
    )
    return reference.merge_directions(y, order, x.shape[1], x.shape[2]).to(x.dtype)


def _scan_reference(*values: Any) -> Tensor:  # noqa: ANN401
    u, delta, A, B, C, D, delta_bias, z, delta_softplus, reverse = values
    return chunked_scan.selective_scan(
        u, delta, A, B, C, D, z, delta_bias, delta_softplus, list(reverse)
    )


def _cross_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:  # noqa: ANN401
    return _recomputed_gradients(ctx, grad, _cross_reference)


def _scan_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:  # noqa: ANN401
    return _recomputed_gradients(ctx, grad, _scan_reference)


cross_selective_scan.register_autograd(_cross_backward, setup_context=_save_inputs)
selective_scan.register_autograd(_scan_backward, setup_context=_save_inputs)
