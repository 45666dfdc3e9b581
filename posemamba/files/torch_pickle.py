"""``torch.load`` that can build tensors and plain numbers, and nothing else.

Official checkpoints keep ``min_loss`` as a NumPy scalar, which ``weights_only=True`` refuses.
Instead of allow-listing NumPy's own constructors (whose ``dtype`` also makes object and
structured types, and whose module was renamed in NumPy 2), the names that such scalars and arrays
pickle as are bound to the stand-ins below. They decode a fixed set of number formats, so the same
file loads under every NumPy.

Trainers also store their settings: a ``Namespace``, an ``EasyDict``, paths, dates. The names of
such classes are bound to :class:`_Settings`: an ordered dictionary, which nobody reads.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import re
import struct
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from posemamba.text import printable, problem

#: NumPy type code -> ``struct`` code.
_NUMBER_FORMATS = {
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
}
_FRAME_REFUSED = r"Unsupported operand 149\b"  # the opcode every pickle of protocol 4 begins with
_BYTE_ORDERS = {"<": "<", "|": "<", ">": ">"}
_lock = threading.Lock()  # torch keeps its allow-list in one global set


def _refusal(asked: str) -> pickle.UnpicklingError:
    """Worded as torch words its own refusals."""
    return pickle.UnpicklingError(f"GLOBAL {printable(asked)} was not allowed")


class _NumberType:
    """What ``numpy.dtype`` means in a checkpoint: the format of one number."""

    code = ""
    byte_order = "<"

    def __init__(self, code: object, *_: object) -> None:
        name = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(name, str) or name not in _NUMBER_FORMATS:
            raise _refusal(f"numpy.dtype({name!r})")
        self.code = name

    def __setstate__(self, state: object) -> None:
        # (version, byte order, subarray, names, fields, size, alignment, flags)
        if not isinstance(state, tuple) or len(state) < 5 or any(x is not None for x in state[2:5]):
            raise _refusal("numpy.dtype with fields")
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in _BYTE_ORDERS:
            raise _refusal(f"numpy.dtype of byte order {order!r}")
        self.byte_order = _BYTE_ORDERS[order]


def _number(kind: object, raw: object) -> int | float | bool:
    """What ``numpy.core.multiarray.scalar`` means in a checkpoint: one Python number."""
    if not isinstance(kind, _NumberType) or not kind.code:
        raise _refusal("numpy scalar of no number type")
    data = raw.encode("latin1") if isinstance(raw, str) else raw
    if not isinstance(data, bytes):
        raise _refusal("numpy scalar of no bytes")
    value: int | float | bool
    (value,) = struct.unpack(kind.byte_order + _NUMBER_FORMATS[kind.code], data)
    return value


class PickledArray:
    """What ``numpy.ndarray`` means in a checkpoint: numbers of a shape."""

    _values: np.ndarray[Any, Any] = np.empty(0)

    def __setstate__(self, state: object) -> None:
        # (version, shape, type, whether in Fortran's order, bytes)
        if not isinstance(state, tuple) or len(state) != 5:
            raise _refusal("numpy.ndarray of no state")
        _, shape, kind, fortran, raw = state
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        if not isinstance(kind, _NumberType) or not kind.code or not isinstance(data, bytes):
            raise _refusal("numpy.ndarray of no numbers")
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
            raise _refusal("numpy.ndarray of no shape")
        flat = np.frombuffer(data, kind.byte_order + kind.code)
        if flat.size != math.prod(shape):
            raise _refusal("numpy.ndarray of another size than its bytes")
        native = flat.astype(flat.dtype.newbyteorder("="))
        self._values = native.reshape(shape, order="F" if fortran else "C")

    def tensor(self) -> torch.Tensor:
        """The array as a tensor of its type."""
        return torch.from_numpy(np.ascontiguousarray(self._values).reshape(self._values.shape))


def _array(*_: object) -> PickledArray:
    """What ``numpy.core.multiarray._reconstruct`` means in a checkpoint; the state follows."""
    return PickledArray()


class _Settings:
    """What a class of settings means in a checkpoint: nothing. No class of that name is imported.

    An ordered dictionary is what the unpickler lets be filled and given attributes.
    """

    def __new__(cls, *_: object) -> OrderedDict[str, object]:  # type: ignore[misc]
        return OrderedDict()


_ALLOWED: list[Any] = [
    (_NumberType, "numpy.dtype"),
    (PickledArray, "numpy.ndarray"),
    (_number, "numpy.core.multiarray.scalar"),  # NumPy 1
    (_number, "numpy._core.multiarray.scalar"),  # NumPy 2
    (_array, "numpy.core.multiarray._reconstruct"),
    (_array, "numpy._core.multiarray._reconstruct"),
]
#: Classes of settings that trainers store, and the types their dictionaries are told.
_SETTINGS = re.compile(
    r"argparse\.Namespace|types\.SimpleNamespace|collections\.defaultdict|typing\.Any|"
    r"datetime\.\w+|pathlib(?:\._local)?\.\w*Path|"
    r"(?:addict|box|easydict|hydra|lightning|lightning_fabric|ml_collections|mmcv|mmengine|munch|"
    r"omegaconf|pytorch_lightning|yacs)\.[\w.]+|"
    r"bool|dict|float|int|list|str|tuple"
)
_MOST_SETTINGS = 100


@contextmanager
def _only_allowed(settings: Sequence[str]) -> Iterator[None]:
    """Allow the stand-ins alone: names the host program registered do not apply in here."""
    with _lock:
        registered = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        try:
            allowed = [*_ALLOWED, *((_Settings, name) for name in settings)]
            with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # remarks on odd pickles, soon refused in one line
                yield
        finally:
            torch.serialization.add_safe_globals(registered)


def load_pickled(data: bytes, path: str | os.PathLike[str]) -> object:
    """Decode what ``torch.save`` wrote, zip archive or legacy stream, onto the CPU.

    Args:
        data: the file's content.
        path: names the file in messages; it is not opened.

    Raises:
        InputError: the content asks for anything but tensors, containers, numbers and settings
            (nothing of it is run), or cannot be decoded.
    """
    settings: list[str] = []
    while True:
        try:
            with _only_allowed(settings):
                stream = io.BytesIO(data)
                return torch.load(stream, map_location="cpu", weights_only=True, mmap=False)
        except Exception as error:  # a corrupt stream can make the decoder raise nearly anything
            name = _asked_for(str(error)) or ""
            # The unpickler names what stands among Python's own without their module.
            full = name if "." in name else f"builtins.{name}"
            if full in settings or len(settings) > _MOST_SETTINGS or not _SETTINGS.fullmatch(name):
                raise problem(path, _explain(error)) from None
            settings.append(full)


def _asked_for(text: str) -> str | None:
    """The name that torch's refusal is about, if it is one."""
    asked = re.search(r"GLOBAL (.+?) was not|GLOBAL (\S+)|unrecognized function (.+)", text)
    return next(filter(None, asked.groups())) if asked else None


def _explain(error: Exception) -> str:
    text = str(error)
    if "TorchScript" in text or "GLOBAL __torch__." in text:
        return "a TorchScript archive, not a state dict: save model.state_dict() instead"
    if "DTensor" in text or "torch.distributed" in text:
        return (
            "its tensors are pieces of a distributed run (DTensor, ShardedTensor): gather them "
            "where it was trained, with full_tensor() of each, and save those"
        )
    if (asked := _asked_for(text)) is not None:
        return (
            f"refused: its pickle asks for '{printable(asked)}', which is neither a tensor nor a "
            "number; nothing of it was run. Save the weights alone: torch.save(model.state_dict(), "
            "...)"
        )
    if "unhashable type" in text:
        return (
            "its settings hold a set or a dictionary of paths, dates or the like: save the weights "
            "alone, torch.save(model.state_dict(), ...)"
        )
    if "Invalid magic number" in text:
        return "a pickle that torch.save did not write: load it and save it with torch.save"
    if re.search(_FRAME_REFUSED, text):
        return "pickled by protocol 4 or later: save it with torch.save and its default protocol"
    if record := re.search(r"failed locating file (\S+?):", text):
        return (
            f"its tensor file '{printable(record.group(1))}' is missing: unpack or download "
            "the checkpoint again"
        )
    kept = re.split(r"WeightsUnpickler error:\s*", text)[-1]  # drop torch's advice to trust it
    reason = printable(kept.strip().split("\n")[0], 90) or type(error).__name__
    return f"cannot be decoded ({reason}): truncated or corrupt, copy or download it again"
