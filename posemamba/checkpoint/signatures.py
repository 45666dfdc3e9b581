"""What a file is, by its first bytes. The suffix is looked at last: people rename files."""

from __future__ import annotations

#: Offset, lower-case bytes, what the file is and what to do.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89png", "a PNG picture"),
    (0, b"\x89hdf", "an HDF5 file, as Keras writes: PoseMamba's are PyTorch's"),
    (0, b"7z\xbc\xaf", "a 7z archive, unpack it first"),
    (0, b"rar!", "a RAR archive, unpack it first"),
    (0, b"%pdf", "a PDF document"),
    (0, b"gguf", "a GGUF file, which holds language models"),
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
#: An ONNX file begins with its IR version, field 1, a small number.
_ONNX = tuple(bytes([8, version]) for version in range(3, 20))


def is_safetensors(data: bytes) -> bool:
    """Whether a file begins as safetensors do: the header's length, then JSON."""
    size = int.from_bytes(data[:8], "little")
    return data[8:9] == b"{" and 2 <= size <= len(data) - 8


def describe(data: bytes) -> str | None:
    """What a file is that is no checkpoint; None where nothing speaks against it."""
    head = data[:512].lower()
    for offset, signature, what in _SIGNATURES:
        if head[offset:].startswith(signature):
            return what
    text = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    for start, what in _TEXTS:
        if text.startswith(start):
            return what
    if data[:2] in _ONNX and (b"pytorch" in head or b"onnx" in head or b"pmexport" in head):
        return "an ONNX model: pass the checkpoint it was exported from"
    return None
