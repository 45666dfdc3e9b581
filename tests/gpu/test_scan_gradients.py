"""Both gradients on the GPU against autograd of plain scans in float64.

The rows that vary sizes are those of tests/native/cuda_on_cpu, which runs the same kernels on a
CPU; here are the hardware's own arithmetic, the published sizes, streams and graphs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import kernel_cases
import kernel_gradients
import op_gradients as ops
import pytest
import torch
from torch import Tensor

from posemamba.config import PoseMambaConfig
from posemamba.model.network import PoseMamba
from posemamba.native import gradients
from posemamba.native.launch import cuda_workspace
from posemamba.native.library import load_cuda_library
from posemamba.scan import chunked, reference
from posemamba.scan_order import SCAN_ORDERS

pytestmark = pytest.mark.gpu

#: ex2.approx is within 2^-22; over a state's memory of some hundred steps as in test_cross_scan.py.
FLOOR = 4e-6


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    """What PyTorch hands out uninitialised, outputs and workspace, is NaN."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def check_cross(official: bool = False, **row: Any) -> None:
    case = kernel_cases.cross_scan_case(**row)
    dy = kernel_gradients.cotangent(case.x)
    truth, plain = (
        kernel_gradients.cross_oracle(case, dy, work, official)
        for work in (torch.float64, torch.float32)
    )
    found = ops.cross_gradients(case, torch.from_numpy(dy), official, "cuda")
    kernel_gradients.check_gradients(found, truth, plain, FLOOR)


def check_scan(**row: Any) -> None:
    case = kernel_cases.scan_case(**row)
    dy = kernel_gradients.cotangent(case.u)
    truth, plain = (
        kernel_gradients.scan_oracle(case, dy, work) for work in (torch.float64, torch.float32)
    )
    found = ops.scan_gradients(case, torch.from_numpy(dy), "cuda")
    kernel_gradients.check_gradients(found, truth, plain, FLOOR)


@pytest.mark.parametrize("official", [False, True], ids=["true", "official"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", SCAN_ORDERS)
def test_scan_orders(name: str, dtype: str, official: bool) -> None:
    order = SCAN_ORDERS[name]
    walks = {"order": order.order, "reverse": order.reverse, "limb_mask": order.limb_mask}
    check_cross(official, dtype=dtype, **walks)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("mask", [0, 1])
def test_walks(order: int, reverse: int, mask: int) -> None:
    check_cross(order=(order,), reverse=(reverse,), limb_mask=(mask,))


@pytest.mark.parametrize(
    ("frames", "joints"),
    [(1, 1), (2, 1), (1, 31), (16, 2), (3, 11), (43, 3), (81, 17)],
    ids=["1", "2", "31", "32", "33", "129", "1377"],
)
def test_length(frames: int, joints: int) -> None:
    check_cross(frames=frames, joints=joints)
    check_scan(length=frames * joints, channels=9)


@pytest.mark.parametrize("d_state", [1, 9, 17, 33, 64])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_states(d_state: int, dtype: str) -> None:
    check_cross(d_state=d_state, dtype=dtype)
    check_scan(d_state=d_state, dtype=dtype)


@pytest.mark.parametrize("d_inner", [1, 7, 33, 72, 136])
def test_channels(d_inner: int) -> None:
    check_cross(d_inner=d_inner)
    check_scan(channels=d_inner)


@pytest.mark.parametrize("dt_rank", [1, 5, 16, 33, 128])
def test_dt_rank(dt_rank: int) -> None:
    check_cross(dt_rank=dt_rank)


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
def test_optional_inputs(row: dict[str, bool]) -> None:
    check_scan(**row)


@pytest.mark.parametrize("a_scale", [1e-3, 30.0, 1e4])
def test_decay(a_scale: float) -> None:
    check_cross(a_scale=a_scale)


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(("d_inner", "rank"), [(128, 4), (256, 8), (512, 16)])
def test_published_sizes(batch: int, d_inner: int, rank: int) -> None:
    """243 frames against float64 by chunks, a scan that shares nothing with the kernels."""
    case = kernel_cases.cross_scan_case(batch=batch, frames=243, d_inner=d_inner, dt_rank=rank)
    args = ops.cross_arguments(case, "cuda")
    dy = torch.from_numpy(kernel_gradients.cotangent(case.x)).cuda()
    found = gradients.cross_selective_scan_backward(dy, *args, False)[:6]
    total = [torch.zeros_like(t, dtype=torch.float64) for t in args[:6]]
    for item in range(batch):  # one at a time bounds float64's memory
        wanted = [t.double().requires_grad_() for t in args[:6]]
        inputs = [wanted[0][item : item + 1], wanted[1][item : item + 1], *wanted[2:]]
        y = reference.cross_selective_scan(*inputs, args[6], *args[8:], scan=chunked.selective_scan)
        loss = (y * dy[item : item + 1].double()).sum()
        for sum_, part in zip(total, torch.autograd.grad(loss, wanted), strict=True):
            sum_ += part
    for name, gradient, truth in zip(kernel_gradients.CROSS, found, total, strict=False):
        # Sums over 4,131 steps and the batch, in float32: 1e-4 is what training asks for.
        assert ops.relative_error(gradient, truth) < 1e-4, name


def test_same_bits_twice() -> None:
    args = ops.cross_arguments(
        kernel_cases.cross_scan_case(batch=3, frames=81, d_inner=256), "cuda"
    )
    dy = torch.randn_like(args[0])
    first = gradients.cross_selective_scan_backward(dy, *args, True)
    for _ in range(5):
        again = gradients.cross_selective_scan_backward(dy, *args, True)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_capture_on_a_side_stream() -> None:
    """A captured launch replays on new data; any allocation or synchronisation would fail it."""
    args = ops.cross_arguments(kernel_cases.cross_scan_case(frames=27), "cuda")
    dy = torch.randn_like(args[0])
    gradients.cross_selective_scan_backward(dy, *args, False)
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, stream=stream):
        captured = gradients.cross_selective_scan_backward(dy, *args, False)
    dy.copy_(torch.randn_like(dy))
    graph.replay()
    torch.cuda.synchronize()
    plain = gradients.cross_selective_scan_backward(dy, *args, False)
    assert all(torch.equal(a, b) for a, b in zip(captured, plain, strict=True))


def test_nothing_around_the_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(name: str, params: ctypes.Structure, device: torch.device) -> None:
        size = cuda_workspace(name, params, device).numel() // 4
        arena = torch.full((size + 128,), 7.0, device=device)
        stream = torch.cuda.current_stream(device).cuda_stream
        run = getattr(load_cuda_library(), f"pm_cuda_{name}")
        assert run(ctypes.byref(params), None, arena[64:-64].data_ptr(), stream) == 0
        assert bool((arena[:64] == 7).all())
        assert bool((arena[-64:] == 7).all())

    monkeypatch.setattr(gradients, "launch_scan", launch)
    cross = kernel_cases.cross_scan_case(d_inner=33, frames=5)
    ops.cross_gradients(cross, torch.ones(cross.x.shape), True, "cuda")
    scan = kernel_cases.scan_case(channels=33)
    ops.scan_gradients(scan, torch.ones(scan.u.shape), "cuda")


@pytest.mark.parametrize("official", [False, True], ids=["true", "official"])
@pytest.mark.parametrize("half", [False, True], ids=["float32", "autocast"])
def test_a_network_trains_through_them(half: bool, official: bool) -> None:
    """scan='fused' with the kernels' gradients, against scan='chunked'."""
    torch.manual_seed(0)
    network = PoseMamba(PoseMambaConfig(d_model=64, depth=1, frames=27, drop_path=0.0)).cuda()
    network.set_official_limb_gradient(official)
    keypoints = torch.rand(2, 27, 17, 2, device="cuda")

    def gradients_of(scan: Any) -> dict[str, Tensor]:
        network.set_scan(scan).zero_grad()
        with torch.autocast("cuda", torch.float16, enabled=half):
            loss = network(keypoints).float().square().mean()
        loss = loss * (1024 if half else 1)  # as a loss scaler, for float16's small numbers
        loss.backward()
        return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}

    truth, found = gradients_of("chunked"), gradients_of("fused")
    assert truth.keys() == found.keys()
    # float32 sums in another order; autocast rounds activations and their gradients to fp16.
    bound = 2e-2 if half else 1e-4
    for name in truth:
        assert ops.relative_error(found[name], truth[name]) < bound, name


def test_beyond_float16_is_infinite() -> None:
    """What a loss scaler looks for."""
    args = ops.cross_arguments(kernel_cases.cross_scan_case(dtype="float16"), "cuda")
    dy = torch.full_like(args[0], 6e4)
    dx, *_, dD, _ = gradients.cross_selective_scan_backward(dy, *args, False)
    assert bool(torch.isinf(dx).any())
    assert bool(torch.isfinite(dD).all())
