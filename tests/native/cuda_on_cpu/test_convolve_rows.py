"""The convolution that stands alone for 512 channels, run on the CPU, against float64.

One base case, and rows that vary one parameter.
"""

from __future__ import annotations

import ctypes
from functools import partial

import numpy as np
import pytest
from cuda_emulation import compile_text

from posemamba.native.structs import ConvProjParams

CHANNELS = 512
#: A strip is 128 positions, a run four; the list passes over the ends of frames and items.
ROWS: dict[str, dict[str, int]] = {
    "base": {},
    "several strips a block": {"frames": 11, "blocks": 2},
    "whole strips": {"batch": 4, "frames": 4, "joints": 16},
    "one joint": {"joints": 1},
    "two joints": {"joints": 2},
    "one frame": {"frames": 1},
    "one position": {"batch": 1, "frames": 1, "joints": 1},
    "x of its own": {"stride": CHANNELS},
}
SOURCE = """
#include "cuda/block/conv_proj/convolve_rows.cuh"

extern "C" int convolve_rows(const pm_conv_proj_params* a, int positions, int blocks) {
  using namespace posemamba::cuda;
  struct Call {
    const pm_conv_proj_params& a;
    int positions;
  } call{*a, positions};
  return cuda_on_cpu::run(
      dim3(static_cast<unsigned>(blocks)), kConvolveThreads, 0,
      [](const void* of) {
        const Call& one = *static_cast<const Call*>(of);
        convolve_rows_kernel<512>(one.a, one.positions);
      },
      &call);
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compile_text(tmp_path_factory.mktemp("convolve_rows"), SOURCE)


def convolved(
    library: ctypes.CDLL,
    *,
    batch: int = 3,
    frames: int = 5,
    joints: int = 13,
    blocks: int = 3,
    stride: int = 2 * CHANNELS,
    order: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """What the kernel writes, and what it should, [batch, frames, joints, channels]."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(batch, frames, joints, stride)).astype(np.float16)
    taps = rng.normal(size=(9, CHANNELS)).astype(np.float32) / 3
    bias = rng.normal(size=CHANNELS).astype(np.float32)
    u = np.full((batch, frames, joints, CHANNELS), np.nan, np.float16)
    params = ConvProjParams()
    params.x, params.weight, params.bias = x.ctypes.data, taps.ctypes.data, bias.ctypes.data
    params.u, params.x_stride = u.ctypes.data, stride
    params.batch, params.frames, params.joints = batch, frames, joints
    library.cuda_on_cpu_order(order)
    assert library.convolve_rows(ctypes.byref(params), batch * frames * joints, blocks) == 0

    around = np.pad(x[..., :CHANNELS].astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    total = np.zeros(u.shape) + bias
    for tap in range(9):
        frame, joint = divmod(tap, 3)
        total += taps[tap] * around[:, frame : frame + frames, joint : joint + joints]
    return u, total / (1 + np.exp(-total))


@pytest.mark.parametrize("name", ROWS)
def test_convolution(library: ctypes.CDLL, name: str) -> None:
    found, expected = convolved(library, **ROWS[name])
    # Rounded to float16 once; float32 sums of nine values of about one.
    np.testing.assert_allclose(found, expected, rtol=2**-11, atol=2e-6)


def test_the_order_of_threads_changes_no_bit(library: ctypes.CDLL) -> None:
    one = partial(convolved, library)
    assert one()[0].tobytes() == one(order=1)[0].tobytes() == one(order=2)[0].tobytes()
