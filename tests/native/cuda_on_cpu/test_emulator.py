"""The emulator finds what it is for: threads that do not meet, missing barriers, memory overrun."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from cuda_emulation import SHIM, compile_text

#: A kernel over 64 threads that reverses what each wrote, in several wrong ways.
SOURCE = """
#include "cuda_runtime.h"
#include "cuda/device/special.cuh"
#include "cuda/device/start.h"

struct Args { float* out; int fault; };

void reverse(const Args a) {
  float* shared = reinterpret_cast<float*>(posemamba::cuda::dynamic_shared());
  const int thread = static_cast<int>(threadIdx.x);
  shared[thread] = static_cast<float>(thread);
  if (a.fault == 2 && thread % 2) __syncwarp();
  if (a.fault == 3 && thread == 0) shared[64] = 1.0f;
  if (a.fault == 4 && thread == 40) return;
  if (a.fault != 1) __syncthreads();
  float sum = shared[63 - thread];
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  a.out[thread] = shared[63 - thread] + (sum - sum);
}

extern "C" int launch(float* out, int fault) {
  return start(reverse, int64_t{1}, 64, Args{out, fault}, posemamba::cuda::current_device(),
               nullptr, 256);
}
"""
RIGHT, NO_BARRIER, DIVERGED, OVERRUN, LEFT = range(5)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    text = SOURCE.replace("return start", "return posemamba::cuda::start")
    return compile_text(tmp_path_factory.mktemp("emulator"), text)


def reversed_by(library: ctypes.CDLL, fault: int, order: int) -> tuple[int, list[float]]:
    out = (ctypes.c_float * 64)()
    library.cuda_on_cpu_order(order)
    return library.launch(out, fault), list(out)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_right_kernel(library: ctypes.CDLL, order: int) -> None:
    assert reversed_by(library, RIGHT, order) == (0, [63.0 - i for i in range(64)])


def test_a_missing_barrier_shows(library: ctypes.CDLL) -> None:
    """As NaN, and as other bits in another order."""
    found = {str(reversed_by(library, NO_BARRIER, order)) for order in (0, 1)}
    assert len(found) == 2
    assert all("nan" in one for one in found)


@pytest.mark.parametrize("fault", [DIVERGED, OVERRUN, LEFT])
def test_a_fault_is_an_error(library: ctypes.CDLL, fault: int) -> None:
    assert reversed_by(library, fault, 0)[0] == 719


def test_the_shim_stands_in_for_few_of_our_headers() -> None:
    ours = {path.relative_to(SHIM) for path in SHIM.rglob("cuda/**/*") if path.is_file()}
    names = ("copy_async.cuh", "device.cuh", "mma.cuh", "special.cuh", "start.h")
    device = {Path("cuda/device") / name for name in names}
    scan = {
        Path("cuda/scan/split_channel/resident/exchange.cuh"),
        Path("cuda/scan/split_channel/copies.cuh"),
    }
    assert ours == device | scan
