"""The C interface's structs and functions, as ``posemamba/runtime/lifter.h`` declares them.

``tests/deploy/python/test_structs.py`` holds every size, offset and name against the header.
"""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Callable, Mapping
from ctypes import (
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_float,
    c_int32,
    c_int64,
    c_uint32,
    c_void_p,
)
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from posemamba_runtime.errors import BadArgument

JOINTS = 17
Floats = npt.NDArray[np.float32]


class LifterOptions(Structure):
    """``pm_lifter_options``."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("backend", c_char_p),
        ("runtime_library", c_char_p),
        ("op_library", c_char_p),
        ("device", c_int32),
        ("threads", c_int32),
        ("cuda_graph", c_int32),
        ("allow_fallback", c_int32),
        ("tf32", c_int32),
    )


class StreamOptions(Structure):
    """``pm_stream_options``."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("keypoints", c_char_p),
        ("width", c_int32),
        ("height", c_int32),
        ("window", c_int32),
        ("hop", c_int32),
        ("policy", c_char_p),
        ("lag", c_int32),
        ("rate", c_double),
        ("model_rate", c_double),
        ("min_confidence", c_float),
        ("max_persons", c_int32),
        ("flip", c_int32),
        ("smoothing", c_float),
        ("height_m", c_float),
        ("max_gap", c_int32),
    )


class PoseStruct(Structure):
    """``pm_pose``."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("person", c_int32),
        ("frame", c_int64),
        ("timestamp", c_double),
        ("joints", c_float * 3 * JOINTS),
        ("filled", c_uint32),
    )


#: By C name, for the test that compares them with the header.
STRUCTS: dict[str, type[Structure]] = {
    "pm_lifter_options": LifterOptions,
    "pm_stream_options": StreamOptions,
    "pm_pose": PoseStruct,
}

_floats = POINTER(c_float)
#: By C name: what a function returns, and what it takes.
FUNCTIONS: dict[str, tuple[type | None, tuple[type, ...]]] = {
    "pm_last_error": (c_char_p, ()),
    "pm_version": (c_char_p, ()),
    "pm_build_info": (c_char_p, ()),
    "pm_lifter_default_options": (None, (POINTER(LifterOptions),)),
    "pm_lifter_open": (c_int32, (c_char_p, POINTER(LifterOptions), POINTER(c_void_p))),
    "pm_lifter_close": (None, (c_void_p,)),
    "pm_lifter_info": (c_char_p, (c_void_p,)),
    "pm_lifter_lift": (c_int32, (c_void_p, _floats, c_int64, c_int64, _floats)),
    "pm_lifter_step": (c_int32, (c_void_p, POINTER(c_int32))),
    "pm_stream_default_options": (None, (POINTER(StreamOptions),)),
    "pm_stream_open": (c_int32, (c_void_p, POINTER(StreamOptions), POINTER(c_void_p))),
    "pm_stream_close": (None, (c_void_p,)),
    "pm_stream_push": (
        c_int32,
        (c_void_p, c_int64, c_double, c_int32, _floats, c_int32, c_int32),
    ),
    "pm_stream_poll": (c_int32, (c_void_p, POINTER(PoseStruct))),
    "pm_stream_ready": (c_int32, (c_void_p, POINTER(c_int32))),
    "pm_stream_flush": (c_int32, (c_void_p,)),
    "pm_stream_end": (c_int32, (c_void_p, c_int32)),
    "pm_stream_reset": (c_int32, (c_void_p, c_int32)),
    "pm_stream_delay": (c_int32, (c_void_p, POINTER(c_int32), POINTER(c_double))),
}

#: Room for the options of a later library, which fills in fields this package does not know.
_ROOM = 4096
_Options = TypeVar("_Options", LifterOptions, StreamOptions)


def default_options(library: ctypes.CDLL, kind: type[_Options]) -> _Options:
    """The library's own defaults."""
    options = kind.from_buffer(bytearray(_ROOM))
    name = "pm_lifter" if kind is LifterOptions else "pm_stream"
    getattr(library, f"{name}_default_options")(ctypes.byref(options))
    return options


def fill(options: Structure, values: Mapping[str, Any]) -> None:
    """Set what the caller gave; None keeps the library's default.

    Raises:
        BadArgument: a value is of another type, or a field cannot hold it.
    """
    types: dict[str, Any] = dict(options._fields_)  # type: ignore[arg-type]
    for name, value in values.items():
        if value is not None:
            setattr(options, name, _CONVERT[types[name]](name, value))


def whole(name: str, value: object, bits: int = 32) -> int:
    """A whole number that fits; ctypes would cut off its upper bits and say nothing.

    Raises:
        BadArgument: it is none, or too large.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise BadArgument(f"{name} is {value!r}, it must be a whole number") from None
    if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise BadArgument(f"{name} is {number}, it must fit {bits} bits")
    return number


def real(name: str, value: object) -> float:
    """A number as a C double.

    Raises:
        BadArgument: it is none.
    """
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise BadArgument(f"{name} is {value!r}, it must be a number") from None


def text(name: str, value: object) -> bytes:
    """A string as C reads it, to its first zero byte.

    Raises:
        BadArgument: it is no string, or has a zero byte in it.
    """
    if not isinstance(value, str):
        raise BadArgument(f"{name} is {value!r}, it must be a string")
    data = value.encode("utf-8", "surrogateescape")
    if b"\0" in data:
        raise BadArgument(f"{name} is {value!r}, which has a zero byte in it")
    return data


def floats(name: str, values: npt.ArrayLike) -> Floats:
    """Numbers as C reads them; NaN where a masked array is masked.

    Raises:
        BadArgument: they are no numbers.
    """
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "fiu":
        values = np.ma.filled(values.astype(np.float64), np.nan)
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as failure:  # rows of different lengths, tensors
        raise BadArgument(f"{name}: {failure}") from None
    if array.dtype.kind not in "fiu":
        raise BadArgument(f"{name} holds no numbers but {array.dtype}")
    with np.errstate(over="ignore"):  # infinite then, which the library refuses
        return np.require(array, np.float32, ["C", "ALIGNED"])


_CONVERT: dict[Any, Callable[[str, object], Any]] = {
    c_char_p: text,
    c_int32: whole,
    c_float: real,
    c_double: real,
}
