"""LayerNorm of rows in a warp's registers, run on the CPU, against float64.

Every number of channels, rows and lanes that a kernel has: a row alone is summed pairwise, rows
side by side in two passes.
"""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from cuda_emulation import compile_text

#: Channels, rows of a lane, lanes of a row.
LAYOUTS = [
    (64, 1, 32),
    (64, 2, 32),
    (64, 1, 16),
    (128, 1, 32),
    (128, 2, 32),
    (128, 4, 32),
    (128, 1, 16),
    (256, 1, 32),
    (256, 2, 32),
    (512, 1, 32),
]
EPSILON = 1e-5
#: Of values of about one: some additions in float32, each off by 6e-8, and a reciprocal root.
SUMS = 2e-6
#: Means beside the deviation of a row. What a value loses by lying so far from zero is the mean's
#: float32 rounding, 6e-8 of it, and comes on top.
MEANS = [0.0, -3.0, 1000.0]

SOURCE = """
#include "cuda/device/rows.cuh"

using namespace posemamba::cuda;

template <int Channels, int Count, int Lanes>
__global__ void norm_kernel(const float* from, const float* gamma, const float* beta,
                            float epsilon, float* to) {
  using Rows = RowGroup<Channels, Count, false, Lanes>;
  constexpr int kAtOnce = 32 / Lanes;
  const int lane = static_cast<int>(threadIdx.x) / kAtOnce;
  const int first = static_cast<int>(threadIdx.x) % kAtOnce * Count;
  Rows rows;
  for (int r = 0; r < Count; ++r) {
    for (int q = 0; q < Rows::kQuads; ++q) {
      rows.quad[r][q] = make_float4(0, 0, 0, 0);
      if (!rows.used(lane)) continue;
      rows.quad[r][q] = read_quad(from + (first + r) * Channels + rows.channel(q, lane));
    }
  }
  rows.normalize(gamma, beta, epsilon, lane);
  for (int r = 0; rows.used(lane) && r < Count; ++r) {
    for (int q = 0; q < Rows::kQuads; ++q) {
      write_quad(to + (first + r) * Channels + rows.channel(q, lane), rows.quad[r][q]);
    }
  }
}

struct Call {
  const float* from;
  const float* gamma;
  const float* beta;
  float epsilon;
  float* to;
};

template <int Channels, int Count, int Lanes>
int run(const Call& call) {
  return cuda_on_cpu::run(
      dim3(1), 32, 0,
      [](const void* of) {
        const Call& c = *static_cast<const Call*>(of);
        norm_kernel<Channels, Count, Lanes>(c.from, c.gamma, c.beta, c.epsilon, c.to);
      },
      &call);
}
"""
ENTRY = """
extern "C" int norm_{0}_{1}_{2}(const float* from, const float* gamma, const float* beta,
                                float epsilon, float* to) {{
  return run<{0}, {1}, {2}>({{from, gamma, beta, epsilon, to}});
}}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    text = SOURCE + "".join(ENTRY.format(*layout) for layout in LAYOUTS)
    return compile_text(tmp_path_factory.mktemp("row_norms"), text)


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize(("channels", "count", "lanes"), LAYOUTS)
def test_norm(library: ctypes.CDLL, channels: int, count: int, lanes: int, mean: float) -> None:
    rng = np.random.default_rng(channels + count + lanes)
    rows = rng.normal(mean, 1.0, (count * 32 // lanes, channels)).astype(np.float32)
    gamma, beta = rng.normal(1.0, 0.5, (2, channels)).astype(np.float32)
    found = np.full_like(rows, np.nan)
    pointer = ctypes.POINTER(ctypes.c_float)
    arrays = [array.ctypes.data_as(pointer) for array in (rows, gamma, beta, found)]
    call = getattr(library, f"norm_{channels}_{count}_{lanes}")
    assert call(*arrays[:3], ctypes.c_float(EPSILON), arrays[3]) == 0

    wide = rows.astype(np.float64)
    centred = wide - wide.mean(-1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON) * gamma + beta
    scale = np.abs(gamma) * np.abs(centred).max() + np.abs(beta) + 1.0
    assert (np.abs(found - expected) / scale).max() < SUMS + abs(mean) * 2**-23
