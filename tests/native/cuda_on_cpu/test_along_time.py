"""The scan whose lanes go along the sequence, run on the CPU, against the sequential oracle.

One base case, and rows that vary one parameter. Outputs start as NaN between guard bands.
"""

from __future__ import annotations

import ctypes
from functools import partial

import kernel_api
import kernel_cases as cases
import kernel_oracle as oracle
import numpy as np
import pytest
from cuda_emulation import KERNELS, compile_text
from kernel_tolerance import check

#: 1,152: from 8 an SM on a lane has 4 steps, not 8.
MANY: dict[str, object] = {"batch": 8, "channels": 72, "d_state": 2}

#: 24 channels of 2 groups and 2 items: 24 blocks of 4 warps.
ROWS: dict[str, dict[str, object]] = {
    "base": {},
    "one state": {"d_state": 1},
    "three states": {"d_state": 3},
    "every lane keeps a state": {"d_state": 32},
    "one step": {"length": 1},
    "rows of whole fours": {"length": 76},
    "a tile": {"length": 128},
    "tiles, whole fours": {"length": 388},
    "tiles, odd": {"length": 259},
    "a warp left over": {"channels": 9, "groups": 1, "reverse": (1,)},
    "batch": {"batch": 3, "groups": 4, "channels": 8, "reverse": (0, 1, 1, 0)},
    "half": {"dtype": "float16"},
    "half, whole fours": {"dtype": "float16", "length": 132},
    "many rows": {**MANY, "length": 131},
    "many rows of whole fours": {**MANY, "length": 132},
    "many rows, half": {**MANY, "length": 132, "dtype": "float16"},
    "no options": {"with_d": False, "with_z": False, "with_bias": False},
    "no softplus": {"delta_softplus": False, "with_bias": False},
    "wide delta": {"delta_scale": 12.0},
}
SOURCE = """
#include "cuda/scan/along_time/launch.h"

extern "C" int along_time(const pm_scan_params* params) {
  using namespace posemamba::cuda;
  if (!along_time::fits(*params)) return -1;
  return along_time::run(*params, current_device(), nullptr);
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    launcher = KERNELS / "cuda" / "scan" / "along_time" / "launch.cu"
    return compile_text(tmp_path_factory.mktemp("along_time"), SOURCE, (launcher,))


def scanned(library: ctypes.CDLL, case: kernel_api.ScanCase, order: int = 0) -> np.ndarray:
    library.cuda_on_cpu_order(order)
    y = kernel_api.Guarded(case.u.nbytes)
    params = kernel_api.scan_params(case)
    params.y = y.pointer
    assert library.along_time(ctypes.byref(params)) == 0
    y.check("y")
    return np.frombuffer(y.bytes.tobytes(), case.u.dtype).reshape(case.u.shape)


@pytest.mark.parametrize("name", ROWS)
def test_matches_oracle(library: ctypes.CDLL, name: str) -> None:
    case = cases.scan_case(**ROWS[name])
    check(scanned(library, case), oracle.scan(case), oracle.scan(case, np.float32))


def test_the_order_of_threads_changes_no_bit(library: ctypes.CDLL) -> None:
    one = partial(scanned, library, cases.scan_case())
    assert one(0).tobytes() == one(1).tobytes() == one(2).tobytes()


def test_more_states_than_lanes_are_for_another_design(library: ctypes.CDLL) -> None:
    params = kernel_api.scan_params(cases.scan_case(d_state=33))
    assert library.along_time(ctypes.byref(params)) == -1
