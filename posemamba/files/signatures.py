"""What a file is, by its first bytes. The suffix is looked at last: people rename files."""

from __future__ import annotations

ONNX_MODEL = "an ONNX model"
ORT_MODEL = "an ONNX Runtime model"
ZIP_ARCHIVE = "a zip archive, as checkpoints and .npz files are"
ENGINES = ("a TensorRT engine", "a TensorRT-RTX engine")
TEXT = "text"
ZEROS = "a file of zero bytes"
MSGPACK = "a msgpack file"
WEIGHTS = (ZIP_ARCHIVE, "a safetensors file")
"""What checkpoints are, and other files too."""
HEAD = 512
"""Bytes that tell."""

#: Offset, lower-case bytes, what the file is.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89png", "a PNG picture"),
    (0, b"\x89hdf", "an HDF5 file"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"rar!", "a RAR archive"),
    (0, b"pk\x03\x04", ZIP_ARCHIVE),
    (0, b"%pdf", "a PDF document"),
    (0, b"gguf", "a GGUF file, which holds language models"),
    (0, b"lmgg", "a GGML file, which holds language models"),
    (0, b"tjgg", "a GGML file, which holds language models"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (0, b"\x04\x22\x6d\x18", "an LZ4 archive"),
    (4, b"tfl3", "a TensorFlow Lite model"),
    (0, b"\x93numpy", "a NumPy array"),
    (0, b"ftrt", ENGINES[0]),
    (0, b"vtrt", ENGINES[1]),
    (4, b"ortm", ORT_MODEL),
)
#: Words that text files begin with, once white space and a byte order mark are gone.
_TEXTS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer"),
    (b"<", "a web page (HTML or XML)"),
    (b"{", "a JSON text"),
    (b"[", "a JSON text"),
)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: An ONNX file begins with its IR version, field 1, a small number.
_ONNX = tuple(bytes([8, version]) for version in range(3, 20))
_PRODUCERS = (b"pytorch", b"onnx", b"pmexport")


def is_safetensors(data: bytes) -> bool:
    """Whether a file begins as safetensors do: the header's length, then JSON."""
    size = int.from_bytes(data[:8], "little")
    return data[8:9] == b"{" and 2 <= size <= len(data) - 8


def what_it_is(data: bytes) -> str | None:
    """``a PNG picture`` and the like; None where the bytes are of no kind known here."""
    head = data[:HEAD].lower()
    if head and not head.strip(b"\0"):
        return ZEROS
    for offset, signature, what in _SIGNATURES:
        if head[offset:].startswith(signature):
            return what
    if is_safetensors(data):
        return WEIGHTS[1]
    text = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    for start, what in _TEXTS:
        if text.startswith(start):
            return what
    if data[:2] in _ONNX and any(producer in head for producer in _PRODUCERS):
        return ONNX_MODEL
    if _is_text(data[:HEAD]):
        return TEXT
    return MSGPACK if _is_msgpack(data) else None


def _is_msgpack(data: bytes) -> bool:
    """A map of at most 15 names, the first of which is a short string."""
    return b"\x81" <= data[:1] < b"\x90" and b"\xa0" <= data[1:2] < b"\xc0"


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore")  # the end may cut a character
    letters = all(c.isprintable() or c.isspace() for c in text)
    return bool(text) and letters and len(text.encode()) >= len(head) - 3
