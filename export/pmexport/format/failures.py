"""What went wrong inside somebody else's library, as a part of one sentence of ours."""

from __future__ import annotations

import re

_LONGEST = 300

_STATUS = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")

#: ONNX Runtime's ``/its/sources/model.cc:256 onnxruntime::Model::Model(long types) ``: a place in
#: its own sources and the function there. Of a new IR version nothing else would fit the line.
_PLACE = re.compile(
    r"[^\s:]*\.(?:cc|cpp|cu|h):\d+ "
    r"(?:[^()]*::[^()]*\((?:[^()]|\([^()]*\))*\)(?: const)?(?: \[[^\]]*\])?|\w+) "
)


def reason(error: Exception) -> str:
    """One line without status codes and places in sources, at most 300 characters."""
    text = _STATUS.sub("", str(error).strip())
    return " ".join(_PLACE.sub("", text).split())[:_LONGEST]
