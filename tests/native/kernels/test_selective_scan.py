"""SelectiveScan against the sequential oracle: one base case, rows that vary one parameter."""

from __future__ import annotations

import ctypes
from functools import lru_cache

import kernel_api
import kernel_cases as cases
import kernel_oracle as oracle
import numpy as np
import pytest
from kernel_tolerance import check

ROWS: dict[str, dict[str, object]] = {
    "base": {},
    "length=1": {"length": 1},
    "length=2": {"length": 2},
    "length=31": {"length": 31},
    "length=32": {"length": 32},
    "length=33": {"length": 33},
    "length=459": {"length": 459},
    "batch=1": {"batch": 1},
    "groups=1": {"groups": 1, "reverse": (1,)},
    "groups=8": {"groups": 8, "channels": 5, "reverse": (0, 1, 0, 1, 1, 0, 0, 1)},
    "channels=1": {"channels": 1},
    "channels=16": {"channels": 16},
    "channels=37": {"channels": 37},
    "channels=256": {"channels": 256, "groups": 1},
    "d_state=1": {"d_state": 1},
    "d_state=8": {"d_state": 8},
    "d_state=21": {"d_state": 21},
    "d_state=64": {"d_state": 64},
    "float16": {"dtype": "float16"},
    "float16, odd": {"dtype": "float16", "channels": 7, "length": 35, "d_state": 3},
    "no D": {"with_d": False},
    "no z": {"with_z": False},
    "no delta_bias": {"with_bias": False},
    "no options": {"with_d": False, "with_z": False, "with_bias": False},
    "no softplus": {"delta_softplus": False, "with_bias": False},
    "wide delta": {"delta_scale": 12.0},
}


@lru_cache(maxsize=4)
def problem(name: str) -> tuple[kernel_api.ScanCase, np.ndarray, np.ndarray]:
    """The case of a row, its float64 result and what a plain float32 loop makes of it."""
    case = cases.scan_case(**ROWS[name])
    return case, oracle.scan(case), oracle.scan(case, np.float32)


@pytest.mark.parametrize("name", ROWS)
def test_matches_oracle(lib: ctypes.CDLL, name: str, isa: str) -> None:
    case, truth, plain = problem(name)
    check(kernel_api.run_scan(lib, case, misalign=case.u.itemsize), truth, plain)


@pytest.mark.parametrize("threads", [2, 5, 64])
def test_threads_do_not_change_a_bit(lib: ctypes.CDLL, threads: int, isa: str) -> None:
    case, _, _ = problem("channels=256")
    alone = kernel_api.run_scan(lib, case)
    assert alone.tobytes() == kernel_api.run_scan(lib, case, threads=threads).tobytes()


def test_is_the_cross_scans_inner_scan(lib: ctypes.CDLL, isa: str) -> None:
    """One frame-major direction of CrossSelectiveScan, its dt given, is a SelectiveScan."""
    cross = cases.cross_scan_case(order=(0,), reverse=(1,), limb_mask=(0,), d_inner=24)
    y = kernel_api.run_cross_scan(lib, cross)
    frames, joints = cross.x.shape[1:3]
    rows = cross.x_dbl.reshape(frames * joints, -1)
    dt_raw, B, C = np.split(rows, [8, 24], axis=1)
    plain = kernel_api.ScanCase(
        u=np.ascontiguousarray(cross.x.reshape(1, -1, 24).swapaxes(1, 2)),
        delta=np.ascontiguousarray((dt_raw @ cross.dt_weight[0].T).T[None]),
        A=cross.A[0],
        B=np.ascontiguousarray(B.T[None, None]),
        C=np.ascontiguousarray(C.T[None, None]),
        D=cross.D[0],
        delta_bias=cross.dt_bias[0],
        reverse=(1,),
    )
    got = kernel_api.run_scan(lib, plain)[0].T.reshape(y.shape[1:])
    # Two orders of summing the dt projection's 8 terms: a few units of 6e-8 of the largest value.
    np.testing.assert_allclose(got, y[0], rtol=0, atol=1e-6 * np.abs(y).max())


def test_positive_exponents_never_wrap_around(lib: ctypes.CDLL, isa: str) -> None:
    """A > 0 is nobody's model, but must grow like e^x; past its range inf, NaN or huge, as in
    plain float32 (where e^500 times a zero state is NaN), never wrap around."""
    ones = np.ones((1, 3, 4), np.float32)
    case = kernel_api.ScanCase(
        u=ones,
        delta=ones,
        A=np.array([[1.0], [20.0], [500.0]], np.float32),
        B=np.ones((1, 1, 1, 4), np.float32),
        C=np.ones((1, 1, 1, 4), np.float32),
        delta_softplus=False,
    )
    y = kernel_api.run_scan(lib, case)[0]
    truth = oracle.scan(
        kernel_api.ScanCase(
            ones[:, :2], ones[:, :2], case.A[:2], case.B, case.C, None, None, None, False
        )
    )[0]
    np.testing.assert_allclose(y[:2], truth, rtol=2e-5)
    assert not (y[2, 1:] < 1e38).any()
