"""GPU memory, a stream and recorded work for TensorRT, which has none of its own.

Through cuda-python or PyCUDA, whichever is installed; PyCUDA has no CUDA graphs, so it comes second
where one is wanted and first elsewhere, where nothing more need be installed beside TensorRT.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from pmexport.format.environment import has_module
from pmexport.format.failures import reason
from pmexport.runtimes.base import FloatArray
from posemamba.errors import InputError

Handle: TypeAlias = Any
"""What a package gives for an address, a stream, a graph."""

_INSTALL = "run 'pip install cuda-python', or 'pip install pycuda' where nvcc is"


class DeviceMemory(Protocol):
    """Memory and one stream of the first GPU.

    Attributes:
        name: of the package, for reports.
        records: whether :meth:`record` makes a CUDA graph.
        stream: its handle, as TensorRT takes it.
    """

    name: str
    records: bool
    stream: int

    def allocate(self, size: int) -> int:
        """The address of so many bytes, kept as long as this object."""
        ...

    def upload(self, address: int, array: FloatArray) -> None:
        """Queue a copy to the device; the array must stay until :meth:`synchronize`."""
        ...

    def download(self, array: FloatArray, address: int) -> None:
        """Queue a copy to the host, into the array."""
        ...

    def synchronize(self) -> None:
        """Wait for everything queued."""
        ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """What ``work`` queues as one CUDA graph; calling it queues all of that again."""
        ...


def open_memory(cuda_graph: bool) -> DeviceMemory:
    """Memory on the first GPU.

    Args:
        cuda_graph: prefer what can record one.

    Raises:
        InputError: neither package is installed, or there is no GPU or driver.
    """
    order = (_CudaPython, _PyCuda) if cuda_graph else (_PyCuda, _CudaPython)
    for kind in order:
        if any(has_module(name) for name in kind.modules):
            try:
                return kind()
            except InputError:
                raise
            except Exception as error:  # pycuda's and the loader's own classes
                raise InputError(f"{kind.name} cannot use the GPU: {reason(error)}") from None
    raise InputError(f"neither cuda-python nor pycuda is installed: {_INSTALL}")


def memory_problem() -> str | None:
    """Why there can be no memory here, as far as the packages tell; None where one is installed."""
    names = (*_CudaPython.modules, *_PyCuda.modules)
    if any(has_module(name) for name in names):
        return None
    return f"neither cuda-python nor pycuda is installed: {_INSTALL}"


class _CudaPython:
    """NVIDIA's own bindings of the CUDA runtime; every call returns its error first."""

    name, records = "cuda-python", True
    modules = ("cuda.bindings", "cuda.cudart")  # from 12.6 on, before

    def __init__(self) -> None:
        place = "cuda.bindings.runtime" if has_module("cuda.bindings") else "cuda.cudart"
        self._cuda = importlib.import_module(place)
        stream = self._call("cudaStreamCreate")
        self.stream = int(stream)
        weakref.finalize(self, self._cuda.cudaStreamDestroy, stream)

    def allocate(self, size: int) -> int:
        address = int(self._call("cudaMalloc", size))
        weakref.finalize(self, self._cuda.cudaFree, address)
        return address

    def upload(self, address: int, array: FloatArray) -> None:
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, kind, self.stream)

    def download(self, array: FloatArray, address: int) -> None:
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, kind, self.stream)

    def synchronize(self) -> None:
        self._call("cudaStreamSynchronize", self.stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", self.stream, mode)
        try:
            work()
        finally:  # a stream left recording refuses everything else
            graph = self._call("cudaStreamEndCapture", self.stream)
        recorded = self._call("cudaGraphInstantiate", graph, 0)
        self._call("cudaGraphDestroy", graph)
        weakref.finalize(self, self._cuda.cudaGraphExecDestroy, recorded)
        return lambda: self._call("cudaGraphLaunch", recorded, self.stream)

    def _call(self, name: str, *arguments: Any) -> Handle:
        """A function's result.

        Raises:
            InputError: it failed.
        """
        error, *result = getattr(self._cuda, name)(*arguments)
        if int(error) != 0:
            _, text = self._cuda.cudaGetErrorString(error)
            raise InputError(f"{name} failed: {text.decode(errors='replace')}")
        return result[0] if result else None


class _PyCuda:
    """PyCUDA in the primary context, which TensorRT and PyTorch use too."""

    name, records = "pycuda", False
    modules = ("pycuda",)

    def __init__(self) -> None:
        self._cuda = importlib.import_module("pycuda.driver")
        importlib.import_module("pycuda.autoprimaryctx")  # makes the context and ends it in time
        self._stream = self._cuda.Stream()
        self.stream = int(self._stream.handle)
        self._held: list[Any] = []  # memory goes when its object does

    def allocate(self, size: int) -> int:
        self._held.append(self._cuda.mem_alloc(size))
        return int(self._held[-1])

    def upload(self, address: int, array: FloatArray) -> None:
        self._cuda.memcpy_htod_async(address, array, self._stream)

    def download(self, array: FloatArray, address: int) -> None:
        self._cuda.memcpy_dtoh_async(array, address, self._stream)

    def synchronize(self) -> None:
        self._stream.synchronize()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        raise InputError("pycuda has no CUDA graphs: run 'pip install cuda-python'")
