"""The native library: where it is, and where pip keeps the libraries it opens in turn."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import sys
import weakref
from collections.abc import Callable
from ctypes import c_void_p
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from posemamba_runtime._structs import FUNCTIONS
from posemamba_runtime.errors import Missing, error

LIBRARY = "libposemamba_runtime.so"
LIBRARY_VARIABLE = "POSEMAMBA_RUNTIME_LIB"
#: Folders in which the native library looks for the op library and the plugin.
SEARCH_VARIABLE = "POSEMAMBA_LIBRARY_PATH"

_ONNXRUNTIME, _TENSORRT = "onnxruntime", "tensorrt"
#: By family of back ends: the package of the wheel, and its library there.
_WHEELS = {
    _ONNXRUNTIME: ("onnxruntime", "capi/libonnxruntime.so*"),
    _TENSORRT: ("tensorrt_libs", "libnvinfer.so*"),
    "tensorrt-lean": ("tensorrt_lean_libs", "libnvinfer_lean.so*"),
    "tensorrt-rtx": ("tensorrt_rtx_libs", "libtensorrt_rtx.so*"),
}
#: What ONNX Runtime's CUDA provider links, each after what it needs itself.
_CUDA_LIBRARIES = (
    *("cudart", "nvrtc", "nvJitLink", "cublasLt", "cublas", "cufft", "curand", "cudnn"),
)
#: By the first bytes of an engine, what runs it.
_PLANS = {b"ftrt": _TENSORRT, b"vtrt": "tensorrt-rtx"}


@lru_cache(maxsize=1)
def load() -> ctypes.CDLL:
    """Open the native library once.

    Raises:
        Missing: it is not there, or the system cannot open it.
    """
    path = _find()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as failure:
        raise Missing(f"'{path}' cannot be opened: {failure}") from None
    for name, (result, arguments) in FUNCTIONS.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise Missing(f"'{path}' has no {name}: it is not this version's") from None
        function.restype, function.argtypes = result, arguments
    return library


class Handle:
    """Something the native library opened. Closed once, at the latest with the process."""

    def __init__(self, pointer: c_void_p, close: Callable[[c_void_p], None]) -> None:
        self._pointer = pointer
        self._close = weakref.finalize(self, close, pointer)

    def close(self) -> None:
        """Free it; what is called on it from now on is refused. A second time does nothing."""
        self._close()

    def __enter__(self: _Handle) -> _Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled, as to another process.

        Raises:
            TypeError: always.
        """
        kind = type(self).__name__
        raise TypeError(f"a {kind} can be neither copied nor pickled: open it where it is used")


_Handle = TypeVar("_Handle", bound=Handle)


def _find() -> Path:
    named = os.environ.get(LIBRARY_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise Missing(f"{LIBRARY_VARIABLE} is '{named}', and there is no such file")
        return Path(named)
    # A checkout's source folder may hide the installed package, which has the library.
    folders = [Path(__file__).parent, *(Path(entry, "posemamba_runtime") for entry in sys.path)]
    places = [folder / "lib" / LIBRARY for folder in folders]
    for place in places:
        if place.is_file():
            return place.resolve()
    raise Missing(
        f"no {LIBRARY} in '{places[0].parent}' or beside another posemamba_runtime on sys.path: "
        f"install the package, or point {LIBRARY_VARIABLE} at the library"
    )


def check(code: int) -> None:
    """Raise what the last call of this thread failed with.

    Raises:
        Error: the code is not that of success.
    """
    if code:
        raise error(code, load().pm_last_error().decode("utf-8", "replace"))


def version() -> str:
    """The native library's version, such as "0.2.0"."""
    return str(load().pm_version().decode())


def build_info() -> dict[str, Any]:
    """Commit, compiler, CUDA and TensorRT the native library was made for."""
    info: dict[str, Any] = json.loads(load().pm_build_info())
    return info


def family(path: str, backend: str) -> str:
    """Which library runs this file: a key of the wheels above, or a name the library refuses.

    "auto" goes by the file's first bytes, as the native library does.
    """
    if backend.startswith(_ONNXRUNTIME):
        return _ONNXRUNTIME
    if backend != "auto":
        return backend
    try:
        with Path(path).open("rb") as file:
            return _PLANS.get(file.read(4), _ONNXRUNTIME)
    except (OSError, ValueError):  # which the native library says
        return _ONNXRUNTIME


def runtime_library(kind: str) -> str | None:
    """A family's library inside the wheel that pip installed; None leaves the search to the native
    library.

    The wheel's module is found, never imported.
    """
    package, pattern = _WHEELS.get(kind, ("", ""))
    return None if _searched(Path(pattern).name) else _packaged(package, pattern)


def op_library(kind: str) -> str | None:
    """The operators as the exporter's package ships them, where the runtime has none beside it."""
    if kind not in _WHEELS:
        return None
    name = "libposemamba_ort.so" if kind == _ONNXRUNTIME else "libposemamba_trt.so"
    return None if _searched(name) else _packaged("pmexport", f"lib/{name}")


def _searched(pattern: str) -> bool:
    """Whether the native library finds such a file itself."""
    folders = [str(Path(load()._name).parent), *os.environ.get(SEARCH_VARIABLE, "").split(":")]
    return any(any(Path(folder).glob(pattern)) for folder in folders if folder and pattern)


def _packaged(package: str, pattern: str) -> str | None:
    folder = _package_folder(package)
    found = sorted(folder.glob(pattern)) if folder else []
    return str(found[-1]) if found else None


def preload_lean() -> None:
    """Open the lean runtime of TensorRT out of its wheel.

    "auto" takes the copy in the process where there is no full one and the engine allows it.
    """
    lean = _packaged(*_WHEELS["tensorrt-lean"])
    if lean is not None:
        _opens(lean)


def preload_cuda(runtime: str) -> None:
    """Open CUDA's wheels, which are on no path that the loader searches.

    ONNX Runtime's CUDA provider then finds them in the process. What cannot be opened is left to
    the provider's own error, which names it.
    """
    folder = _package_folder("nvidia")
    if folder is None or not Path(runtime).with_name("libonnxruntime_providers_cuda.so").is_file():
        return
    if not _opens("libcuda.so.1"):  # no driver: the provider is not to be had
        return
    for name in _CUDA_LIBRARIES:
        for path in sorted(folder.glob(f"*/lib/lib{name}.so.*")):
            _opens(str(path))


def _opens(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _package_folder(package: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(package) if package else None
    except (ImportError, ValueError):  # a half-installed package, or a stand-in without a spec
        return None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return Path(folders[0]) if folders else None
