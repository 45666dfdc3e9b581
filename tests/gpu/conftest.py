"""GPU tests need a device and the built library; benchmarks/gpu_run.sh provides both.

Without a GPU they skip with a reason, unless POSEMAMBA_REQUIRE_GPU is set (the script sets it), so
that a broken driver cannot pass for a machine without one.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

import pmcuda


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available() or os.environ.get("POSEMAMBA_REQUIRE_GPU"):
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU (benchmarks/gpu_run.sh)"))


@pytest.fixture(scope="session")
def lib() -> ctypes.CDLL:
    return pmcuda.library()
