"""The plugins under TensorRT's protocol, played by ``harness/`` with no TensorRT present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trt_harness


def passes(program: Path, plugin: Path, case: str, launchers: Path | None = None) -> None:
    done = trt_harness.play(program, plugin, case, launchers=launchers)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    assert f"{case}: ok" in done.stdout


@pytest.mark.parametrize("case", trt_harness.cases(gpu=False))
def test_protocol(conformance: Path, plugin: Path, case: str) -> None:
    passes(conformance, plugin, case)


@pytest.mark.parametrize("case", [c for c in trt_harness.cases(gpu=True) if c != "gpu_graph"])
def test_launches_over_the_cpu_kernels(twin: tuple[Path, Path], case: str) -> None:
    """What the plugin hands to a launcher gives the oracle's answer, with no GPU."""
    program, plugin = twin
    passes(program, plugin, case, launchers=plugin)


@pytest.mark.gpu
@pytest.mark.parametrize("case", trt_harness.cases(gpu=True))
def test_on_a_gpu(conformance: Path, plugin: Path, case: str) -> None:
    import torch

    if not torch.cuda.is_available() and not os.environ.get("POSEMAMBA_REQUIRE_GPU"):
        pytest.skip("needs an NVIDIA GPU (benchmarks/gpu_trt.sh)")
    passes(conformance, plugin, case)


def test_the_program_refuses_what_it_does_not_know(conformance: Path, plugin: Path) -> None:
    assert trt_harness.play(conformance, plugin, "no_such_case").returncode == 2
    done = trt_harness.play(conformance, Path("/nowhere/libposemamba_trt.so"), "creators")
    assert done.returncode == 1, "a library that cannot be loaded fails every case"
