"""The split-channel scan and its preparing kernel, run on the CPU, against the float64 recurrence.

One base case, and rows that vary one parameter, for every configuration. Shared memory, what is
prepared and the outputs start as NaN, so a part that nobody wrote fails the comparison.
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
    KERNELS / "cuda" / "scan" / "split_channel" / "kernels.cu",
    KERNELS / "cuda" / "scan" / "split_channel" / "launch.cu",
    SHIM / "split_channel.cc",
    SHIM / "emulator.cc",
)
#: By its number in `OnePass`: the channels of a thread block, and every dt rank it has kernels for.
CONFIGS = {1: (64, (4, 8, 16)), 2: (32, (8,)), 3: (16, (4, 8, 16)), 4: (8, (4, 8, 16))}
#: Relative to the root mean square: two independent roundings to float16 of at most 2^-11 each, one
#: of the output and one of u's limb sum. What is seen is 2.1e-4 but for the shortest cases.
LIMIT = 2**-11 * 2**0.5


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    made = ctypes.CDLL(str(compile_library(tmp_path_factory.mktemp("split_channel"), SOURCES)))
    made.cuda_on_cpu_split_channel.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    return made


def case_of(**changes: Any) -> CrossScanCase:  # noqa: ANN401
    """153 steps: a tile of 128 or two of 64, and a part of one; the last group of four has one."""
    return kernel_cases.cross_scan_case(**{"dtype": "float16", "d_inner": 24, **changes})


def run(library: ctypes.CDLL, case: CrossScanCase, config: int, order: int = 0) -> np.ndarray:
    """Every direction's outputs in step order, (batch, directions, steps, d_inner)."""
    batch, frames, joints, d_inner = case.x.shape
    shape = (batch, len(case.order), frames * joints, d_inner)
    outputs = Guarded(int(np.prod(shape)) * 2)
    params = cross_scan_params(case)
    library.cuda_on_cpu_order(order)
    found = library.cuda_on_cpu_split_channel(ctypes.addressof(params), config, outputs.pointer)
    assert found == 0
    outputs.check("the outputs")
    return outputs.bytes.view(np.float16).reshape(shape).copy()


def directions_of(case: CrossScanCase) -> np.ndarray:
    """The same in float64, by the definition."""
    batch, frames, joints, d_inner = case.x.shape
    steps, rank, n = frames * joints, case.dt_weight.shape[2], case.A.shape[2]
    x = case.x.reshape(batch, steps, d_inner).astype(np.float64)
    rows = case.x_dbl.reshape(batch, steps, len(case.order), rank + 2 * n).astype(np.float64)
    token = np.arange(steps)
    limb = token // joints * joints + np.array(case.limb_index)[token % joints]
    y = np.empty((batch, len(case.order), steps, d_inner))
    for k, masked in enumerate(case.limb_mask):
        walk = kernel_oracle.step_positions(frames, joints, case.order[k], case.reverse[k])
        u, row = x[:, walk], rows[:, walk, k]
        if masked:
            u, row = u + x[:, limb[walk]], row + rows[:, limb[walk], k]
        dt = kernel_oracle.softplus(row[..., :rank] @ case.dt_weight[k].T + case.dt_bias[k])
        B, C = row[..., rank : rank + n], row[..., rank + n :]
        y[:, k] = kernel_oracle.scan_steps(u, dt, case.A[k].astype(np.float64), B, C)
    return y


def check(library: ctypes.CDLL, case: CrossScanCase, config: int) -> None:
    found, expected = run(library, case, config), directions_of(case)
    error = np.sqrt(((found - expected) ** 2).mean((0, 2, 3)) / (expected**2).mean((0, 2, 3)))
    assert (error < LIMIT).all(), error


@pytest.mark.parametrize(
    ("config", "rank"), [(config, rank) for config, row in CONFIGS.items() for rank in row[1]]
)
def test_every_rank(library: ctypes.CDLL, config: int, rank: int) -> None:
    check(library, case_of(dt_rank=rank), config)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(
    "changes",
    [
        {"frames": 1, "joints": 1},
        {"frames": 1, "joints": 3},
        {"frames": 8, "joints": 16},  # whole tiles
        {"frames": 31},  # more tiles than a ring has stages
        {"batch": 3, "frames": 2},
        {"order": (3, 2), "reverse": (0, 1), "limb_mask": (0, 1)},
        {"a_scale": 0.0},  # no decay
        {"a_scale": 100.0},
        {"dt_scale": 3.0},
    ],
    ids=str,
)
def test_shapes_and_walks(library: ctypes.CDLL, config: int, changes: dict[str, Any]) -> None:
    check(library, case_of(**changes), config)


@pytest.mark.parametrize("config", CONFIGS)
def test_partial_blocks(library: ctypes.CDLL, config: int) -> None:
    """A block with channels to spare, behind a whole one."""
    check(library, case_of(d_inner=CONFIGS[config][0] + 8), config)


@pytest.mark.parametrize("config", CONFIGS)
def test_same_bits_in_any_order_of_threads(library: ctypes.CDLL, config: int) -> None:
    case = case_of(frames=31, d_inner=8)
    first = run(library, case, config)
    for order in (1, 2, 3):
        np.testing.assert_array_equal(run(library, case, config, order), first)
