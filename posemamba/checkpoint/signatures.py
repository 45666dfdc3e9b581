"""Which files are no checkpoints, by their first bytes, and what to do about each."""

from __future__ import annotations

from posemamba.files.signatures import (
    ENGINES,
    HEAD,
    MSGPACK,
    ONNX_MODEL,
    ORT_MODEL,
    TEXT,
    ZEROS,
    ZIP_ARCHIVE,
    what_it_is,
)
from posemamba.text import printable

#: What to do instead, after what the file is.
_ADVICE: dict[str, str] = {
    "an HDF5 file": ", as Keras writes: PoseMamba's are PyTorch's",
    **dict.fromkeys(
        ("a 7z archive", "a RAR archive", "a Zstandard archive", "an LZ4 archive"),
        ", unpack it first",
    ),
    "a NumPy array": ", not a state dict: pass what torch.save wrote",
    "a TensorFlow Lite model": ": pass what torch.save wrote",
    **dict.fromkeys(ENGINES, ": pass the checkpoint it was built from"),
    ORT_MODEL: ": pass the checkpoint it was made from",
    "a Git LFS pointer": ", run 'git lfs pull'",
    "a web page (HTML or XML)": ", the download did not yield the file",
    "a JSON text": ", not weights",
    ONNX_MODEL: ": pass the checkpoint it was exported from",
    ZEROS: ", an unfinished download or copy: fetch it again",
    MSGPACK: ", as Flax writes: PoseMamba's checkpoints are PyTorch's",
}
_PERHAPS = (ZIP_ARCHIVE, "a safetensors file")  # looked into
_SHORTEST_TEXT = 4
"""Fewer readable bytes may begin anything that was cut."""


def describe(data: bytes) -> str | None:
    """What a file is that is no checkpoint; None where nothing speaks against it."""
    what = what_it_is(data)
    if what == TEXT:
        return _text(data[:HEAD])
    return None if what is None or what in _PERHAPS else what + _ADVICE.get(what, "")


def _text(head: bytes) -> str | None:
    """A server's answer, a log, a script."""
    if len(head) < _SHORTEST_TEXT:
        return None
    begins = printable(head.decode("utf-8", errors="ignore"), 40)
    return f"a text that begins with '{begins}': download or copy the file again"
