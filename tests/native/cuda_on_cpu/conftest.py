"""The kernels of the gradients, compiled once and put in the place of the native ones."""

from __future__ import annotations

from collections.abc import Iterator

import cuda_emulation
import pytest
import torch
from cuda_emulation import Emulation

from posemamba.native import gradients


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Emulation:
    return cuda_emulation.compile_kernels(tmp_path_factory.mktemp("cuda_on_cpu"))


@pytest.fixture
def emulation(compiled: Emulation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulation]:
    """The ops run the CUDA kernels; what PyTorch hands out uninitialised is NaN."""
    monkeypatch.setattr(gradients, "launch_scan", compiled.launch_scan)
    torch.use_deterministic_algorithms(True)  # torch.utils.deterministic.fill_uninitialized_memory
    yield compiled
    torch.use_deterministic_algorithms(False)
    compiled.reset()
