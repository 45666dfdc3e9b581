"""What a call of the library can fail with; every message is one sentence."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class Result(IntEnum):
    """``pm_result`` of ``posemamba/runtime/lifter.h``."""

    SUCCESS = 0
    BAD_ARGUMENT = 1
    BAD_MODEL = 2
    MISSING = 3
    MISMATCH = 4
    BACKEND_FAILED = 5
    NO_MEMORY = 6
    NOT_READY = 7


class Error(Exception):
    """Any failure of the runtime; each subclass is a ``ValueError`` or a ``RuntimeError`` too.

    Attributes:
        code: which kind, as the C interface numbers them.
    """

    code: ClassVar[Result]


class BadArgument(Error, ValueError):
    """A value of the caller's cannot be what it claims to be."""

    code = Result.BAD_ARGUMENT


class BadModel(Error, ValueError):
    """The file is no model of ours, or a damaged one."""

    code = Result.BAD_MODEL


class Missing(Error, RuntimeError):
    """A library, an execution provider or a file is not there."""

    code = Result.MISSING


class Mismatch(Error, RuntimeError):
    """Engine, plugin, runtime and GPU do not fit together."""

    code = Result.MISMATCH


class BackendFailed(Error, RuntimeError):
    """ONNX Runtime, TensorRT or CUDA reported a failure."""

    code = Result.BACKEND_FAILED


class NoMemory(Error, RuntimeError):
    """The host or the GPU has no memory left."""

    code = Result.NO_MEMORY


class NotReady(Error, RuntimeError):
    """There is nothing to hand out yet."""

    code = Result.NOT_READY


_BY_CODE: dict[int, type[Error]] = {
    kind.code: kind
    for kind in (BadArgument, BadModel, Missing, Mismatch, BackendFailed, NoMemory, NotReady)
}


def error(code: int, sentence: str) -> Error:
    """The exception for a code; a code this package does not know is a failed back end."""
    return _BY_CODE.get(code, BackendFailed)(sentence)
