"""Where the native libraries are."""

from __future__ import annotations

import os
from pathlib import Path

from posemamba.errors import InputError

ORT_LIBRARY_VARIABLE = "POSEMAMBA_ORT_LIB"
TRT_LIBRARY_VARIABLE = "POSEMAMBA_TRT_LIB"
_ORT_LIBRARY = Path(__file__).parent / "lib" / "libposemamba_ort.so"
_TRT_LIBRARY = Path(__file__).parent / "lib" / "libposemamba_trt.so"


def custom_op_library() -> str:
    """The file for ``SessionOptions.register_custom_ops_library``.

    It is ``$POSEMAMBA_ORT_LIB``, else the one installed with this package.

    Raises:
        InputError: there is no such file.
    """
    path = Path(os.environ.get(ORT_LIBRARY_VARIABLE, _ORT_LIBRARY))
    if not path.is_file():
        raise InputError(
            f"no custom-op library at '{path}': build it with 'pip install .', or point "
            f"{ORT_LIBRARY_VARIABLE} at libposemamba_ort.so"
        )
    return str(path)


def plugin_path() -> Path:
    """Where the TensorRT plugin library is looked for, whether or not it is there."""
    return Path(os.environ.get(TRT_LIBRARY_VARIABLE, _TRT_LIBRARY))


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
            f"TensorRT's headers are, or point {TRT_LIBRARY_VARIABLE} at libposemamba_trt.so"
        )
    return str(path)
