"""Fixtures of the TensorRT plugin's tests: the library, and the conformance harness built for it.

Without TensorRT headers or nvcc there is no plugin and the tests skip with a reason, unless
POSEMAMBA_REQUIRE_TRT is set. Where both are present the library must be there too.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import trt_harness
from absence import lacking


@pytest.fixture(scope="session")
def plugin() -> Path:
    """libposemamba_trt.so."""
    path = trt_harness.plugin_library()
    if not path.is_file():
        reason = f"no plugin library at '{path}'"
        could_be_built = trt_harness.headers() is not None and trt_harness.nvcc() is not None
        if could_be_built:
            pytest.fail(f"{reason}: build it with tools/trt_headers.py and 'pip install .'")
        lacking(f"{reason}: it needs TensorRT headers and nvcc", "TRT")
    return path


@pytest.fixture(scope="session")
def headers() -> Path:
    """A folder of TensorRT headers, with nvcc there to compile against them."""
    folder = trt_harness.headers()
    if folder is None or trt_harness.nvcc() is None:
        lacking("the harness needs TensorRT headers (tools/trt_headers.py) and nvcc", "TRT")
    return folder


@pytest.fixture(scope="session")
def harness(headers: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The harness's object files."""
    return trt_harness.compile_harness(headers, tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="session")
def conformance(harness: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The conformance program."""
    return trt_harness.link(harness, tmp_path_factory.mktemp("conformance") / "conformance")


@pytest.fixture(scope="session")
def twin(
    headers: Path, harness: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The conformance program and the plugin's twin over the CPU kernels."""
    return trt_harness.link_twin(headers, harness, tmp_path_factory.mktemp("twin"))
