"""Pickles of NumPy arrays, lists, dictionaries, text and numbers, and of nothing else.

The field's data files are pickles, and unpickling runs whatever a file asks for. Here every name a
pickle may ask for is bound to a stand-in that decodes plain data; any other is refused before
anything of it runs. NumPy's own ``dtype`` is not among them: its state can mark numbers as object
pointers. Source of the layout: ``numpy.ndarray.__reduce_ex__`` of NumPy 1 and 2.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from posemamba.files.input import require_no_device
from posemamba.text import printable, problem

_KINDS = re.compile(r"[biufSU]\d+|O8?")
_ORDERS = ("<", ">", "|", "=")
_DEEPEST = 20  # containers within containers; the files met have four


class _Refused(pickle.UnpicklingError):
    """What a pickle asks for is not plain data."""


class _Type:
    """``numpy.dtype``: a code such as ``f8``, and a byte order."""

    code = ""
    order = "="

    def __init__(self, code: object, *_: object) -> None:
        text = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(text, str) or not _KINDS.fullmatch(text):
            raise _Refused(f"numpy.dtype({printable(code)})")
        self.code = text

    def __setstate__(self, state: object) -> None:
        # (version, byte order, subarray, names, fields, ...)
        if not isinstance(state, tuple) or len(state) < 5 or any(x is not None for x in state[2:5]):
            raise _Refused("numpy.dtype with fields")
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in _ORDERS:
            raise _Refused(f"numpy.dtype of byte order {printable(order)}")
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
            raise _Refused("numpy.ndarray of an unknown state")
        _, shape, kind, fortran, content = state
        if not isinstance(kind, _Type) or not isinstance(shape, tuple):
            raise _Refused("numpy.ndarray of an unknown state")
        if kind.holds_objects:
            if not isinstance(content, list) or len(shape) > 1:
                raise _Refused("numpy.ndarray of objects with several axes")
            self.value = content if shape else content[0]
        else:
            self.value = _decode(content, kind, shape, "F" if fortran else "C")


def _decode(content: object, kind: object, shape: object, order: object = "C") -> Any:  # noqa: ANN401
    raw = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(kind, _Type) or kind.holds_objects or not isinstance(raw, bytes | bytearray):
        raise _Refused("numpy.ndarray of no plain numbers")
    flat = np.frombuffer(raw, dtype=kind.numpy())
    return flat.reshape(shape, order=order)  # type: ignore[call-overload]


def _scalar(kind: object, content: object) -> Any:  # noqa: ANN401
    return _decode(content, kind, ()).item()


def _encode(text: object, encoding: object = "") -> bytes:
    """``_codecs.encode``, by which protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Refused(f"_codecs.encode to {printable(encoding)}")
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
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None


def load_array_pickle(path: Path) -> Any:  # noqa: ANN401
    """Read a pickle of plain data; arrays of objects become lists.

    Raises:
        InputError: no such file, a pickle that asks for anything else (nothing of it is run), or
            one that cannot be decoded.
    """
    require_no_device(path)
    try:
        with path.open("rb") as stream:
            return _load(stream, path)
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror})") from None


def load_object_array(path: Path, key: str) -> Any:  # noqa: ANN401
    """The one object in array ``key`` of an NPZ, as ``np.load(allow_pickle=True)[key].item()``.

    Raises:
        InputError: as :func:`load_array_pickle`; not an NPZ, or no such array of one object.
    """
    require_no_device(path)
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as stream:
            version = np.lib.format.read_magic(stream)
            if version not in ((1, 0), (2, 0)):
                raise problem(path, f"array '{key}' has NPY version {version}: save it again")
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, kind = read(stream)
            if kind != np.dtype(object) or shape != ():
                raise problem(path, f"array '{key}' is {kind} of shape {shape}, not one dictionary")
            return _load(io.BytesIO(stream.read()), path)
    except KeyError:
        raise problem(path, f"no array '{key}' in it: is it the right file?") from None
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror or error})") from None
    except (zipfile.BadZipFile, EOFError) as error:
        raise problem(path, f"not an NPZ file, or truncated ({error}): copy it again") from None


def _load(stream: IO[bytes], path: Path) -> Any:  # noqa: ANN401
    try:
        return _plain(_PlainUnpickler(stream, encoding="latin1").load())
    except _Refused as error:
        raise problem(
            path, f"refused: its pickle asks for '{error}', which is no plain data; nothing was run"
        ) from None
    except MemoryError:
        raise
    except Exception:  # a corrupt stream can make the decoder raise nearly anything
        raise problem(path, "not a pickle, or truncated: copy it again") from None


def _plain(value: Any, depth: int = 0) -> Any:  # noqa: ANN401
    """The stand-ins in containers replaced by what they hold."""
    if depth > _DEEPEST:
        raise _Refused("containers nested too deeply")
    if isinstance(value, _Array):
        return _plain(value.value, depth + 1)
    if isinstance(value, dict):
        return {_plain(k, depth + 1): _plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list) and (not value or isinstance(value[0], str | int | float)):
        return value  # a column of a million names needs no copy
    if isinstance(value, list | tuple):
        return type(value)(_plain(item, depth + 1) for item in value)
    return value


def as_numbers(
    value: object, shape: tuple[int | None, ...], path: Path, label: str
) -> npt.NDArray[Any]:
    """``value`` as an array of finite real numbers of a shape; None is any length.

    Raises:
        InputError: another type or shape, NaN or infinity, naming the file and ``label``.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    expected = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
    if array.dtype.kind not in "biuf":
        raise problem(path, f"{label} holds no numbers; expected shape {expected}")
    if array.ndim != len(shape) or any(
        want not in (None, have) for want, have in zip(shape, array.shape, strict=True)
    ):
        raise problem(path, f"{label} has shape {array.shape}; expected {expected}")
    if not np.isfinite(array).all():
        raise problem(path, f"{label} holds NaN or infinity: leave those frames out")
    return array
