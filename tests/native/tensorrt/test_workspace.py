"""The bytes an engine reserves suffice for every shape of its profile, on every device."""

from __future__ import annotations

import subprocess
from pathlib import Path

import trt_harness
from absence import lacking


def test_carry_limit(tmp_path: Path) -> None:
    if trt_harness.nvcc() is None:
        lacking("needs nvcc for CUDA's headers", "TRT")
    kernels = trt_harness.ROOT / "trt_plugins" / "kernels"
    program = tmp_path / "carry_limit"
    source = Path(__file__).parent / "plan" / "carry_limit.cc"
    trt_harness.compile_cpp(
        "-I", kernels, source, kernels / "cuda" / "scan" / "chunked" / "plan.cc", "-o", program
    )
    done = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
