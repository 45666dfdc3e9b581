"""SelectiveScan on the GPU against the sequential float64 oracle."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import oracle
import pytest
import torch
from pmcuda import Op, ScanInputs, Tuning

pytestmark = pytest.mark.gpu


def check(lib: ctypes.CDLL, inputs: ScanInputs, tuning: Tuning | None = None) -> None:
    """At most twice PyTorch's error; the float32 floor is explained in test_cross_scan."""
    expected = oracle.selective_scan(inputs, torch.float64)
    baseline = oracle.selective_scan(inputs, torch.float32).to(inputs.u.dtype)
    found = Op(lib, inputs, torch.full_like(inputs.u, float("nan")), tuning, poison=True)()
    assert oracle.error(found, expected) <= 2 * oracle.error(baseline, expected) + 4e-6


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("config", [1, 2, 4, 5])
@pytest.mark.parametrize("chunks", [1, 2, 5])
def test_every_variant(lib: ctypes.CDLL, dtype: torch.dtype, config: int, chunks: int) -> None:
    check(lib, oracle.make_scan(dtype=dtype), Tuning(0, chunks, config))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("batch", [1, 24])
@pytest.mark.parametrize("n", [1, 3, 16, 32])
def test_lanes_along_the_sequence(lib: ctypes.CDLL, dtype: torch.dtype, batch: int, n: int) -> None:
    """24 items are many rows: a lane has 4 steps then."""
    for length in (1, 259, 260, 264):
        check(lib, oracle.make_scan(batch=batch, n=n, length=length, dtype=dtype), Tuning(0, 0, 11))


@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 129, 459, 1377, 4131])
def test_length(lib: ctypes.CDLL, length: int) -> None:
    for chunks in (0, 5):
        check(lib, oracle.make_scan(length=length), Tuning(0, chunks, 0))


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("channels", [8, 40, 256])
def test_shape(lib: ctypes.CDLL, batch: int, channels: int) -> None:
    check(lib, oracle.make_scan(batch=batch, channels=channels))


@pytest.mark.parametrize("n", [1, 8, 16, 17, 64])
def test_d_state(lib: ctypes.CDLL, n: int) -> None:
    check(lib, oracle.make_scan(n=n), Tuning(0, 3, 0))


@pytest.mark.parametrize("missing", ["D", "z", "delta_bias"])
def test_optional_inputs(lib: ctypes.CDLL, missing: str) -> None:
    check(lib, replace(oracle.make_scan(), **{missing: None}))


def test_without_softplus(lib: ctypes.CDLL) -> None:
    inputs = oracle.make_scan()
    positive = replace(
        inputs, delta=inputs.delta.abs() * 0.1, delta_bias=None, delta_softplus=False
    )
    check(lib, positive)


def test_same_bits_twice(lib: ctypes.CDLL) -> None:
    op = Op(lib, (i := oracle.make_scan(batch=2)), torch.empty_like(i.u), Tuning(0, 5, 0))
    first = op().clone()
    for _ in range(5):
        assert torch.equal(op(), first)
