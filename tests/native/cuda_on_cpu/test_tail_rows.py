"""What the tail of d_model 256 does row by row, run on the CPU, against float64: the gated rows
before its products, and the poses of the stream after them.

One base case, and rows that vary one parameter. Every walk is another one.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest
from cuda_emulation import compile_text
from kernel_oracle import step_positions

from posemamba.native.structs import BlockTailParams

D = 256
INNER = 2 * D
DIRECTIONS = 4
EPSILON = 1e-5
#: A result is rounded to float16 once. What is added: float32 sums of values of about one.
ROUNDING = 2**-11
SUMS = 2e-5
#: Which part of a warp's rows, blocks, items and frames ends where.
ROWS: dict[str, dict[str, int]] = {
    "base": {},
    "a block for each row and some without": {"blocks": 4},
    "one joint": {"joints": 1},
    "one frame": {"frames": 1},
    "one row": {"batch": 1, "frames": 1, "joints": 1},
    "one item": {"batch": 1},
    "other walks": {"turn": 1},
}
SOURCE = """
#include "cuda/block/tail_persistent/gated_rows.cuh"
#include "cuda/block/tail_persistent/stream_poses.cuh"

using namespace posemamba::cuda;

// `walks`: of every direction the step of (0, 0), and what a frame and a joint add.
extern "C" int gated_rows(const pm_block_tail_params* a, void* partial, const int* walks,
                          int blocks) {
  const pm_cross_scan_params& s = a->scan;
  CrossArgs c{};
  c.partial = partial, c.x = s.x, c.x_stride = s.x_stride;
  c.frames = static_cast<int>(s.frames), c.joints = s.joints, c.steps = c.frames * s.joints;
  std::copy_n(s.limb_index, s.joints, c.limb_index);
  for (int k = 0; k < 4; ++k) {
    c.step_base[k] = walks[3 * k];
    c.step_frame[k] = walks[3 * k + 1], c.step_joint[k] = walks[3 * k + 2];
  }
  struct Call {
    const CrossArgs& c;
    const pm_block_tail_params& a;
    Positions positions;
  } call{c, *a, Positions(static_cast<int>(s.batch) * c.steps, c.steps, c.joints)};
  return cuda_on_cpu::run(
      dim3(static_cast<unsigned>(blocks)), 32 * kGatedWarps, 0,
      [](const void* of) {
        const Call& one = *static_cast<const Call*>(of);
        gated_rows_kernel<256>(one.c, one.a, one.positions);
      },
      &call);
}

extern "C" int stream_poses(const pm_block_tail_params* a, int rows) {
  struct Call {
    const pm_block_tail_params& a;
    int rows;
  } call{*a, rows};
  return cuda_on_cpu::run(
      dim3(static_cast<unsigned>((rows + kPoseWarps - 1) / kPoseWarps)), 32 * kPoseWarps, 0,
      [](const void* of) {
        const Call& one = *static_cast<const Call*>(of);
        stream_poses_kernel<256>(one.a, one.rows);
      },
      &call);
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compile_text(tmp_path_factory.mktemp("tail_rows"), SOURCE)


@dataclass
class Case:
    """Inputs of a tail, seeded."""

    batch: int = 2
    frames: int = 3
    joints: int = 5
    blocks: int = 2
    turn: int = 0  # which direction has which walk
    orders: list[tuple[int, int]] = field(default_factory=lambda: [(3, 0), (0, 1), (1, 1), (2, 0)])

    def __post_init__(self) -> None:
        rng = np.random.default_rng(3)
        self.rows = self.batch * self.frames * self.joints
        self.walks = [*self.orders[self.turn :], *self.orders[: self.turn]]
        steps = self.frames * self.joints
        self.partial = rng.normal(size=(self.batch, DIRECTIONS, steps, INNER)).astype(np.float16)
        self.u = rng.normal(size=(self.rows, INNER)).astype(np.float16)
        self.xz = rng.normal(size=(self.rows, 2 * INNER)).astype(np.float16)
        self.stream = rng.normal(size=(self.rows, D)).astype(np.float32)
        self.vectors = (rng.normal(size=17 * D) + 0.5).astype(np.float32)
        self.head = rng.normal(size=(3, D)).astype(np.float32) / 16
        self.head_bias = rng.normal(size=3).astype(np.float32)
        self.limb = rng.integers(0, self.joints, self.joints)
        self.poses_3d = np.full((self.rows, 3), np.nan, np.float32)

    def params(self) -> BlockTailParams:
        params = BlockTailParams()
        scan = params.scan
        scan.x, scan.x_stride = self.u.ctypes.data, INNER
        scan.batch, scan.frames, scan.joints = self.batch, self.frames, self.joints
        scan.limb_index[: self.joints] = self.limb.tolist()
        params.z, params.z_stride = self.xz.ctypes.data + 2 * INNER, 2 * INNER
        params.vectors, params.stream = self.vectors.ctypes.data, self.stream.ctypes.data
        params.out_epsilon = params.next.epsilon = EPSILON
        params.next.head_weight = self.head.ctypes.data
        params.next.head_bias = self.head_bias.ctypes.data
        params.next.poses_3d = self.poses_3d.ctypes.data
        return params

    def steps(self) -> np.ndarray:
        """The step of every direction at every position, [directions, frames * joints]."""
        return np.array(
            [np.argsort(step_positions(self.frames, self.joints, *w)) for w in self.walks]
        )

    def affine(self) -> ctypes.Array[ctypes.c_int]:
        """The same as `CrossArgs` has them."""
        found: list[int] = []
        for steps in self.steps():
            grid = steps.reshape(self.frames, self.joints)
            first = int(grid[0, 0])
            frame = int(grid[1, 0]) - first if self.frames > 1 else 0
            joint = int(grid[0, 1]) - first if self.joints > 1 else 0
            found += [first, frame, joint]
        return (ctypes.c_int * len(found))(*found)


def layer_norm(y: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    centred = y - y.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON) * gamma + beta


def gated(library: ctypes.CDLL, case: Case, order: int = 0) -> np.ndarray:
    """The directions' outputs, the first of them overwritten."""
    library.cuda_on_cpu_order(order)
    partial_sums = case.partial.copy()
    found = library.gated_rows(
        ctypes.byref(case.params()),
        ctypes.c_void_p(partial_sums.ctypes.data),
        case.affine(),
        case.blocks,
    )
    assert found == 0
    return partial_sums


@pytest.mark.parametrize("name", ROWS)
def test_gated_rows(library: ctypes.CDLL, name: str) -> None:
    case = Case(**ROWS[name])
    found = gated(library, case)
    assert found[:, 1:].tobytes() == case.partial[:, 1:].tobytes()

    positions, limb = np.arange(case.rows), case.limb
    other = positions // case.joints * case.joints + limb[positions % case.joints]
    gamma, beta, skip, masked = case.vectors[: 8 * D].astype(np.float64).reshape(4, INNER)
    u, z = case.u.astype(np.float64), case.xz[:, INNER:].astype(np.float64)
    steps = case.steps()
    y = sum(case.partial[:, k, steps[k]].astype(np.float64) for k in range(DIRECTIONS))
    y = y.reshape(case.rows, INNER) + skip * u + masked * u[other]
    expected = layer_norm(y, gamma, beta) * z / (1 + np.exp(-z))
    np.testing.assert_allclose(
        found[:, 0, steps[0]].reshape(case.rows, INNER), expected, rtol=ROUNDING, atol=SUMS
    )


def test_the_order_of_threads_changes_no_bit(library: ctypes.CDLL) -> None:
    one = partial(gated, library, Case())
    assert one(0).tobytes() == one(1).tobytes() == one(2).tobytes()


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_poses_of_the_stream(library: ctypes.CDLL, frames: int) -> None:
    case = Case(frames=frames)
    assert library.stream_poses(ctypes.byref(case.params()), case.rows) == 0
    gamma, beta = case.vectors[12 * D : 14 * D].astype(np.float64).reshape(2, D)
    normal = layer_norm(case.stream.astype(np.float64), gamma, beta)
    np.testing.assert_allclose(
        case.poses_3d, normal @ case.head.T + case.head_bias, rtol=0, atol=SUMS
    )
