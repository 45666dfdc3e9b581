"""The gradients' launchers (`posemamba/scan_backward_cpu.h`) through ctypes, and their oracle.

The oracle is PyTorch's autograd of the step-by-step reference, in float64; in float32 it is "a
plain implementation", whose error is the yardstick for the kernels'.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import kernel_api
import numpy as np
import torch
from kernel_api import CrossScanCase, Guarded, ScanCase
from torch import Tensor

from posemamba.native.structs import CrossScanBackwardParams, ScanBackwardParams
from posemamba.scan import reference
from posemamba.scan.operands import Operands
from posemamba.scan_order import Walk

Gradients = dict[str, np.ndarray]
CROSS = ("x", "x_dbl", "dt_weight", "dt_bias", "A", "D")
SCAN = ("u", "delta", "A", "B", "C", "D", "delta_bias", "z")
_CROSS_FIELDS = dict(
    zip(CROSS, ("dx", "dx_dbl", "d_dt_weight", "d_dt_bias", "dA", "dD"), strict=True)
)
_SCAN_FIELDS = dict(
    zip(SCAN, ("du", "ddelta", "dA", "dB", "dC", "dD", "d_delta_bias", "dz"), strict=True)
)
LIMB = "x_dbl of limb neighbours"


def cotangent(like: np.ndarray, seed: int = 9) -> np.ndarray:
    """dy of a case."""
    drawn = np.random.default_rng(seed).standard_normal(like.shape)
    return drawn.astype(np.float32).astype(like.dtype)


@dataclass
class Launch:
    """How a launch is done, where it is not the plain way."""

    threads: int = 1
    misalign: int = 0
    official: bool = False


def cross_params(
    case: CrossScanCase, dy: np.ndarray, official: bool = False
) -> CrossScanBackwardParams:
    """Parameters of a case, all but the outputs."""
    return CrossScanBackwardParams(
        size=ctypes.sizeof(CrossScanBackwardParams),
        forward=kernel_api.cross_scan_params(case),
        dy=dy.ctypes.data,
        dy_stride=kernel_api.position_stride(dy),
        limb_gradient=int(official),
    )


def scan_params(case: ScanCase, dy: np.ndarray) -> ScanBackwardParams:
    """Parameters of a case, all but the outputs."""
    return ScanBackwardParams(
        size=ctypes.sizeof(ScanBackwardParams),
        forward=kernel_api.scan_params(case),
        dy=dy.ctypes.data,
    )


def run_cross(
    lib: ctypes.CDLL, case: CrossScanCase, dy: np.ndarray, how: Launch | None = None
) -> Gradients:
    """Gradients of all inputs by name, with all guards checked."""
    how = how or Launch()
    params = cross_params(case, dy, how.official)
    likes = {name: getattr(case, name) for name in CROSS}
    fields = dict(_CROSS_FIELDS)
    if how.official:
        likes[LIMB], fields[LIMB] = case.x_dbl, "dx_dbl_limb"
    return _run(lib, "cross_scan_backward", params, likes, fields, how)


def run_scan(
    lib: ctypes.CDLL, case: ScanCase, dy: np.ndarray, how: Launch | None = None
) -> Gradients:
    """Gradients of the inputs that there are."""
    given = {name: getattr(case, name) for name in SCAN}
    likes = {name: array for name, array in given.items() if array is not None}
    params = scan_params(case, dy)
    return _run(lib, "scan_backward", params, likes, _SCAN_FIELDS, how or Launch())


def _run(
    lib: ctypes.CDLL,
    name: str,
    params: CrossScanBackwardParams | ScanBackwardParams,
    likes: dict[str, np.ndarray],
    fields: dict[str, str],
    how: Launch,
) -> Gradients:
    outputs = {
        what: Guarded(like.size * like.itemsize, how.misalign) for what, like in likes.items()
    }
    for what, output in outputs.items():
        setattr(params, fields[what], output.pointer)
    size = getattr(lib, f"pm_cpu_{name}_workspace")(ctypes.byref(params), how.threads)
    assert size > 0
    workspace = Guarded(size, how.misalign)
    parallel = lib.pm_cpu_pool(how.threads) if how.threads > 1 else None
    status = getattr(lib, f"pm_cpu_{name}")(ctypes.byref(params), workspace.pointer, parallel)
    assert status == kernel_api.OK, lib.pm_status_string(status).decode()
    workspace.check("the workspace")
    for what, output in outputs.items():
        output.check(f"the gradient of {what}")
    return {
        what: output.bytes.view(likes[what].dtype).reshape(likes[what].shape).copy()
        for what, output in outputs.items()
    }


def cross_oracle(
    case: CrossScanCase, dy: np.ndarray, dtype: torch.dtype, official: bool = False
) -> Gradients:
    """Of all inputs; with ``official``, of the limb neighbours' x_dbl apart."""
    walk = Walk(case.order, case.reverse, case.limb_mask, case.limb_index[: case.x.shape[2]])

    def scan(x: Tensor, x_dbl: Tensor, weight: Tensor, bias: Tensor, A: Tensor, D: Tensor,
             limb: Tensor | None = None) -> Tensor:  # fmt: skip
        source = None if limb is None else (x.detach(), limb)
        u, delta, B, C = reference.directional_inputs(x, x_dbl, weight, A.shape[2], walk, source)
        given = Operands(
            *(u, delta, A.flatten(0, 1), B, C, D.flatten()),
            delta_bias=bias.flatten(),
            delta_softplus=True,
            reverse=walk.reverse,
        )
        y = reference.selective_scan(given)
        return reference.merge_directions(y, walk.order, x.shape[1], x.shape[2])

    inputs = {name: getattr(case, name) for name in CROSS}
    if official:
        inputs[LIMB] = case.x_dbl
    return _gradients(scan, inputs, dy, dtype)


def scan_oracle(case: ScanCase, dy: np.ndarray, dtype: torch.dtype) -> Gradients:
    """Of the inputs that there are."""
    inputs = {name: getattr(case, name) for name in SCAN}
    given = {name: array for name, array in inputs.items() if array is not None}
    reverse = case.reverse[: case.B.shape[1]]

    def scan(*tensors: Tensor) -> Tensor:
        named = dict.fromkeys(SCAN) | dict(zip(given, tensors, strict=True))
        return reference.selective_scan(
            Operands(**named, delta_softplus=case.delta_softplus, reverse=reverse)
        )

    return _gradients(scan, given, dy, dtype)


def _gradients(
    function: Callable[..., Tensor],
    inputs: dict[str, np.ndarray],
    dy: np.ndarray,
    dtype: torch.dtype,
) -> Gradients:
    leaves = [torch.from_numpy(a.copy()).to(dtype).requires_grad_() for a in inputs.values()]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for thousands of tiny operations
    try:
        found = torch.autograd.grad(
            function(*leaves), leaves, torch.from_numpy(dy.copy()).to(dtype), materialize_grads=True
        )
    finally:
        torch.set_num_threads(threads)
    return {name: gradient.numpy() for name, gradient in zip(inputs, found, strict=True)}


def check_gradients(
    got: Gradients, truth: Gradients, plain: Gradients, floor: float = 2e-6
) -> None:
    """Each gradient against the float64 oracle, with the plain float32 one beside it.

    float32: at most three times the plain one's error, or `floor` of the largest value: sums of
    many thousand terms, taken in another order than autograd's (seen: 1.1e-6). Fifty times less
    than the 1e-4 that training asks for. float16: half a unit in the last place of the output more.
    """
    assert got.keys() == truth.keys()
    for name, found in got.items():
        assert np.isfinite(found).all(), name
        error = np.abs(found.astype(np.float64) - truth[name])
        plain_error = np.abs(plain[name] - truth[name]).max()
        bound = max(3 * plain_error, floor * np.abs(truth[name]).max())
        if found.dtype == np.float16:
            bound = bound + np.maximum(np.abs(truth[name]) * 2.0**-11, 2.0**-25)
        excess = (error - bound).max()
        assert excess <= 0, f"{name}: error {error.max():.3g}, plain float32 {plain_error:.3g}"


def finite_differences(
    value: Callable[[CrossScanCase | ScanCase], float],
    case: CrossScanCase | ScanCase,
    names: Sequence[str],
    directions: int = 3,
) -> dict[str, list[tuple[np.ndarray, float]]]:
    """Random directions in each input, and how ``value`` grows along them by central differences.

    float64 arrays throughout; the step's cube is lost in the values' own rounding.
    """
    rng = np.random.default_rng(5)
    found: dict[str, list[tuple[np.ndarray, float]]] = {}
    for name in names:
        array = getattr(case, name).astype(np.float64)
        for _ in range(directions):
            way, step = rng.standard_normal(array.shape), 1e-5
            up, down = (
                value(replace(case, **{name: array + sign * step * way})) for sign in (1, -1)
            )
            found.setdefault(name, []).append((way, (up - down) / (2 * step)))
    return found
