"""The gradients' kernels against float64 autograd and finite differences: rows vary one thing."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from functools import lru_cache

import kernel_api
import kernel_cases as cases
import kernel_gradients as gradients
import kernel_oracle as oracle
import numpy as np
import pytest
import torch
from kernel_api import BAD_DTYPE, BAD_ORDER, BAD_SHAPE, BAD_STRIDE, BAD_STRUCT, NULL_POINTER
from kernel_gradients import Gradients, Launch

CROSS: dict[str, dict[str, object]] = {
    "base": {},
    # below, at and beyond tiles of 16 steps
    "L=1": {"frames": 1, "joints": 1},
    "L=2, one frame": {"frames": 1, "joints": 2},
    "L=15": {"frames": 15, "joints": 1},
    "L=16": {"frames": 16, "joints": 1},
    "L=33": {"frames": 11, "joints": 3},
    "L=129": {"frames": 3, "joints": 43},
    # beyond a fold's 64 frames
    "frames=67": {"frames": 67, "joints": 5},
    "joints=64": {"frames": 2, "joints": 64},
    "batch=3": {"batch": 3},
    "d_inner=1": {"d_inner": 1},
    "d_inner=8": {"d_inner": 8},
    "d_inner=37": {"d_inner": 37},
    # 128 channels are one task, more are summed over tasks
    "d_inner=128": {"d_inner": 128},
    "d_inner=136": {"d_inner": 136},
    "d_inner=512": {"d_inner": 512, "frames": 2},
    "d_state=1": {"d_state": 1},
    "d_state=7": {"d_state": 7},
    "d_state=64": {"d_state": 64},
    "dt_rank=1": {"dt_rank": 1},
    "dt_rank=128": {"dt_rank": 128, "dt_scale": 0.05, "d_inner": 64},
    "float16": {"dtype": "float16"},
    "float16, odd row": {"dtype": "float16", "d_inner": 21, "d_state": 5, "dt_rank": 3},
    "eight directions": {
        "order": (0, 1, 2, 3, 0, 1, 2, 3),
        "reverse": (0, 0, 0, 0, 1, 1, 1, 1),
        "limb_mask": (1, 0, 0, 1, 0, 1, 1, 0),
    },
    "limb everywhere": {"limb_mask": (1, 1, 1, 1)},
    "limb nowhere": {"limb_mask": (0, 0, 0, 0)},
    "large A": {"a_scale": 1e3},
    "small A": {"a_scale": 1e-3},
}
for _order in range(4):
    for _reverse in range(2):
        CROSS[f"order={_order}, reverse={_reverse}"] = {
            "order": (_order,), "reverse": (_reverse,), "limb_mask": (1,),
        }  # fmt: skip

SCAN: dict[str, dict[str, object]] = {
    "base": {},
    "L=1": {"length": 1},
    "L=16": {"length": 16},
    "L=17": {"length": 17},
    "batch=1": {"batch": 1},
    "one group": {"groups": 1},
    "channels=1": {"channels": 1},
    "channels=37": {"channels": 37},
    "channels=300": {"channels": 300, "length": 20},
    "d_state=1": {"d_state": 1},
    "d_state=7": {"d_state": 7},
    "d_state=64": {"d_state": 64, "length": 40},
    "no D": {"with_d": False},
    "no z": {"with_z": False},
    "no bias": {"with_bias": False},
    # its bias would make step sizes negative, and states grow
    "no softplus": {"delta_softplus": False, "with_bias": False},
    "bare": {"with_d": False, "with_z": False, "with_bias": False, "delta_softplus": False},
    "forward": {"reverse": (0,) * 8},
    "float16": {"dtype": "float16"},
    "float16, odd": {"dtype": "float16", "channels": 21, "d_state": 5, "length": 19},
}


@lru_cache(maxsize=2)  # the instruction sets of one row run in turn
def cross_problem(
    name: str, official: bool = False
) -> tuple[kernel_api.CrossScanCase, np.ndarray, Gradients, Gradients]:
    case = cases.cross_scan_case(**{"frames": 3} | CROSS[name])  # 51 steps
    dy = gradients.cotangent(case.x)
    truth, plain = (
        gradients.cross_oracle(case, dy, dtype, official)
        for dtype in (torch.float64, torch.float32)
    )
    return case, dy, truth, plain


@lru_cache(maxsize=2)
def scan_problem(name: str) -> tuple[kernel_api.ScanCase, np.ndarray, Gradients, Gradients]:
    case = cases.scan_case(**SCAN[name])
    dy = gradients.cotangent(case.u)
    truth, plain = (
        gradients.scan_oracle(case, dy, dtype) for dtype in (torch.float64, torch.float32)
    )
    return case, dy, truth, plain


@pytest.mark.parametrize("name", CROSS)
def test_cross_scan_matches_autograd(lib: ctypes.CDLL, name: str, isa: str) -> None:
    case, dy, truth, plain = cross_problem(name)
    gradients.check_gradients(gradients.run_cross(lib, case, dy), truth, plain)


@pytest.mark.parametrize("name", ["base", "limb everywhere", "limb nowhere", "d_inner=136"])
def test_official_limb_gradient(lib: ctypes.CDLL, name: str, isa: str) -> None:
    case, dy, truth, plain = cross_problem(name, official=True)
    got = gradients.run_cross(lib, case, dy, Launch(official=True))
    gradients.check_gradients(got, truth, plain)


@pytest.mark.parametrize("name", SCAN)
def test_scan_matches_autograd(lib: ctypes.CDLL, name: str, isa: str) -> None:
    case, dy, truth, plain = scan_problem(name)
    gradients.check_gradients(gradients.run_scan(lib, case, dy), truth, plain)


def test_finite_differences(lib: ctypes.CDLL, isa: str) -> None:
    """The kernels against the NumPy loop alone: no autograd, no PyTorch."""
    cross = cases.cross_scan_case(
        frames=3, joints=7, d_inner=5, d_state=3, dt_rank=2, order=(0, 1, 2, 3)
    )
    plain = cases.scan_case(channels=5, length=19, d_state=3)
    for case, run, forward, names in (
        (cross, gradients.run_cross, oracle.cross_scan, gradients.CROSS),
        (plain, gradients.run_scan, oracle.scan, gradients.SCAN),
    ):
        dy = gradients.cotangent(getattr(case, names[0]))
        found = run(lib, case, dy)  # type: ignore[operator]
        slopes = gradients.finite_differences(
            lambda c, f=forward, g=dy: float((f(c) * g).sum()), case, names
        )
        for name, ways in slopes.items():
            for way, slope in ways:
                along = float((found[name].astype(np.float64) * way).sum())
                size = np.abs(found[name] * way).sum()
                # 2e-6: the kernels' own float32; differences of 1e-5 lose 1e-10 / 1e-5 besides.
                assert abs(along - slope) <= 2e-5 * size, name


@pytest.mark.parametrize("threads", [2, 5, 64])
def test_threads_do_not_change_a_bit(lib: ctypes.CDLL, threads: int, isa: str) -> None:
    """Nor do waves: one thread takes a batch item at a time, 64 take all at once."""
    cross, plain = cases.cross_scan_case(batch=5, d_inner=136, frames=2), cases.scan_case(batch=5)
    for case, run, like in (
        (cross, gradients.run_cross, cross.x),
        (plain, gradients.run_scan, plain.u),
    ):
        dy = gradients.cotangent(like)
        alone = run(lib, case, dy)  # type: ignore[operator]
        together = run(lib, case, dy, Launch(threads=threads))  # type: ignore[operator]
        for name, gradient in alone.items():
            assert gradient.tobytes() == together[name].tobytes(), name


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_slices_and_unaligned_pointers(lib: ctypes.CDLL, dtype: str, isa: str) -> None:
    """x, x_dbl and dy as slices of a wider last axis, NaN around them, everything off by one."""
    case = cases.cross_scan_case(batch=2, d_inner=24, frames=3, dtype=dtype)
    dy = gradients.cotangent(case.x)
    want = gradients.run_cross(lib, case, dy)

    def inside(array: np.ndarray, before: int, after: int) -> np.ndarray:
        wide = np.full((*array.shape[:3], before + array.shape[3] + after), np.nan, dtype)
        wide[..., before : before + array.shape[3]] = array
        return wide[..., before : before + array.shape[3]]

    sliced = replace(case, x=inside(case.x, 3, 24), x_dbl=inside(case.x_dbl, 1, 5))
    how = Launch(threads=2, misalign=case.x.itemsize)
    got = gradients.run_cross(lib, sliced, inside(dy, 1, 2), how)
    for name, gradient in want.items():
        assert gradient.tobytes() == got[name].tobytes(), name


def test_nan_stays_in_its_batch_item(lib: ctypes.CDLL, isa: str) -> None:
    case = cases.cross_scan_case(batch=2)
    dy = gradients.cotangent(case.x)
    dy[0, 4, 3, 5] = np.nan
    got = gradients.run_cross(lib, case, dy)
    assert np.isnan(got["x"][0]).any(), "a NaN must not vanish"
    assert np.isnan(got["A"][:, 5]).any()
    assert np.isfinite(got["x"][1]).all()
    assert np.isfinite(np.delete(got["A"], 5, axis=1)).all()


@pytest.mark.parametrize("bias", [-30.0, -20.0, 0.0, 19.9, 20.1, 30.0])
def test_extreme_dt(lib: ctypes.CDLL, bias: float, isa: str) -> None:
    case = cases.cross_scan_case(dt_scale=0.05, frames=3)
    case = replace(case, dt_bias=np.full_like(case.dt_bias, bias))
    dy = gradients.cotangent(case.x)
    truth, plain = (
        gradients.cross_oracle(case, dy, dtype) for dtype in (torch.float64, torch.float32)
    )
    gradients.check_gradients(gradients.run_cross(lib, case, dy), truth, plain)


_CROSS_OUTPUTS = ("dx", "dx_dbl", "d_dt_weight", "d_dt_bias", "dA", "dD")
_MISTAKES: list[tuple[str, object, int]] = [
    ("size", 8, BAD_STRUCT),
    ("dy", None, NULL_POINTER),
    ("states", 64, kernel_api.UNSUPPORTED),
]
_CROSS_MISTAKES = [
    *_MISTAKES,
    *((name, None, NULL_POINTER) for name in _CROSS_OUTPUTS),
    ("dy_stride", 3, BAD_STRIDE),
    ("limb_gradient", 2, BAD_ORDER),
    ("limb_gradient", 1, NULL_POINTER),  # without dx_dbl_limb
    ("forward.frames", 0, BAD_SHAPE),
    ("forward.frames", 1 << 45, BAD_SHAPE),
    ("forward.d_state", 65, BAD_SHAPE),
    ("forward.dtype", 2, BAD_DTYPE),
    ("forward.x", None, NULL_POINTER),
]  # fmt: skip
_SCAN_MISTAKES = [
    *_MISTAKES,
    *((name, None, NULL_POINTER) for name in ("du", "ddelta", "dA", "dB", "dC", "dD", "dz")),
    ("d_delta_bias", None, NULL_POINTER),
    ("forward.length", 1 << 45, BAD_SHAPE),
    ("forward.d_state", 65, BAD_SHAPE),
    ("forward.u", None, NULL_POINTER),
]


def _refused(
    lib: ctypes.CDLL, name: str, params: ctypes.Structure, mistake: tuple[str, object, int]
) -> None:
    field, value, status = mistake
    params.states = None
    workspace = getattr(lib, f"pm_cpu_{name}_workspace")
    memory = np.zeros(workspace(ctypes.byref(params), 1), np.uint8)
    *outer, last = field.split(".")
    setattr(getattr(params, outer[0]) if outer else params, last, value)
    launch = getattr(lib, f"pm_cpu_{name}")
    assert launch(ctypes.byref(params), memory.ctypes.data, None) == status
    known = status in (NULL_POINTER, kernel_api.UNSUPPORTED)
    assert (workspace(ctypes.byref(params), 1) > 0) == known
    assert launch(None, memory.ctypes.data, None) == NULL_POINTER
    assert workspace(None, 1) == 0


@pytest.mark.parametrize("mistake", _CROSS_MISTAKES, ids=str)
def test_cross_scan_refuses(lib: ctypes.CDLL, mistake: tuple[str, object, int]) -> None:
    case = cases.cross_scan_case()
    params = gradients.cross_params(case, case.x)
    outputs = [np.zeros(4 * case.x_dbl.size, np.float32) for _ in _CROSS_OUTPUTS]
    for name, output in zip(_CROSS_OUTPUTS, outputs, strict=True):
        setattr(params, name, output.ctypes.data)
    _refused(lib, "cross_scan_backward", params, mistake)
    assert not any(output.any() for output in outputs), "wrote although it refused"


@pytest.mark.parametrize("mistake", _SCAN_MISTAKES, ids=str)
def test_scan_refuses(lib: ctypes.CDLL, mistake: tuple[str, object, int]) -> None:
    case = cases.scan_case()
    params = gradients.scan_params(case, case.u)
    names = ("du", "ddelta", "dA", "dB", "dC", "dD", "d_delta_bias", "dz")
    outputs = [np.zeros(case.u.size, np.float32) for _ in names]
    for name, output in zip(names, outputs, strict=True):
        setattr(params, name, output.ctypes.data)
    _refused(lib, "scan_backward", params, mistake)
    assert not any(output.any() for output in outputs), "wrote although it refused"


def test_optional_inputs_ask_for_no_outputs(lib: ctypes.CDLL) -> None:
    case = cases.scan_case(with_d=False, with_z=False, with_bias=False)
    got = gradients.run_scan(lib, case, gradients.cotangent(case.u))
    assert got.keys() == {"u", "delta", "A", "B", "C"}
