"""How far a kernel may be from the float64 oracle, and why."""

from __future__ import annotations

import numpy as np


def check(got: np.ndarray, truth: np.ndarray, plain: np.ndarray) -> None:
    """Error of `got` against `truth` (float64), with `plain`, the same loop in float32, beside it.

    float32: at most twice the plain implementation's error, in the root mean square and in the
    maximum. Both errors are rounding noise; over a few hundred elements the ratio of two maxima of
    equal noise exceeds two now and then, so a floor of 6 units of 2^-24 of the largest value is
    granted (seen: 5.1; plain: 3.8), and for the root mean square one unit (seen: 0.42).
    float16: half a unit in the last place of the output (2^-11 of the value, 2^-25 below the
    smallest normal), plus the float32 bound for what came before the rounding.
    """
    assert got.shape == truth.shape
    assert np.isfinite(got).all()
    difference = np.abs(got.astype(np.float64) - truth)
    plain_difference = np.abs(plain - truth)
    scale = np.abs(truth).max()
    bound = max(2 * plain_difference.max(), 6 * 2.0**-24 * scale)
    if got.dtype == np.float16:
        bound = bound + np.maximum(np.abs(truth) * 2.0**-11, 2.0**-25)
        excess = (difference - bound).max()
        assert excess <= 0, f"beyond half an ulp by {excess:.3g}"
        return
    worst = difference.max()
    assert worst <= bound, f"max error {worst:.3g}, plain float32 {plain_difference.max():.3g}"
    rms = np.sqrt(np.mean(difference**2))
    plain_rms = np.sqrt(np.mean(plain_difference**2))
    assert rms <= max(2 * plain_rms, 2.0**-24 * scale), f"rms {rms:.3g}, plain {plain_rms:.3g}"


def check_directions(got: np.ndarray, truth: np.ndarray, plain: np.ndarray) -> None:
    """The same for a kernel that stores each direction in the type of its output, before the sum.

    The relative l2 error is at most twice the plain loop's in that type; what is wrong in one
    element alone is far above it. The floor is that of ex2.approx, 2^-22 a decay, over a state's
    memory (tests/gpu/test_cross_scan.py).
    """
    assert got.shape == truth.shape
    assert np.isfinite(got).all()
    norm = max(np.linalg.norm(truth), 1e-30)
    error = np.linalg.norm(got.astype(np.float64) - truth) / norm
    rounded = np.linalg.norm(plain.astype(got.dtype).astype(np.float64) - truth) / norm
    assert error <= 2 * rounded + 4e-6
    if got.dtype == np.float32:
        assert np.abs(got - truth).max() <= 1e-5 * np.abs(truth).max()
