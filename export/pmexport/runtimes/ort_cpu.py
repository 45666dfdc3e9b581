"""ONNX Runtime on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pmexport.format.environment import has_module
from pmexport.format.names import CPU_PROVIDER
from pmexport.runtimes.base import DEFAULT_OPTIONS, File, Lift, Reads, RuntimeOptions
from pmexport.runtimes.files import as_model
from pmexport.runtimes.session import open_session, session_lift

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


@dataclass(frozen=True)
class OrtCpu:
    """ONNX Runtime on the CPU, with the project's custom-op library."""

    name: ClassVar[str] = "ort-cpu"
    reads: ClassVar[Reads] = "model"
    options: RuntimeOptions = DEFAULT_OPTIONS

    def available(self) -> str | None:
        if not has_module("onnxruntime"):
            return "onnxruntime is not installed: run 'pip install onnxruntime'"
        return None

    def load(self, file: File) -> Lift:
        return session_lift(self.session(file))

    def session(self, file: File) -> InferenceSession:
        """The ``onnxruntime.InferenceSession`` itself, for profiling and I/O binding.

        Raises:
            InputError: as :meth:`load`.
        """
        given = self.options
        return open_session(as_model(file), given.threads, [CPU_PROVIDER], profile=given.profile)
