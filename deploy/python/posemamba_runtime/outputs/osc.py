"""Open Sound Control 1.0, as much of it as is sent: bundles; ints, floats and strings."""

from __future__ import annotations

import struct
from collections.abc import Sequence

_NOW = 1
"""The time tag that means at once."""


def message(address: str, *arguments: int | float | str) -> bytes:
    """One message; whole numbers are sent as int32, others as float32."""
    tags, body = ",", b""
    for argument in arguments:
        if isinstance(argument, str):
            tags, body = tags + "s", body + _text(argument)
        elif isinstance(argument, int):
            tags, body = tags + "i", body + struct.pack(">i", argument)
        else:
            tags, body = tags + "f", body + struct.pack(">f", argument)
    return _text(address) + _text(tags) + body


def bundle(messages: Sequence[bytes]) -> bytes:
    """Messages to be carried out together, at once."""
    head = _text("#bundle") + struct.pack(">Q", _NOW)
    return head + b"".join(struct.pack(">i", len(part)) + part for part in messages)


def _text(value: str) -> bytes:
    """UTF-8 that ends in one to four zero bytes, a multiple of four long."""
    raw = value.encode()
    return raw + b"\0" * (4 - len(raw) % 4)
