"""ONNX Runtime's CUDA provider through stand-ins: every call, and every failure of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from driven import Drive, assert_lifted, assert_refused
from runtime_api import BACKEND_FAILED, MISSING


@pytest.mark.parametrize("graph", [0, 1])
@pytest.mark.parametrize("backend", ["auto", "onnxruntime-cuda"])
def test_ort_cuda(backend: str, graph: int, any_model: Path, drive: Drive) -> None:
    result = drive(any_model, backend, f"cuda_graph={graph}", ort="providers=cuda")
    assert_lifted(result)
    assert result.info["backend"] == "onnxruntime-cuda"


def test_a_size_is_captured_when_it_comes_again(
    any_model: Path,
    drive: Drive,
    tmp_path: Path,
) -> None:
    """drive lifts batch x frames 1x27 three times, 2x5, 7x27, and 1x27 again; -1 is no graph."""
    log = tmp_path / "graphs"
    words = f"providers=cuda;graphs={log}"
    assert_lifted(drive(any_model, "onnxruntime-cuda", "cuda_graph=1", ort=words))
    assert log.read_text().split() == ["-1", "1", "1", "-1", "-1", "1"]


@pytest.mark.parametrize("backend", ["auto", "onnxruntime-cuda"])
@pytest.mark.parametrize("tf32", [0, 1])
def test_tf32_is_what_was_asked(
    tf32: int,
    backend: str,
    any_model: Path,
    drive: Drive,
    tmp_path: Path,
) -> None:
    """ONNX Runtime's own default is TF32: the provider is told either way."""
    log = tmp_path / "cuda"
    result = drive(any_model, backend, f"tf32={tf32}", ort=f"providers=cuda;cuda={log}")
    assert_lifted(result)
    assert f"use_tf32={tf32}" in log.read_text().split()
    assert result.info["tf32"] is bool(tf32)


ORT_CUDA_FAILURES = {
    "CreateCUDAProviderOptions": MISSING,
    "UpdateCUDAProviderOptions": MISSING,
    "SessionOptionsAppendExecutionProvider_CUDA_V2": MISSING,
    "CreateIoBinding": BACKEND_FAILED,
    "BindInput": BACKEND_FAILED,
    "BindOutput": BACKEND_FAILED,
    "CreateRunOptions": BACKEND_FAILED,
    "AddRunConfigEntry": BACKEND_FAILED,
    "RunWithBinding": BACKEND_FAILED,
    "GetAvailableProviders": BACKEND_FAILED,
}


@pytest.mark.parametrize("name", ORT_CUDA_FAILURES)
def test_ort_cuda_failures(name: str, any_model: Path, drive: Drive) -> None:
    words = f"providers=cuda;fail={name}"
    result = drive(any_model, "onnxruntime-cuda", "cuda_graph=1", ort=words)
    assert_refused(result, ORT_CUDA_FAILURES[name], "stand-in says no")
