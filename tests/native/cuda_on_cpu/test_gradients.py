"""The CUDA kernels of both gradients, run on the CPU, against float64 autograd of the plain scan.

One base case, and rows that vary one parameter. The workspace, the outputs and shared memory start
as NaN, so a part that nobody wrote fails the comparison.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import replace
from typing import Any

import kernel_cases
import kernel_gradients
import numpy as np
import op_gradients as ops
import pytest
import torch
from cuda_emulation import Emulation, Tuning
from kernel_api import CrossScanCase, Guarded, ScanCase

from posemamba.config import PoseMambaConfig
from posemamba.model.blocks import ScanBackend
from posemamba.model.network import PoseMamba
from posemamba.native.structs import CrossScanBackwardParams
from posemamba.scan_order import SCAN_ORDERS

INVALID_VALUE, NOT_SUPPORTED = 1, 801


def cross_case(**changes: Any) -> CrossScanCase:
    """51 steps: three chunks of 16 and a part of one; 40 channels of a block of 64."""
    return kernel_cases.cross_scan_case(**{"frames": 3, **changes})


def check_cross(case: CrossScanCase, official: bool = False) -> None:
    dy = kernel_gradients.cotangent(case.x)
    found = ops.cross_gradients(case, torch.from_numpy(dy), official)
    truth, plain = (
        kernel_gradients.cross_oracle(case, dy, work, official)
        for work in (torch.float64, torch.float32)
    )
    kernel_gradients.check_gradients(found, truth, plain)


def check_scan(case: ScanCase) -> None:
    dy = kernel_gradients.cotangent(case.u)
    found = ops.scan_gradients(case, torch.from_numpy(dy))
    truth, plain = (
        kernel_gradients.scan_oracle(case, dy, work) for work in (torch.float64, torch.float32)
    )
    kernel_gradients.check_gradients(found, truth, plain)


@pytest.mark.parametrize("official", [False, True], ids=["true", "official"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_both_limb_rules(emulation: Emulation, dtype: str, official: bool) -> None:
    check_cross(cross_case(dtype=dtype), official)


@pytest.mark.parametrize("official", [False, True], ids=["true", "official"])
@pytest.mark.parametrize("name", SCAN_ORDERS)
def test_scan_orders(emulation: Emulation, name: str, official: bool) -> None:
    order = SCAN_ORDERS[name]
    walks = {"order": order.order, "reverse": order.reverse, "limb_mask": order.limb_mask}
    check_cross(cross_case(frames=2, d_inner=8, **walks), official)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("mask", [0, 1])
def test_walks(emulation: Emulation, order: int, reverse: int, mask: int) -> None:
    check_cross(cross_case(d_inner=8, order=(order,), reverse=(reverse,), limb_mask=(mask,)))


def test_eight_directions(emulation: Emulation) -> None:
    check_cross(cross_case(frames=2, d_inner=8, order=(0, 1, 2, 3) * 2, reverse=(0, 1) * 4,
                           limb_mask=(1, 1, 0, 0) * 2))  # fmt: skip


@pytest.mark.parametrize(
    ("frames", "joints"),
    [(1, 1), (2, 1), (1, 31), (16, 2), (3, 11), (43, 3), (1, 64)],
    ids=["1", "2", "31", "32", "33", "129", "64"],
)
def test_length(emulation: Emulation, frames: int, joints: int) -> None:
    check_cross(cross_case(frames=frames, joints=joints, d_inner=8))


@pytest.mark.parametrize("d_inner", [1, 7, 32, 33, 64, 72])
def test_channels(emulation: Emulation, d_inner: int) -> None:
    check_cross(cross_case(frames=2, d_inner=d_inner))


def test_batch(emulation: Emulation) -> None:
    check_cross(cross_case(batch=3, frames=2, d_inner=72), official=True)


@pytest.mark.parametrize("d_state", [1, 9, 17, 32, 33, 64])
def test_states(emulation: Emulation, d_state: int) -> None:
    check_cross(cross_case(frames=2, d_state=d_state))
    check_scan(kernel_cases.scan_case(batch=1, d_state=d_state))


@pytest.mark.parametrize("dt_rank", [1, 5, 16, 33])
def test_dt_rank(emulation: Emulation, dt_rank: int) -> None:
    check_cross(cross_case(frames=2, dt_rank=dt_rank))


@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 129])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_scan_length(emulation: Emulation, length: int, dtype: str) -> None:
    check_scan(kernel_cases.scan_case(length=length, channels=9, dtype=dtype))


@pytest.mark.parametrize(
    "row",
    [
        {"with_d": False},
        {"with_z": False},
        {"with_bias": False},
        {"delta_softplus": False, "with_bias": False},
    ],
    ids=lambda row: next(iter(row)),
)
def test_optional_inputs(emulation: Emulation, row: dict[str, bool]) -> None:
    check_scan(kernel_cases.scan_case(**row))


@pytest.mark.parametrize("channels", [1, 70])
def test_scan_channels(emulation: Emulation, channels: int) -> None:
    check_scan(kernel_cases.scan_case(batch=1, groups=3, channels=channels))


@pytest.mark.parametrize("shift", [-12.0, -6.0, 6.0, 25.0])
def test_extreme_dt(emulation: Emulation, shift: float) -> None:
    """dt from 1e-8, whose slope must keep its digits, to 25, where it is 1 and all decay is 0."""
    case = cross_case()
    check_cross(replace(case, dt_bias=case.dt_bias + np.float32(shift)))


@pytest.mark.parametrize("a_scale", [1e-3, 30.0, 1e4])
def test_decay(emulation: Emulation, a_scale: float) -> None:
    check_cross(cross_case(a_scale=a_scale))


@pytest.mark.parametrize("d_state", [16, 32, 64])
def test_shared_memory(emulation: Emulation, d_state: int) -> None:
    """The widest projection fits the smallest GPU that we support (99 KB: sm_86, 89 and 120), with
    fewer warps a thread block."""
    emulation.shared_bytes(99 * 1024)
    case = cross_case(frames=1, d_state=d_state, d_inner=136, dt_rank=128)
    check_cross(case)
    emulation.shared_bytes(16 * 1024)
    assert emulation.workspace("cross_scan_backward", cross_params(case)[0]) == 0


@pytest.mark.parametrize("case", ["cross", "scan"])
def test_any_order_of_threads(emulation: Emulation, case: str) -> None:
    """The same bits whichever thread comes first: accesses that meet have a barrier between."""

    if case == "cross":
        fused = cross_case(d_inner=72)
        dy = torch.from_numpy(kernel_gradients.cotangent(fused.x))
        gradients = functools.partial(ops.cross_gradients, fused, dy, official=True)
    else:
        scan = kernel_cases.scan_case(channels=72)
        dy = torch.from_numpy(kernel_gradients.cotangent(scan.u))
        gradients = functools.partial(ops.scan_gradients, scan, dy)
    first = gradients()
    for order in (1, 2, 3):
        emulation.order(order)
        again = gradients()
        assert all(np.array_equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("official", [False, True], ids=["true", "official"])
def test_a_network_trains_through_them(emulation: Emulation, official: bool) -> None:
    """scan='fused', whose forward pass is the CPU's, against the plain scan in float64."""
    torch.manual_seed(0)
    network = PoseMamba(PoseMambaConfig(d_model=16, depth=1, frames=3, drop_path=0.0))

    def gradients_of(scan: ScanBackend, work: torch.dtype) -> dict[str, torch.Tensor]:
        used = copy.deepcopy(network).to(work).set_scan(scan)
        used.set_official_limb_gradient(official)
        keypoints = torch.linspace(-1, 1, 2 * 3 * 17 * 2, dtype=work).view(2, 3, 17, 2)
        used(keypoints).square().mean().backward()
        return {n: p.grad for n, p in used.named_parameters() if p.grad is not None}

    truth, found = gradients_of("reference", torch.float64), gradients_of("fused", torch.float32)
    assert truth.keys() == found.keys()
    for name, gradient in found.items():
        assert ops.relative_error(gradient, truth[name]) < 1e-4, name


def test_slices(emulation: Emulation) -> None:
    """Inputs that are slices of wider tensors, whose other elements are NaN."""
    case = cross_case(batch=2)

    def wide(array: np.ndarray, before: int) -> np.ndarray:
        whole = np.full((*array.shape[:-1], array.shape[-1] + before + 5), np.nan, array.dtype)
        whole[..., before : before + array.shape[-1]] = array
        return whole[..., before : before + array.shape[-1]]

    sliced = replace(case, x=wide(case.x, 1), x_dbl=wide(case.x_dbl, 3))
    dy = torch.from_numpy(kernel_gradients.cotangent(case.x))
    whole, found = (ops.cross_gradients(c, dy) for c in (case, sliced))
    assert all(np.array_equal(whole[name], found[name]) for name in whole)


def cross_params(case: CrossScanCase) -> tuple[CrossScanBackwardParams, list[Guarded]]:
    """A call whose outputs stand between guard bands."""
    dy = kernel_gradients.cotangent(case.x)
    params = kernel_gradients.cross_params(case, dy, official=True)
    names = ("dx", "dx_dbl", "d_dt_weight", "d_dt_bias", "dA", "dD", "dx_dbl_limb")
    arrays = [getattr(case, name) for name in kernel_gradients.CROSS]
    outputs = [Guarded(array.nbytes) for array in (*arrays, case.x_dbl)]
    for name, output in zip(names, outputs, strict=True):
        setattr(params, name, output.pointer)
    params.keep = (case, dy)  # what the addresses are of
    return params, outputs


def test_nothing_around_the_outputs(emulation: Emulation) -> None:
    params, outputs = cross_params(cross_case(d_inner=33, frames=5))
    workspace = Guarded(emulation.workspace("cross_scan_backward", params))
    assert emulation.launch("cross_scan_backward", params, workspace.pointer) == 0
    for output in outputs:
        output.check("an output")
        assert np.isfinite(output.bytes.view(np.float32)).all()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"size": 8}, INVALID_VALUE),
        ({"limb_gradient": 2}, INVALID_VALUE),
        ({"dy_stride": 39}, INVALID_VALUE),
        ({"dy": None}, INVALID_VALUE),
        ({"dx_dbl_limb": None}, INVALID_VALUE),
        ({"states": 64}, NOT_SUPPORTED),
    ],
    ids=lambda change: str(change),
)
def test_refusals(emulation: Emulation, change: dict[str, int | None], error: int) -> None:
    params, _ = cross_params(cross_case())
    workspace = Guarded(emulation.workspace("cross_scan_backward", params))
    for name, value in change.items():
        setattr(params, name, value)
    assert emulation.launch("cross_scan_backward", params, workspace.pointer) == error


@pytest.mark.parametrize("tuning", [(1, 0, 0), (0, 2, 0), (0, 0, 1), (0, 0, -1)])
def test_no_such_tuning(emulation: Emulation, tuning: tuple[int, int, int]) -> None:
    params, _ = cross_params(cross_case())
    workspace = Guarded(emulation.workspace("cross_scan_backward", params))
    emulation.tuning = Tuning(*tuning)
    assert emulation.workspace("cross_scan_backward", params) == 0
    assert emulation.launch("cross_scan_backward", params, workspace.pointer) == INVALID_VALUE
    emulation.tuning = Tuning()
    assert emulation.launch("cross_scan_backward", params, None) == INVALID_VALUE


@pytest.mark.parametrize("d_inner", [128, 256, 512])
def test_grids_hold_the_published_sizes(emulation: Emulation, d_inner: int) -> None:
    """Batch 1 to 64, 243 frames: a workspace for each; none where a grid would not hold it."""
    params, _ = cross_params(cross_case(d_inner=d_inner, dt_rank=d_inner // 32, frames=1))
    params.forward.frames = 243
    sizes = []
    for batch in (1, 4, 16, 64):
        params.forward.batch = batch
        sizes.append(emulation.workspace("cross_scan_backward", params))
    assert sizes == sorted(sizes)
    assert 0 < sizes[0] < sizes[-1]
    # A direction has floats for du, x_dbl in parts and carries: under 5 a step and channel.
    assert sizes[-1] < 5 * 4 * 64 * 4 * 243 * 17 * d_inner
    params.forward.batch = 2**31 // (4 * 130)
    assert emulation.workspace("cross_scan_backward", params) == 0
