"""What is said of a file that is no checkpoint."""

from __future__ import annotations

from posemamba.files.signatures import ENGINES, ONNX_MODEL, ORT_MODEL, TEXT, ZIP_ARCHIVE, what_it_is

#: What to do instead, after what the file is.
_ADVICE: dict[str, str] = {
    "an HDF5 file": ", as Keras writes: PoseMamba's are PyTorch's",
    "a 7z archive": ", unpack it first",
    "a RAR archive": ", unpack it first",
    "a NumPy array": ", not a state dict: pass what torch.save wrote",
    **dict.fromkeys(ENGINES, ": pass the checkpoint it was built from"),
    ORT_MODEL: ": pass the checkpoint it was made from",
    "a Git LFS pointer": ", run 'git lfs pull'",
    "a web page (HTML or XML)": ", the download did not yield the file",
    "a JSON text": ", not weights",
    ONNX_MODEL: ": pass the checkpoint it was exported from",
}
_PERHAPS = (ZIP_ARCHIVE, TEXT)  # looked into; said in other words


def describe(data: bytes) -> str | None:
    """What a file is that is no checkpoint; None where nothing speaks against it."""
    what = what_it_is(data)
    return None if what is None or what in _PERHAPS else what + _ADVICE.get(what, "")
