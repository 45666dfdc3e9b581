"""Arrays of Python objects in an NPZ, decoded without running anything.

Such an array is a pickle, and unpickling runs whatever a file asks for. Here the few names that
plain data needs are bound to stand-ins; any other is refused before anything of it runs. NumPy's
own ``dtype`` is not among them: its state can mark numbers as object pointers. Source of the
layout: ``numpy.ndarray.__reduce_ex__`` of NumPy 1 and 2.
"""

from __future__ import annotations

import io
import pickle
import re
from typing import Any

import numpy as np

from posemamba_runtime.keypoints.errors import InputError, printable

_NUMBERS = re.compile(r"[biuf][1248]|[SU][0-9]{1,4}")
_DEEPEST = 20
_MOST = 5_000_000  # a list that holds itself ten times over, ten levels deep, is a trap


class _Refused(pickle.UnpicklingError):
    """The pickle asks for what is not plain data."""


class _Kind:
    """``numpy.dtype``: a code such as f8, and a byte order."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = code.decode("latin1") if isinstance(code, bytes) else str(code)
        self.order = "="
        if not _NUMBERS.fullmatch(self.code) and self.code not in ("O", "O8"):
            raise _Refused(f"numpy.dtype({printable(code)})")

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise _Refused("numpy.dtype with fields")
        self.order = order


class _Array:
    """``numpy.ndarray``: what its state holds; of objects, a list."""

    value: Any = None

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401
        _, shape, kind, fortran, content = state
        if not isinstance(kind, _Kind):
            raise _Refused("numpy.ndarray of an unknown kind")
        if not kind.code.startswith("O"):
            self.value = _decode(content, kind, shape, "F" if fortran else "C")
        elif isinstance(content, list) and len(content) == (shape[0] if len(shape) == 1 else 1):
            self.value = content if shape else content[0]
        else:
            raise _Refused("numpy.ndarray of objects with several axes")


def _decode(content: Any, kind: Any, shape: Any, order: Any = "C") -> Any:  # noqa: ANN401
    raw = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(kind, _Kind) or not isinstance(raw, bytes | bytearray):
        raise _Refused("numpy.ndarray of no plain numbers")
    return np.frombuffer(raw, np.dtype(kind.order + kind.code)).reshape(shape, order=order)


def _scalar(kind: Any, content: Any) -> Any:  # noqa: ANN401
    return _decode(content, kind, ()).item()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:  # noqa: ANN401
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Refused(f"_codecs.encode to {printable(encoding)}")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _Kind,
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
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _Refused(f"{printable(module)}.{printable(name)}") from None


def decode_objects(content: bytes, label: str) -> Any:  # noqa: ANN401
    """Dictionaries, lists, text, numbers and arrays out of a pickle; nothing else.

    Raises:
        InputError: a pickle that asks for more (nothing of it is run) or cannot be decoded, without
            the file's name.
    """
    try:
        return _Plain()(_PlainUnpickler(io.BytesIO(content), encoding="latin1").load())
    except _Refused as error:
        raise InputError(
            f"array '{label}' asks for '{error}', which is no plain data; nothing was run"
        ) from None
    except Exception:  # a corrupt stream makes the decoder raise nearly anything
        raise InputError(f"array '{label}' is damaged or cut short: copy the file again") from None


class _Plain:
    """The stand-ins in containers replaced by what they hold."""

    def __init__(self) -> None:
        self.left = _MOST

    def __call__(self, value: Any, depth: int = 0) -> Any:  # noqa: ANN401
        self.left -= 1
        if depth > _DEEPEST or self.left < 0:
            raise _Refused("containers nested too deeply")
        if isinstance(value, _Array):
            return self(value.value, depth + 1)
        if isinstance(value, dict):
            return {str(self(key, depth + 1)): self(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self(item, depth + 1) for item in value]
        return value
