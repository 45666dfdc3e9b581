"""ONNX Runtime on an NVIDIA GPU."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pmexport.format.environment import has_module
from pmexport.format.names import CUDA_PROVIDER, INPUT_NAME, OUTPUT_NAME
from pmexport.libraries import custom_op_providers
from pmexport.passes.gpu_form import GpuForm, gpu_form
from pmexport.runtimes.base import (
    DEFAULT_OPTIONS,
    Bound,
    File,
    FloatArray,
    Lift,
    Reads,
    RuntimeOptions,
)
from pmexport.runtimes.files import as_model
from pmexport.runtimes.session import open_session, session_lift
from posemamba.errors import InputError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


@dataclass(frozen=True)
class OrtCuda:
    """ONNX Runtime on an NVIDIA GPU, with the project's operators in its CUDA provider.

    A model of ``pmexport onnx --ops fused`` is rewritten in memory first, as by ``pmexport
    optimize``, where that fits and unless the options say ``off``.
    """

    name: ClassVar[str] = "ort-cuda"
    reads: ClassVar[Reads] = "model"
    options: RuntimeOptions = DEFAULT_OPTIONS

    def available(self) -> str | None:
        if not has_module("onnxruntime"):
            return "onnxruntime is not installed: run 'pip install onnxruntime-gpu'"
        import onnxruntime as ort

        if CUDA_PROVIDER not in ort.get_available_providers():
            return (
                f"this onnxruntime ({ort.__version__}) has no CUDA provider: run "
                "'pip install onnxruntime-gpu' in place of onnxruntime"
            )
        if CUDA_PROVIDER not in custom_op_providers():
            return (
                "the custom-op library was built without CUDA: run 'pip install .' where nvcc is "
                "on PATH"
            )
        return None

    def load(self, file: File) -> Lift:
        return session_lift(self.session(file, cuda_graph=False)[0])

    def bind(self, file: File, keypoints_2d: FloatArray) -> Bound:
        session, form = self.session(file, self.options.cuda_graph, one_shape=True)
        return _OrtBound(session, keypoints_2d, self.options, form)

    def session(
        self, file: File, cuda_graph: bool, *, one_shape: bool = False
    ) -> tuple[Any, GpuForm]:
        """The ``onnxruntime.InferenceSession`` itself, all of it on the GPU, and of which nodes.

        Args:
            cuda_graph: record the first run and replay it: one input shape, bound buffers.
            one_shape: take the memory that this shape needs, not the next power of two.

        Raises:
            InputError: as :meth:`load`, or the CUDA provider does not start.
        """
        _load_cuda_libraries()
        model = as_model(file)
        form = gpu_form(model, self.options.optimize)
        instead = None if form.optimized is None else form.optimized.serialised()
        provider = {
            "use_tf32": str(int(self.options.tf32)),
            "enable_cuda_graph": str(int(cuda_graph)),
            "arena_extend_strategy": "kSameAsRequested" if one_shape else "kNextPowerOfTwo",
        }
        given = self.options
        providers = [(CUDA_PROVIDER, provider)]
        session = open_session(
            model, given.threads, providers, instead,
            profile=given.profile, memory_pattern=not one_shape,
        )  # fmt: skip
        if CUDA_PROVIDER not in session.get_providers():  # onnxruntime falls back to the CPU
            raise InputError(
                "onnxruntime's CUDA provider does not start here (no GPU, no driver, or CUDA and "
                "cuDNN of another version): see 'pmexport doctor'"
            )
        return session, form


class _OrtBound:
    """A session with its input and output at fixed places on the GPU."""

    def __init__(
        self,
        session: InferenceSession,
        keypoints_2d: FloatArray,
        options: RuntimeOptions,
        form: GpuForm,
    ) -> None:
        import onnxruntime as ort

        self.settings = {
            "io_binding": True,
            "cuda_graph": options.cuda_graph,
            "optimized": str(form),
            "tf32": options.tf32,
        }
        self._session = session
        self._keypoints = np.ascontiguousarray(keypoints_2d)
        self._input = ort.OrtValue.ortvalue_from_numpy(self._keypoints, "cuda", 0)
        shape = [*keypoints_2d.shape[:3], 3]  # (batch, frames, joints, 3)
        self._output = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, "cuda", 0)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(INPUT_NAME, self._input)
        self._binding.bind_ortvalue_output(OUTPUT_NAME, self._output)

    def upload(self) -> None:
        self._input.update_inplace(self._keypoints)

    def compute(self) -> None:
        self._session.run_with_iobinding(self._binding)  # returns when the stream is done

    def download(self) -> FloatArray:
        poses_3d: FloatArray = self._output.numpy()
        return poses_3d


def _load_cuda_libraries() -> None:
    """Load CUDA and cuDNN of the Python packages: onnxruntime looks by name alone."""
    import onnxruntime as ort
    import torch

    ort.set_default_logger_severity(4)  # a failure reaches us, and is said once
    if torch.version.cuda is None and hasattr(ort, "preload_dlls"):  # else PyTorch's serve
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            ort.preload_dlls()
