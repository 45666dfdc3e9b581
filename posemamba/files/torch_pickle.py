"""``torch.load`` that can build tensors and plain numbers, and nothing else.

Official checkpoints keep ``min_loss`` as a NumPy scalar, which ``weights_only=True`` refuses.
Instead of allow-listing NumPy's own constructors (whose ``dtype`` also makes object and
structured types, and whose module was renamed in NumPy 2), the three names such a scalar pickles
as are bound to the two stand-ins below. They decode a fixed set of number formats to a Python
number, so the same file loads under every NumPy, and without one.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


_ALLOWED: list[Any] = [
    (_NumberType, "numpy.dtype"),
    (_number, "numpy.core.multiarray.scalar"),  # NumPy 1
    (_number, "numpy._core.multiarray.scalar"),  # NumPy 2
]


@contextmanager
def _only_numbers_allowed() -> Iterator[None]:
    """Allow the stand-ins alone: names the host program registered do not apply in here."""
    with _lock:
        registered = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        try:
            with torch.serialization.safe_globals(_ALLOWED), warnings.catch_warnings():
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
        InputError: the content asks for anything but tensors, containers and numbers (nothing of
            it is run), or cannot be decoded.
    """
    try:
        with _only_numbers_allowed():
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True, mmap=False)
    except Exception as error:  # a corrupt stream can make the decoder raise nearly anything
        raise problem(path, _explain(error)) from None


def _explain(error: Exception) -> str:
    text = str(error)
    if asked := re.search(r"GLOBAL (.+?) was not|GLOBAL (\S+)|unrecognized function (.+)", text):
        name = printable(next(filter(None, asked.groups())))
        return (
            f"refused: its pickle asks for '{name}', which is neither a tensor nor a number; "
            "nothing of it was run. Save the weights alone: torch.save(model.state_dict(), ...)"
        )
    if "TorchScript" in text:
        return "a TorchScript archive, not a state dict: save model.state_dict() instead"
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
