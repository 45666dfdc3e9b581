"""The convolution that writes what the split-channel scan reads, run on the CPU, against NumPy.

What is prepared starts as NaN: all of it that the scan reads must have been written.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import kernel_cases
import kernel_oracle
import numpy as np
import pytest
from cuda_emulation import KERNELS, SHIM, compile_library
from kernel_api import CrossScanCase, Guarded, cross_scan_params

from posemamba.native.packing import pack_weight
from posemamba.native.structs import ConvProjParams

SOURCES = (
    KERNELS / "cuda" / "block" / "conv_proj" / "walked.cu",
    KERNELS / "cuda" / "scan" / "split_channel" / "launch.cu",
    SHIM / "walked_conv.cc",
    SHIM / "emulator.cc",
)
STATES = 16


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    made = ctypes.CDLL(str(compile_library(tmp_path_factory.mktemp("walked_conv"), SOURCES)))
    made.cuda_on_cpu_walked_conv.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_int, ctypes.c_void_p]
    made.cuda_on_cpu_prepared.argtypes = [ctypes.c_void_p] * 3
    made.cuda_on_cpu_prepared.restype = ctypes.c_size_t
    return made


@dataclass
class Written:
    """What the convolution writes; of each direction but ``panels``, which are of each walk."""

    u: np.ndarray  # (batch, positions, channels)
    panels: np.ndarray  # (batch, walks, steps, channels)
    states: np.ndarray  # (batch, directions, steps, 2 * STATES), B and C; whole groups of four
    raw: np.ndarray  # (batch, directions, steps, rank)


@dataclass
class ConvCase:
    """Inputs of one call; ``scan`` says how it walks."""

    scan: CrossScanCase
    x: np.ndarray  # (batch, frames, joints, channels)
    taps: np.ndarray  # (9, channels)
    bias: np.ndarray
    projection: np.ndarray  # (columns, channels), float16

    def walks(self) -> list[tuple[int, int]]:
        """Every distinct (order, limb mask) among the directions."""
        return list(dict.fromkeys(zip(self.scan.order, self.scan.limb_mask, strict=True)))

    def run(self, library: ctypes.CDLL, multiprocessors: int, order: int = 0) -> Written:
        scan = cross_scan_params(self.scan)
        batch, frames, joints, channels = self.x.shape
        steps, steps4 = frames * joints, (frames * joints + 3) // 4 * 4
        directions, rank = scan.directions, scan.dt_rank
        u = np.full((batch, steps, channels), np.nan, np.float16)
        packed = pack_weight(self.projection)
        conv = ConvProjParams()
        conv.x, conv.weight, conv.bias = (
            array.ctypes.data for array in (self.x, self.taps, self.bias)
        )
        conv.projection, conv.u = packed.ctypes.data, u.ctypes.data
        conv.batch, conv.frames, conv.joints = batch, frames, joints
        conv.channels, conv.columns = channels, self.projection.shape[0]
        conv.x_stride = channels
        bc, raw = ctypes.c_size_t(), ctypes.c_size_t()
        size = library.cuda_on_cpu_prepared(ctypes.byref(scan), ctypes.byref(bc), ctypes.byref(raw))
        memory = Guarded(size)
        library.cuda_on_cpu_order(order)
        assert (
            library.cuda_on_cpu_walked_conv(
                ctypes.byref(conv), ctypes.byref(scan), multiprocessors, memory.pointer
            )
            == 0
        )
        memory.check("what is prepared")
        made, walks = memory.bytes, len(self.walks())

        def part(begin: int, dtype: type, *shape: int) -> np.ndarray:
            count = int(np.prod(shape)) * np.dtype(dtype).itemsize
            return made[begin : begin + count].view(dtype).reshape(shape)

        panels = part(0, np.float16, batch, walks, channels // 8, steps4, 8)
        states = part(bc.value, np.float32, batch, directions, steps4 // 4, 2 * STATES, 4)
        return Written(
            u,
            panels.transpose(0, 1, 3, 2, 4).reshape(batch, walks, steps4, channels)[:, :, :steps],
            states.transpose(0, 1, 2, 4, 3).reshape(batch, directions, steps4, 2 * STATES),
            part(raw.value, np.float32, batch, directions, steps4, rank)[:, :, :steps],
        )

    def convolution(self) -> np.ndarray:
        """u in float64."""
        batch, frames, joints, channels = self.x.shape
        padded = np.pad(self.x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
        total = np.broadcast_to(self.bias.astype(np.float64), self.x.shape).copy()
        for tap in range(9):
            f, j = divmod(tap, 3)
            total += padded[:, f : f + frames, j : j + joints] * self.taps[tap].astype(np.float64)
        return (total / (1 + np.exp(-total))).reshape(batch, frames * joints, channels)

    def prepared(self, u: np.ndarray) -> Written:
        """What is prepared of this u: panels rounded to float16, their products in float64."""
        _, frames, joints, channels = self.x.shape
        steps, scan = frames * joints, self.scan
        token = np.arange(steps)
        limb = token // joints * joints + np.array(scan.limb_index)[token % joints]
        weights = self.projection.astype(np.float64).reshape(len(scan.order), -1, channels)
        walks, rank = self.walks(), scan.dt_weight.shape[2]
        panels = []
        for order, masked in walks:
            at = kernel_oracle.step_positions(frames, joints, order, 0)
            panels.append(u[:, at] + u[:, limb[at]] if masked else u[:, at])
        rows = np.zeros((u.shape[0], len(scan.order), (steps + 3) // 4 * 4, rank + 2 * STATES))
        for k, walk in enumerate(zip(scan.order, scan.limb_mask, strict=True)):
            of_walk = panels[walks.index(walk)].astype(np.float64) @ weights[k].T
            rows[:, k, :steps] = of_walk[:, ::-1] if scan.reverse[k] else of_walk
        return Written(u, np.stack(panels, 1), rows[..., rank:], rows[:, :, :steps, :rank])


def case_of(seed: int = 0, *, channels: int = 128, **changes: Any) -> ConvCase:
    """Three items of seven frames: tiles of 15 lie in two items."""
    scan = kernel_cases.cross_scan_case(
        **{
            "dtype": "float16",
            "d_inner": channels,
            "dt_rank": 4,
            "batch": 3,
            "frames": 7,
            **changes,
        }
    )
    rng = np.random.default_rng(seed)
    columns = scan.x_dbl.shape[3]
    return ConvCase(
        scan,
        scan.x,
        rng.standard_normal((9, channels)).astype(np.float32) * np.float32(0.4),
        rng.standard_normal(channels).astype(np.float32) * np.float32(0.2),
        (rng.standard_normal((columns, channels)) * channels**-0.5).astype(np.float16),
    )


def check(case: ConvCase, found: Written) -> None:
    u = case.convolution()
    # Half a unit in the last place, or of the smallest normal number, and float32 sums before.
    np.testing.assert_allclose(found.u, u, rtol=2.0**-11 + 1e-6, atol=2.0**-24)
    expected = case.prepared(found.u)
    np.testing.assert_array_equal(found.panels, expected.panels)
    for name in ("states", "raw"):
        # Float32 sums of up to 256 products: 2^-24 for each at worst, where nothing cancels.
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=2e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"channels": 256, "dt_rank": 8},
        {"dt_rank": 8},
        {"dt_rank": 16},
        {"batch": 1, "frames": 1, "joints": 1},
        {"batch": 2, "frames": 3, "joints": 64},  # a walk of three tiles of four frames
        {"batch": 1, "frames": 40},  # more frames than a tile has
        {"batch": 40, "frames": 1},
        {"order": (3, 0, 2, 1), "reverse": (0, 1, 0, 1), "limb_mask": (1, 0, 0, 1)},
        {"dt_rank": 8, "order": (2, 3), "reverse": (1, 0), "limb_mask": (0, 1)},
        {"dt_rank": 16, "order": (1,), "reverse": (0,), "limb_mask": (1,)},
    ],
    ids=str,
)
@pytest.mark.parametrize("multiprocessors", [1, 4])
def test_against_numpy(library: ctypes.CDLL, changes: dict[str, Any], multiprocessors: int) -> None:
    case = case_of(**changes)
    check(case, case.run(library, multiprocessors))


def test_same_bits_in_any_order_of_threads_and_grid(library: ctypes.CDLL) -> None:
    case = case_of()
    first = case.run(library, 1)
    for order, multiprocessors in ((1, 1), (2, 3), (3, 100)):
        again = case.run(library, multiprocessors, order)
        for name in ("u", "panels", "states", "raw"):
            np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
