"""``half_sums`` reaches the launcher that ONNX Runtime's operator calls."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import ort_cases as cases
import pytest
from native_build import run
from places import ROOT

from posemamba.native.library import library_path

ADAPTER = ROOT / "trt_plugins" / "onnxruntime"
CUDA_ALONE = ("cuda_device.cc", "fused_ops.cc", "ort_api_check.cc")
#: The kernel, and the last bit of its first output turned where it was told.
SPY = """
#include "posemamba/scan_cpu.h"
extern "C" pm_status __real_pm_cpu_cross_scan(const pm_cross_scan_params*, void*,
                                              const pm_parallel*);
extern "C" pm_status __wrap_pm_cpu_cross_scan(const pm_cross_scan_params* params, void* workspace,
                                              const pm_parallel* parallel) {
  const pm_status status = __real_pm_cpu_cross_scan(params, workspace, parallel);
  if (params->half_sums == 1) *static_cast<unsigned char*>(params->y) ^= 1;
  return status;
}
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler (a wheel needs none)")
def test_it_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, spy = tmp_path / "libspied.so", tmp_path / "spy.cc"
    spy.write_text(SPY)
    kernels = library_path("cpu").resolve()
    sources = [path for path in sorted(ADAPTER.glob("*.cc")) if path.name not in CUDA_ALONE]
    run("g++", "-std=c++17", "-O1", "-shared", "-fPIC", "-I", ROOT / "trt_plugins" / "include",
        *sources, spy, kernels, f"-Wl,-rpath,{kernels.parent}", "-Wl,--wrap=pm_cpu_cross_scan",
        "-o", library)  # fmt: skip
    monkeypatch.setenv("POSEMAMBA_ORT_LIB", str(library))
    inputs = cases.cross_inputs(np.float16)
    usual, asked = (
        cases.session("CrossSelectiveScan", inputs, cases.CROSS_ATTRIBUTES | more)
        .run(None, inputs)[0]
        .view(np.uint16)
        for more in ({}, {"half_sums": 1})
    )
    assert np.flatnonzero(usual != asked).tolist() == [0]
