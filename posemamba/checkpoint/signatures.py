"""What a file is, by its first bytes. The suffix is looked at last: people rename files."""

from __future__ import annotations

from posemamba.text import printable

#: Offset, lower-case bytes, what the file is and what to do.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89png", "a PNG picture"),
    (0, b"\x89hdf", "an HDF5 file, as Keras writes: PoseMamba's are PyTorch's"),
    (0, b"7z\xbc\xaf", "a 7z archive, unpack it first"),
    (0, b"rar!", "a RAR archive, unpack it first"),
    (0, b"%pdf", "a PDF document"),
    (0, b"gguf", "a GGUF file, which holds language models"),
    (0, b"lmgg", "a GGML file, which holds language models"),
    (0, b"tjgg", "a GGML file, which holds language models"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive, unpack it first"),
    (0, b"\x04\x22\x4d\x18", "an LZ4 archive, unpack it first"),
    (0, b"ftrt", "a TensorRT engine: pass the checkpoint it was built from"),
    (4, b"tfl3", "a TensorFlow Lite model: pass what torch.save wrote"),
    (0, b"\x93numpy", "a NumPy array, not a state dict: pass what torch.save wrote"),
    (4, b"ortm", "an ONNX Runtime model: pass the checkpoint it was made from"),
    (0, b"version https://git-lfs", "a Git LFS pointer, run 'git lfs pull'"),
)
#: Words that text files begin with, once white space and a byte order mark are gone.
_TEXTS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, run 'git lfs pull'"),
    (b"<", "a web page (HTML or XML), the download did not yield the file"),
    (b"{", "a JSON text, not weights"),
    (b"[", "a JSON text, not weights"),
)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEAD = 512
_SHORTEST_TEXT = 4
"""Fewer readable bytes may begin anything that was cut."""
#: An ONNX file begins with its IR version, field 1, a small number.
_ONNX = tuple(bytes([8, version]) for version in range(3, 20))


def is_safetensors(data: bytes) -> bool:
    """Whether a file begins as safetensors do: the header's length, then JSON."""
    size = int.from_bytes(data[:8], "little")
    return data[8:9] == b"{" and 2 <= size <= len(data) - 8


def describe(data: bytes) -> str | None:
    """What a file is that is no checkpoint; None where nothing speaks against it."""
    head = data[:_HEAD].lower()
    if not head.strip(b"\0"):
        return "a file of zero bytes, an unfinished download or copy: fetch it again"
    for offset, signature, what in _SIGNATURES:
        if head[offset:].startswith(signature):
            return what
    text = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    for start, what in _TEXTS:
        if text.startswith(start):
            return what
    if data[:2] in _ONNX and (b"pytorch" in head or b"onnx" in head or b"pmexport" in head):
        return "an ONNX model: pass the checkpoint it was exported from"
    return _plain_text(data[:_HEAD]) or _msgpack(data)


def _plain_text(head: bytes) -> str | None:
    """Words of a server's answer, a log, a script: whatever is readable from its first byte."""
    try:
        text = head.decode("utf-8", errors="strict" if len(head) < _HEAD else "ignore")
    except UnicodeDecodeError:
        return None
    if len(text) < _SHORTEST_TEXT or not all(c.isprintable() or c in "\t\r\n" for c in text):
        return None
    return f"a text that begins with '{printable(text, 40)}': download or copy the file again"


def _msgpack(data: bytes) -> str | None:
    """A map of at most 15 names, the first of which is a short string."""
    if b"\x81" <= data[:1] < b"\x90" and b"\xa0" <= data[1:2] < b"\xc0":
        return "a msgpack file, as Flax writes: PoseMamba's checkpoints are PyTorch's"
    return None
