"""Accuracy of the elementary functions, seen through SelectiveScan (one state, two steps)."""

from __future__ import annotations

import ctypes

import kernel_api
import numpy as np

LOG2E = np.float32(1.4426950408889634)


def one_state(
    lib: ctypes.CDLL,
    delta: np.ndarray,
    A: np.ndarray,
    u: np.ndarray,
    *,
    softplus: bool = False,
    z: np.ndarray | None = None,
) -> np.ndarray:
    """y [channels, length] with B = C = 1; delta and u [channels, length], A [channels]."""
    length = u.shape[1]
    ones = np.ones((1, 1, 1, length), np.float32)
    case = kernel_api.ScanCase(
        u=u[None],
        delta=delta[None],
        A=A[:, None],
        B=ones,
        C=ones,
        z=None if z is None else z[None],
        delta_softplus=softplus,
    )
    return kernel_api.run_scan(lib, case)[0]


def test_exp2(lib: ctypes.CDLL, isa: str) -> None:
    """y[1] = exp(A) after an impulse: against 2^t of the rounded t, so only exp2 is measured."""
    A = -np.concatenate(
        [np.linspace(0, 87, 200001), np.geomspace(1e-9, 1, 50001), np.linspace(0, 0.1, 50001)]
    ).astype(np.float32)
    u = np.zeros((A.size, 2), np.float32)
    u[:, 0] = 1
    y = one_state(lib, np.ones_like(u), A, u)[:, 1]
    truth = np.exp2((A * LOG2E).astype(np.float64))
    error = np.abs(y - truth) / truth
    assert error.max() <= 3e-7, f"{error.max():.3g} at {A[error.argmax()]}"
    assert abs(np.mean((y - truth) / truth)) <= 3e-8  # no drift over thousands of steps


def test_exp2_slope_at_zero(lib: ctypes.CDLL, isa: str) -> None:
    """A decay e^-x is repeated 1/x times, so 1 - e^-x must be right beyond the rounding of e^-x."""
    x = np.geomspace(1e-3, 1e-2, 20001).astype(np.float32)
    u = np.zeros((x.size, 2), np.float32)
    u[:, 0] = 1
    y = one_state(lib, np.ones_like(u), -x, u)[:, 1].astype(np.float64)
    truth = -np.expm1(-x.astype(np.float64))
    # Rounding of y near 1 is 2^-25 at most and averages out; what is left is the polynomial's
    # error, 1.6e-7 at the most.
    assert np.abs((1 - y) - truth).max() <= 2.0**-25 + 1.7e-7
    assert abs(np.mean(((1 - y) - truth) / truth)) <= 1e-5


def test_exp2_far_below_is_zero(lib: ctypes.CDLL, isa: str) -> None:
    A = -np.array([88, 89, 100, 150, 1e3, 1e6, 1e12, 1e20], np.float32)
    u = np.zeros((A.size, 2), np.float32)
    u[:, 0] = 1
    y = one_state(lib, np.ones_like(u), A, u)[:, 1]
    assert (y >= 0).all()
    assert (y <= 2.0**-126).all()  # the true values are smaller still
    assert (y[1:] <= 1.2e-38).all()
    assert (y[3:] == 0).all()


def test_softplus(lib: ctypes.CDLL, isa: str) -> None:
    """y[0] = softplus(delta): relative error 1e-6 where log(1 + e^v) alone has no digits left."""
    v = np.linspace(-30, 30, 300001, dtype=np.float32)[:, None]
    y = one_state(lib, v, np.zeros(v.size, np.float32), np.ones_like(v), softplus=True)[:, 0]
    w = v[:, 0].astype(np.float64)
    truth = np.maximum(w, 0) + np.log1p(np.exp(-np.abs(w)))
    error = np.abs(y - truth) / truth
    assert error.max() <= 1e-6, f"{error.max():.3g} at {v[error.argmax(), 0]}"
    assert (y[w > 20] == v[w > 20, 0]).all(), "the identity above 20"


def test_silu(lib: ctypes.CDLL, isa: str) -> None:
    z = np.linspace(-40, 40, 200001, dtype=np.float32)[:, None]
    ones = np.ones_like(z)
    y = one_state(lib, ones, np.zeros(z.size, np.float32), ones, z=z)[:, 0]
    w = z[:, 0].astype(np.float64)
    truth = w / (1 + np.exp(-w))
    assert (np.abs(y - truth) <= 1e-6 * np.abs(truth) + 1e-38).all()


def test_half_conversion_of_every_value(lib: ctypes.CDLL, isa: str) -> None:
    """All 65536 halves through y = D u with D = 1: load and store give the value back."""
    bits = np.arange(65536, dtype=np.uint16)
    u = bits.view(np.float16).reshape(1, 1, -1)
    zeros = np.zeros_like(u)
    case = kernel_api.ScanCase(
        u=np.where(np.isfinite(u), u, np.float16(0)),
        delta=zeros,
        A=np.zeros((1, 1), np.float32),
        B=zeros[:, None],
        C=zeros[:, None],
        D=np.ones(1, np.float32),
        delta_softplus=False,
    )
    y = kernel_api.run_scan(lib, case)
    np.testing.assert_array_equal(y, case.u)


def test_half_rounding(lib: ctypes.CDLL, isa: str) -> None:
    """float32 to float16, nearest even: exact halves, ties, subnormals, overflow to infinity."""
    rng = np.random.default_rng(0)
    finite = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = (finite[:-1] + finite[1:]) / 2
    values = np.concatenate(
        [finite, ties, np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(1e9)),
         np.float32([65519.996, 65520, 65536, 1e9, 1e38, np.inf, 1e-9, 2**-25, 2**-24, 0]),
         rng.standard_normal(4096).astype(np.float32) * np.float32(1e-5)]
    )  # fmt: skip
    values = np.concatenate([values, -values]).astype(np.float32)
    n = values.size
    u = np.ones((1, n, 1), np.float16)
    state = np.zeros((1, 1, 1, 1), np.float16)
    case = kernel_api.ScanCase(
        u=u,
        delta=np.zeros_like(u),
        A=np.zeros((n, 1), np.float32),
        B=state,
        C=state,
        D=values,
        delta_softplus=False,
    )
    got = kernel_api.run_scan(lib, case)[0, :, 0]
    with np.errstate(over="ignore"):
        want = values.astype(np.float16)
    np.testing.assert_array_equal(got, want)
