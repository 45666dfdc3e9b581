"""The lane-channel scans, run on the CPU, against the float64 recurrence.

One base case, and rows that vary one parameter, for every configuration. Shared memory and the
outputs start as NaN, so a part that nobody wrote fails the comparison.
"""

from __future__ import annotations

import ctypes
from typing import Any

import kernel_cases
import kernel_oracle
import numpy as np
import pytest
from cuda_emulation import KERNELS, SHIM, compile_library
from kernel_api import CrossScanCase, Guarded, cross_scan_params

SOURCES = (
    KERNELS / "cuda" / "scan" / "lane_channel" / "kernels.cu",
    SHIM / "lane_channel.cc",
    SHIM / "emulator.cc",
)
#: By its number in `OnePass`, the type and whether tiles are longer: channels of a thread block.
CONFIGS = {
    (0, "float16", False): 128,
    (0, "float32", False): 128,
    (6, "float16", False): 64,
    (6, "float16", True): 64,
}
Config = tuple[int, str, bool]
#: Ranks that have longer tiles; at 8 all tiles are.
LONGER = (4, 16)
RANKS = [(c, rank) for c in CONFIGS for rank in (4, 8, 16) if not c[2] or rank in LONGER]
#: Relative to the root mean square. float16: two independent roundings of at most 2^-11 each, one
#: of the output and one of u's limb sum; 2.6e-4 is seen. float32: sums of 16 terms whose decays
#: are rounded, over a state's memory of some tens of steps; 3e-7 is seen.
LIMITS = {"float16": 2**-11 * 2**0.5, "float32": 2**-24 * 32}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    made = ctypes.CDLL(str(compile_library(tmp_path_factory.mktemp("lane_channel"), SOURCES)))
    made.cuda_on_cpu_lane_channel.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_void_p,
    ]
    return made


def case_of(config: Config, **changes: Any) -> CrossScanCase:
    """153 steps: tiles of 32 or 64 and a part of one."""
    _, dtype, longer = config
    base = {"dtype": dtype, "d_inner": 24, "dt_rank": LONGER[0] if longer else 8}
    return kernel_cases.cross_scan_case(**{**base, **changes})


def run(library: ctypes.CDLL, case: CrossScanCase, config: Config, order: int = 0) -> np.ndarray:
    """Every direction's outputs in step order, (batch, directions, steps, d_inner)."""
    batch, frames, joints, d_inner = case.x.shape
    shape = (batch, len(case.order), frames * joints, d_inner)
    outputs = Guarded(int(np.prod(shape)) * case.x.dtype.itemsize)
    params = cross_scan_params(case)
    library.cuda_on_cpu_order(order)
    number, _, longer = config
    found = library.cuda_on_cpu_lane_channel(
        ctypes.addressof(params), number, int(longer), outputs.pointer
    )
    assert found == 0
    outputs.check("the outputs")
    return outputs.bytes.view(case.x.dtype).reshape(shape).copy()


def check(library: ctypes.CDLL, config: Config, **changes: Any) -> None:
    case = case_of(config, **changes)
    expected = kernel_oracle.direction_terms(case).sum(-1)
    found = run(library, case, config)
    error = np.sqrt(((found - expected) ** 2).mean((0, 2, 3)) / (expected**2).mean((0, 2, 3)))
    assert (error < LIMITS[config[1]]).all(), error / LIMITS[config[1]]


@pytest.mark.parametrize(("config", "rank"), RANKS)
def test_every_rank(library: ctypes.CDLL, config: Config, rank: int) -> None:
    check(library, config, dt_rank=rank)


@pytest.mark.parametrize(("config", "rank"), RANKS)
def test_32_channels_a_rank(library: ctypes.CDLL, config: Config, rank: int) -> None:
    """They have kernels of their own."""
    check(library, config, frames=20 // rank, d_inner=32 * rank, dt_rank=rank)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(
    "changes",
    [
        {"frames": 1, "joints": 1},
        {"frames": 1, "joints": 3},
        {"frames": 8, "joints": 16},  # whole tiles
        {"frames": 31},  # more tiles than there are stages
        {"batch": 3, "frames": 2},
        {"order": (3, 2), "reverse": (0, 1), "limb_mask": (0, 1)},
        {"a_scale": 0.0},  # no decay
        {"a_scale": 100.0},
        {"dt_scale": 3.0},
    ],
    ids=str,
)
def test_shapes_and_walks(library: ctypes.CDLL, config: Config, changes: dict[str, Any]) -> None:
    check(library, config, **changes)


@pytest.mark.parametrize("config", CONFIGS)
def test_partial_blocks(library: ctypes.CDLL, config: Config) -> None:
    """A block with channels to spare, behind a whole one."""
    check(library, config, frames=3, d_inner=CONFIGS[config] + 8)


@pytest.mark.parametrize("config", CONFIGS)
def test_same_bits_in_any_order_of_threads(library: ctypes.CDLL, config: Config) -> None:
    case = case_of(config, frames=31, d_inner=8)
    first = run(library, case, config)
    for order in (1, 2, 3):
        np.testing.assert_array_equal(run(library, case, config, order), first)
