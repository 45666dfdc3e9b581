"""The runtimes ``--runtime`` knows. Each is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from pmexport.format.names import TENSORRT, TENSORRT_RTX
from posemamba.errors import InputError

if TYPE_CHECKING:
    from pmexport.runtimes.base import Runtime, RuntimeOptions


def _later(module: str, name: str) -> Callable[[RuntimeOptions], Runtime]:
    def make(options: RuntimeOptions) -> Runtime:
        runtime: Runtime = getattr(import_module(f"pmexport.runtimes.{module}"), name)(options)
        return runtime

    return make


RUNTIMES: dict[str, Callable[[RuntimeOptions], Runtime]] = {
    "ort-cpu": _later("ort_cpu", "OrtCpu"),
    "torch": _later("torch_cpu", "TorchPlainScan"),
    "ort-cuda": _later("ort_cuda", "OrtCuda"),
    "torch-cuda": _later("torch_cuda", "TorchCuda"),
    TENSORRT: _later("tensorrt", "TensorRt"),
    TENSORRT_RTX: _later("tensorrt", "TensorRtRtx"),
}


def usable_runtime(name: str, options: RuntimeOptions) -> Runtime:
    """A runtime that can work on this machine.

    Raises:
        InputError: it cannot.
    """
    return require_usable(name, RUNTIMES[name](options))


def require_usable(name: str, runtime: Runtime) -> Runtime:
    """The runtime itself, where it can work on this machine.

    Raises:
        InputError: it cannot.
    """
    problem = runtime.available()
    if problem is not None:
        raise InputError(f"runtime '{name}' cannot be used: {problem}")
    return runtime
