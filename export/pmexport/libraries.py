"""Where the native libraries are, and what they say of themselves."""

from __future__ import annotations

import os
from pathlib import Path

from posemamba.errors import InputError

ORT_LIBRARY_VARIABLE = "POSEMAMBA_ORT_LIB"
TRT_LIBRARY_VARIABLE = "POSEMAMBA_TRT_LIB"
_ORT_LIBRARY, _TRT_LIBRARY = "libposemamba_ort.so", "libposemamba_trt.so"


def custom_op_library() -> str:
    """The file for ``SessionOptions.register_custom_ops_library``.

    It is ``$POSEMAMBA_ORT_LIB``, else the one installed with this package.

    Raises:
        InputError: there is no such file.
    """
    path = _place(ORT_LIBRARY_VARIABLE, _ORT_LIBRARY)
    if not path.is_file():
        raise InputError(
            f"no custom-op library at '{path}': build it with 'pip install .', or point "
            f"{ORT_LIBRARY_VARIABLE} at {_ORT_LIBRARY}"
        )
    return str(path)


def plugin_path() -> Path:
    """Where the TensorRT plugin library is looked for, whether or not it is there."""
    return _place(TRT_LIBRARY_VARIABLE, _TRT_LIBRARY)


def tensorrt_plugin_library() -> str:
    """The file for ``IPluginRegistry.load_library`` and ``trtexec --staticPlugins``.

    It is ``$POSEMAMBA_TRT_LIB``, else the one installed with this package.

    Raises:
        InputError: there is no such file.
    """
    path = plugin_path()
    if not path.is_file():
        raise InputError(
            f"no TensorRT plugin library at '{path}': build it with 'pip install .' where nvcc and "
            f"TensorRT's headers are, or point {TRT_LIBRARY_VARIABLE} at {_TRT_LIBRARY}"
        )
    return str(path)


def _place(variable: str, name: str) -> Path:
    """``$variable``, else beside this file, else where the package is installed.

    The last is for an import from a checkout's root, whose sources have no libraries.
    """
    if named := os.environ.get(variable):  # empty is as good as unset
        return Path(named)
    from posemamba.files.installed import built_file  # slow to import, and not for every command

    return built_file(Path(__file__).parent, f"lib/{name}")


def custom_op_providers() -> list[str]:
    """The execution providers the custom-op library has operators for.

    Raises:
        InputError: there is no library, or it is older than this question.
    """
    path = custom_op_library()
    try:
        return _ask(path, "pm_ort_providers").split(",")
    except (OSError, AttributeError) as error:
        raise InputError(
            f"custom-op library '{path}' cannot be asked what it has ({error}): build it again "
            "with 'pip install .'"
        ) from None


def plugin_architectures(library: str | os.PathLike[str]) -> str | None:
    """The GPUs a plugin's kernels are compiled for, such as ``sm87 sm90 ptx90``.

    No GPU is needed. None for a library that cannot be loaded or does not say.
    """
    try:
        return _ask(library, "pm_trt_architectures")
    except (OSError, AttributeError):
        return None


def _ask(library: str | os.PathLike[str], question: str) -> str:
    """What a function of a library, ``const char* f(void)``, returns."""
    import ctypes

    function = getattr(ctypes.CDLL(str(library)), question)
    function.restype = ctypes.c_char_p
    answer: bytes = function()
    return answer.decode()
