"""Pickles of NumPy arrays, lists, dictionaries, text and numbers, and of nothing else.

The field's data files are pickles, and unpickling runs whatever a file asks for. Here every name a
pickle may ask for is bound to a stand-in that decodes plain data; any other is refused before
anything of it runs. NumPy's own ``dtype`` is not among them: its state can mark numbers as object
pointers. Source of the layout: ``numpy.ndarray.__reduce_ex__`` of NumPy 1 and 2.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

Plain: TypeAlias = Any
"""Numbers, text, arrays of numbers, and lists, tuples and dictionaries of these."""

_KINDS = re.compile(r"[biuf][1248]|[SU][0-9]{1,4}|O8?")
_ORDERS = ("<", ">", "|", "=")
_DEEPEST = 20  # containers within containers; the files met have four
_MOST = 5_000_000  # a list that holds itself ten times over, ten levels deep, is a trap


class Refused(pickle.UnpicklingError):
    """What a pickle asks for is not plain data."""


def _short(value: object) -> str:
    """A name of the file's for a message, whose reader makes it printable."""
    return str(value)[:60]


class _Type:
    """``numpy.dtype``: a code such as ``f8``, and a byte order."""

    code = ""
    order = "="

    def __init__(self, code: object, *_: object) -> None:
        text = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(text, str) or not _KINDS.fullmatch(text):
            raise Refused(f"numpy.dtype({_short(code)})")
        self.code = text

    def __setstate__(self, state: object) -> None:
        # (version, byte order, subarray, names, fields, ...)
        if not isinstance(state, tuple) or len(state) < 5 or any(x is not None for x in state[2:5]):
            raise Refused("numpy.dtype with fields")
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in _ORDERS:
            raise Refused(f"numpy.dtype of byte order {_short(order)}")
        self.order = order

    @property
    def holds_objects(self) -> bool:
        return self.code.startswith("O")

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


class _Array:
    """``numpy.ndarray``: filled by its state."""

    value: Any = None

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise Refused("numpy.ndarray of an unknown state")
        _, shape, kind, fortran, content = state
        if not isinstance(kind, _Type) or not isinstance(shape, tuple):
            raise Refused("numpy.ndarray of an unknown state")
        if kind.holds_objects:
            self.value = _nested(content, shape, fortran)
        else:
            self.value = _decode(content, kind, shape, "F" if fortran else "C")


def _nested(content: object, shape: tuple[object, ...], fortran: object) -> object:
    """An array of objects as lists in lists."""
    sides = [side for side in shape if isinstance(side, int) and side > 0]
    wrong = len(shape) > 1 and (fortran or len(sides) < len(shape))
    if wrong or not isinstance(content, list):
        raise Refused("numpy.ndarray of objects of an unknown state")
    if not shape:
        return content[0]
    if len(shape) > 1 and math.prod(sides) != len(content):
        raise Refused("numpy.ndarray of objects of an unknown state")
    for side in reversed(sides[1:]):
        content = [content[start : start + side] for start in range(0, len(content), side)]
    return content


def _decode(content: object, kind: object, shape: object, order: object = "C") -> npt.NDArray[Any]:
    raw = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(kind, _Type) or kind.holds_objects or not isinstance(raw, bytes | bytearray):
        raise Refused("numpy.ndarray of no plain numbers")
    flat = np.frombuffer(raw, dtype=kind.numpy())
    numbers: npt.NDArray[Any] = flat.reshape(shape, order=order)  # type: ignore[call-overload]
    return numbers


def _scalar(kind: object, content: object) -> object:
    return _decode(content, kind, ()).item()


def _encode(text: object, encoding: object = "") -> bytes:
    """``_codecs.encode``, by which protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused(f"_codecs.encode to {_short(encoding)}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """``bytes``, by which protocols up to 2 write b"" (with an argument it would allocate)."""
    return b""


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _Array,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _decode),
        )
    },
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., object]:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise Refused(f"{_short(module)}.{_short(name)}") from None


_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")


def _require_claims(stream: IO[bytes]) -> None:
    """Walk through the pickle without decoding it; back at its start afterwards.

    Python's decoder makes room for what a few bytes claim: a memo of as many places as an index
    says, an array of as many bytes. A thousand bytes can take ten gigabytes so.

    Raises:
        ValueError: more is claimed than is there, or no pickle.
    """
    start = stream.tell()
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        # Whoever writes a pickle counts its places from 0.
        if operation.name in _PUTS and (not isinstance(argument, int) or argument > count):
            raise ValueError(f"place {argument} of a memo of at most {count}")
    stream.seek(start)


def load_plain(stream: IO[bytes]) -> Plain:
    """What a pickle holds; arrays of objects become lists.

    Raises:
        Refused: it asks for what is not plain data; nothing of it was run.
        Exception: of nearly any kind, where the pickle is damaged.
    """
    _require_claims(stream)
    return _Plain()(_PlainUnpickler(stream, encoding="latin1").load())


class _Plain:
    """The stand-ins in containers replaced by what they hold."""

    def __init__(self) -> None:
        self.left = _MOST

    def __call__(self, value: Plain, depth: int = 0) -> Plain:
        self.left -= 1
        if depth > _DEEPEST or self.left < 0:
            raise Refused("containers nested too deeply")
        if isinstance(value, _Array):
            return self(value.value, depth + 1)
        if isinstance(value, dict):
            return {self(key, depth + 1): self(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list) and (not value or isinstance(value[0], str | int | float)):
            return value  # a column of a million names needs no copy
        if isinstance(value, list | tuple):
            return type(value)(self(item, depth + 1) for item in value)
        return value
