"""The scans of prepared rows and what prepares them, on the CPU, against the float64 recurrence.

One base case, and rows that vary one parameter, for every configuration. Shared memory, what is
prepared and the outputs start as NaN, so a part that nobody wrote fails the comparison.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import kernel_cases
import kernel_oracle
import numpy as np
import pytest
from cuda_emulation import KERNELS, SHIM, compile_library
from kernel_api import CrossScanCase, Guarded, cross_scan_params

SOURCES = (
    KERNELS / "cuda" / "scan" / "split_channel" / "resident" / "plan.cc",
    KERNELS / "cuda" / "scan" / "split_channel" / "resident" / "resident.cu",
    KERNELS / "cuda" / "scan" / "split_channel" / "kernels.cu",
    KERNELS / "cuda" / "scan" / "split_channel" / "launch.cu",
    SHIM / "split_channel.cc",
    SHIM / "emulator.cc",
)
#: By its number in `OnePass` and whether sums are float16: the channels of a thread block and every
#: dt rank it has kernels for.
CONFIGS = {
    (1, 0): (64, (4, 8, 16)),
    (2, 0): (32, (8,)),
    (3, 0): (16, (4, 8, 16)),
    (4, 0): (8, (4, 8, 16)),
    (3, 1): (16, (4, 8, 16)),
    (4, 1): (8, (4, 8, 16)),
    (5, 0): (64, (4,)),
}
RESIDENT = (5, 0)
TURNS = ((4, 0), (4, 1))
H200 = 132  # multiprocessors
#: Relative to the root mean square: two independent roundings to float16 of at most 2^-11 each, one
#: of the output and one of u's limb sum. What is seen is 2.1e-4 but for the shortest cases.
LIMIT = 2**-11 * 2**0.5
#: float16 sums round terms, and three levels of their sums. Relative to the terms' root sum square:
#: that is how large sums of random signs are at every level. 7e-4 is seen.
TERMS_LIMIT = 2**-11 * 4**0.5


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    made = ctypes.CDLL(str(compile_library(tmp_path_factory.mktemp("split_channel"), SOURCES)))
    made.cuda_on_cpu_split_channel.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_void_p,
    ]
    return made


def case_of(config: tuple[int, int], **changes: Any) -> CrossScanCase:
    """153 steps: a tile of 128 or two of 64, and a part of one; the last group of four has one."""
    base = {"dtype": "float16", "d_inner": 24, "dt_rank": 4 if config == RESIDENT else 8}
    return kernel_cases.cross_scan_case(**{**base, **changes})


def run(
    library: ctypes.CDLL,
    case: CrossScanCase,
    config: tuple[int, int],
    order: int = 0,
    multiprocessors: int = H200,
) -> np.ndarray:
    """Every direction's outputs in step order, (batch, directions, steps, d_inner)."""
    batch, frames, joints, d_inner = case.x.shape
    shape = (batch, len(case.order), frames * joints, d_inner)
    outputs = Guarded(int(np.prod(shape)) * 2)
    params = cross_scan_params(replace(case, half_sums=config[1]))
    library.cuda_on_cpu_order(order)
    found = library.cuda_on_cpu_split_channel(
        ctypes.addressof(params), config[0], multiprocessors, outputs.pointer
    )
    assert found == 0
    outputs.check("the outputs")
    return outputs.bytes.view(np.float16).reshape(shape).copy()


def check(
    library: ctypes.CDLL,
    case: CrossScanCase,
    config: tuple[int, int],
    multiprocessors: int = H200,
) -> None:
    def size(values: np.ndarray) -> np.ndarray:
        return np.sqrt((values**2).mean((0, 2, 3)))

    found = run(library, case, config, multiprocessors=multiprocessors)
    terms = kernel_oracle.direction_terms(case)
    limit = LIMIT * size(terms.sum(-1))
    if config[1]:
        limit += TERMS_LIMIT * size(np.sqrt((terms**2).sum(-1)))
    error = size(found - terms.sum(-1))
    assert (error < limit).all(), error / limit


@pytest.mark.parametrize(
    ("config", "rank"), [(config, rank) for config, row in CONFIGS.items() for rank in row[1]]
)
def test_every_rank(library: ctypes.CDLL, config: tuple[int, int], rank: int) -> None:
    check(library, case_of(config, dt_rank=rank), config)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(
    "changes",
    [
        {"frames": 1, "joints": 1},
        {"frames": 1, "joints": 3},
        {"frames": 8, "joints": 16},  # whole tiles
        {"frames": 1, "joints": 16},  # of warps that take turns the first alone has steps
        {"frames": 3, "joints": 11},  # one step for the third
        {"frames": 15, "joints": 15},  # the last tile ends within its second round of turns
        {"frames": 15},  # one less than two whole tiles
        {"frames": 31},  # more tiles than a ring has stages
        {"batch": 3, "frames": 2},
        {"order": (3, 2), "reverse": (0, 1), "limb_mask": (0, 1)},
        {"a_scale": 0.0},  # no decay
        {"a_scale": 100.0},
        {"dt_scale": 3.0},
    ],
    ids=str,
)
def test_shapes_and_walks(
    library: ctypes.CDLL, config: tuple[int, int], changes: dict[str, Any]
) -> None:
    check(library, case_of(config, **changes), config)


@pytest.mark.parametrize("config", TURNS)
@pytest.mark.parametrize("changes", [{"frames": 128, "joints": 16}, {"frames": 121}], ids=str)
def test_long_segments(
    library: ctypes.CDLL, config: tuple[int, int], changes: dict[str, Any]
) -> None:
    """From 2,048 steps on a turn is 32 steps. Of 2,057 the last tile has nine, for one warp."""
    check(library, case_of(config, d_inner=8, **changes), config)


@pytest.mark.parametrize("config", CONFIGS)
def test_partial_blocks(library: ctypes.CDLL, config: tuple[int, int]) -> None:
    """A block with channels to spare, behind a whole one."""
    check(library, case_of(config, d_inner=CONFIGS[config][0] + 8), config)


@pytest.mark.parametrize("config", CONFIGS)
def test_same_bits_in_any_order_of_threads(library: ctypes.CDLL, config: tuple[int, int]) -> None:
    case = case_of(config, frames=31, d_inner=8)
    first = run(library, case, config)
    for order in (1, 2, 3):
        np.testing.assert_array_equal(run(library, case, config, order), first)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("step", [28, 89, 128])
def test_nothing_later_reaches_a_step(
    library: ctypes.CDLL, config: tuple[int, int], step: int
) -> None:
    """Every output before a step that is no number is what it was."""
    case = case_of(config, order=(0,), reverse=(0,), limb_mask=(0,), d_inner=8)
    plain = run(library, case, config)[0, 0]
    case.x.reshape(-1, 8)[step] = np.nan
    found = run(library, case, config)[0, 0]
    np.testing.assert_array_equal(found[:step], plain[:step])
    assert np.isnan(found[step:]).all()


@pytest.mark.parametrize("multiprocessors", [4, 8, 12, 64, 131])
def test_chunks_of_the_resident_design(library: ctypes.CDLL, multiprocessors: int) -> None:
    """Of 255 steps a block holds all, and one to 32 share them."""
    check(library, case_of(RESIDENT, frames=15), RESIDENT, multiprocessors)


@pytest.mark.parametrize(
    ("changes", "multiprocessors"),
    [
        ({"frames": 16}, 4),  # 272 steps
        ({}, 3),  # fewer than one chunk a direction
        ({"dt_rank": 8}, H200),
    ],
    ids=str,
)
def test_what_the_resident_design_does_not_take(
    library: ctypes.CDLL, changes: dict[str, Any], multiprocessors: int
) -> None:
    params = cross_scan_params(case_of(RESIDENT, **changes))
    found = library.cuda_on_cpu_split_channel(
        ctypes.addressof(params), RESIDENT[0], multiprocessors, None
    )
    assert found == 801  # cudaErrorNotSupported


@pytest.mark.parametrize("config", [config for config in CONFIGS if config[1]])
@pytest.mark.parametrize(("C", "fits"), [(7.0, True), (200.0, False)])
def test_range_of_float16_sums(
    library: ctypes.CDLL, config: tuple[int, int], C: float, fits: bool
) -> None:
    """At one step terms of either sign that cancel, h * C = 8983 * C each. Up to 65504 the sum is
    right; beyond, that step is no number, and no other is touched: the state is float32."""
    case = case_of(config, order=(0,), reverse=(0,), limb_mask=(0,), d_inner=8, dt_rank=4)
    case.x[:], case.A[:], case.dt_bias[:] = 50, -1, 1
    rows = case.x_dbl.reshape(-1, 36)
    rows[:, :4], rows[:, 4:20], rows[:, 20:] = 0, 100, 0.001
    plain = run(library, case, config)[0, 0]
    rows[70, 20:] = np.where(np.arange(16) % 2, C, -C)
    found = run(library, case, config)[0, 0]
    if fits:
        np.testing.assert_array_equal(found[70], 0)
    else:
        assert not np.isfinite(found[70]).any()
    others = np.arange(len(found)) != 70
    np.testing.assert_array_equal(found[others], plain[others])
