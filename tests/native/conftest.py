"""Fixtures of the kernel tests: the library, and one run per instruction set of this machine."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import kernel_api
import pytest


@pytest.fixture(scope="session")
def lib() -> ctypes.CDLL:
    return kernel_api.load_library()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that asks for `isa` runs once on each instruction set the machine has."""
    if "isa" in metafunc.fixturenames:
        names = kernel_api.available_isas(kernel_api.load_library())
        metafunc.parametrize("isa", names, indirect=True)


@pytest.fixture
def isa(request: pytest.FixtureRequest, lib: ctypes.CDLL) -> Iterator[str]:
    assert lib.pm_cpu_set_isa(request.param.encode()) == kernel_api.OK
    assert lib.pm_cpu_isa().decode() == request.param
    yield request.param
    lib.pm_cpu_set_isa(None)
