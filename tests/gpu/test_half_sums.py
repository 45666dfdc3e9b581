"""CrossSelectiveScan with float16 sums over a channel's states, against the float64 oracle.

What sums so are the split-channel designs that spread a channel over 8 or 16 lanes, configurations
9 and 10. Everything else in them is test_cross_scan.py's.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace

import oracle
import pytest
import torch
from pmcuda import CrossInputs, Directions, Op, Tuning

pytestmark = pytest.mark.gpu

RANKS = {9: 16, 10: 8}
"""A dt rank of each configuration, where another makes no difference."""


def make(**changes: object) -> CrossInputs:
    return replace(oracle.make_cross(**changes), half_sums=1)  # type: ignore[arg-type]


def run(lib: ctypes.CDLL, inputs: CrossInputs, config: int) -> torch.Tensor:
    y = torch.full_like(inputs.x, float("nan"), memory_format=torch.contiguous_format)
    return Op(lib, inputs, y, Tuning(0, 0, config), poison=True)().clone()


def check(lib: ctypes.CDLL, inputs: CrossInputs, config: int) -> None:
    """What float32 sums may be off, and five more roundings of at most 2^-11: of the terms, of
    three levels of their sums, as large as the output where signs are random, and one to spare for
    terms that cancel."""
    expected = oracle.cross_scan(inputs, torch.float64)
    baseline = oracle.cross_scan(inputs, torch.float32).to(inputs.x.dtype)
    limit = 2 * oracle.error(baseline, expected) + 5**0.5 * 2**-11
    assert oracle.error(run(lib, inputs, config), expected) <= limit


@pytest.mark.parametrize("rank", [4, 8, 16])
@pytest.mark.parametrize("d_inner", [128, 136])
@pytest.mark.parametrize("config", RANKS)
def test_every_rank(lib: ctypes.CDLL, config: int, rank: int, d_inner: int) -> None:
    inputs = make(batch=2, d_inner=d_inner, rank=rank)
    check(lib, inputs, config)
    single = run(lib, replace(inputs, half_sums=0), config)
    assert not torch.equal(run(lib, inputs, config), single)  # the option arrives


@pytest.mark.parametrize(
    ("frames", "joints"),
    [(1, 1), (1, 17), (2, 1), (3, 11), (13, 5), (43, 3), (14, 16), (15, 15), (243, 17), (96, 4)],
    ids=["1", "17", "2", "33", "65", "129", "224", "225", "4131", "384"],
)
@pytest.mark.parametrize("config", RANKS)
def test_length(lib: ctypes.CDLL, config: int, frames: int, joints: int) -> None:
    walks = Directions(limb_index=tuple(max(j - 1, 0) for j in range(joints)))
    inputs = make(frames=frames, joints=joints, d_inner=64, rank=RANKS[config], directions=walks)
    check(lib, inputs, config)


@pytest.mark.parametrize("d_inner", [8, 24, 72, 264])
@pytest.mark.parametrize("config", RANKS)
def test_partial_blocks(lib: ctypes.CDLL, config: int, d_inner: int) -> None:
    check(lib, make(frames=7, d_inner=d_inner, rank=RANKS[config]), config)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("config", RANKS)
def test_walks(lib: ctypes.CDLL, config: int, order: int, reverse: int) -> None:
    walks = Directions(order=(order, order), reverse=(reverse, reverse), limb_mask=(0, 1))
    inputs = make(frames=23, d_inner=40, rank=RANKS[config], directions=walks)
    check(lib, inputs, config)


@pytest.mark.parametrize("changes", [{"dt_shift": -12.0}, {"dt_shift": 6.0}, {"a_scale": 1e4}])
@pytest.mark.parametrize("config", RANKS)
def test_extremes(lib: ctypes.CDLL, config: int, changes: dict[str, float]) -> None:
    check(lib, make(rank=RANKS[config], **changes), config)


@pytest.mark.parametrize("config", [1, 2, 4, 6, 7, 8])
def test_others_sum_in_float32(lib: ctypes.CDLL, config: int) -> None:
    inputs = make(rank=8)
    single = run(lib, replace(inputs, half_sums=0), config)
    assert torch.equal(run(lib, inputs, config), single)


@pytest.mark.parametrize("config", RANKS)
def test_same_bits_twice(lib: ctypes.CDLL, config: int) -> None:
    inputs = make(batch=1, frames=81, d_inner=256, rank=RANKS[config])
    op = Op(lib, inputs, torch.empty_like(inputs.x), Tuning(0, 0, config))
    first = op().clone()
    for _ in range(5):
        op.workspace.fill_(float("nan"))
        assert torch.equal(op(), first)


@pytest.mark.parametrize("batch", [1, 2, 8])
@pytest.mark.parametrize(("d_inner", "rank"), [(128, 4), (256, 8), (512, 16)])
@pytest.mark.parametrize("frames", [27, 81])
def test_what_a_launcher_chooses(
    lib: ctypes.CDLL, batch: int, d_inner: int, rank: int, frames: int
) -> None:
    check(lib, make(batch=batch, frames=frames, d_inner=d_inner, rank=rank), 0)
