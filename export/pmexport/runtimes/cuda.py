"""The runtimes of an NVIDIA GPU: ONNX Runtime's CUDA provider, and PyTorch with the fused ops."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from pmexport.runtimes.base import (
    DEFAULT_OPTIONS,
    INPUT_NAME,
    OUTPUT_NAME,
    Bound,
    FloatArray,
    Lift,
    RuntimeOptions,
    open_session,
    own_operators,
    session_lift,
)
from posemamba.errors import InputError

CUDA_PROVIDER = "CUDAExecutionProvider"


@dataclass(frozen=True)
class OrtCuda:
    """ONNX Runtime on an NVIDIA GPU, with the project's operators in its CUDA provider.

    A model of ``pmexport onnx --ops fused`` is rewritten in memory first, as by ``pmexport
    optimize``, unless the options say ``off``.
    """

    name: ClassVar[str] = "ort-cuda"
    reads: ClassVar[Literal["model", "checkpoint"]] = "model"
    options: RuntimeOptions = DEFAULT_OPTIONS

    def available(self) -> str | None:
        if importlib.util.find_spec("onnxruntime") is None:
            return "onnxruntime is not installed: run 'pip install onnxruntime-gpu'"
        import onnxruntime as ort

        if CUDA_PROVIDER not in ort.get_available_providers():
            return (
                f"this onnxruntime ({ort.__version__}) has no CUDA provider: run "
                "'pip install onnxruntime-gpu' in place of onnxruntime"
            )
        if CUDA_PROVIDER not in library_providers():
            return (
                "the custom-op library was built without CUDA: run 'pip install .' where nvcc is "
                "on PATH"
            )
        return None

    def load(self, path: Path) -> Lift:
        return session_lift(self.session(path, cuda_graph=False))

    def bind(self, path: Path, keypoints_2d: FloatArray) -> Bound:
        return _OrtBound(self.session(path, self.options.cuda_graph), keypoints_2d, self.options)

    def session(self, path: Path, cuda_graph: bool) -> Any:  # noqa: ANN401
        """The ``onnxruntime.InferenceSession`` itself, all of it on the GPU.

        Args:
            cuda_graph: record the first run and replay it: one input shape, bound buffers.

        Raises:
            InputError: as :meth:`load`, or the CUDA provider does not start.
        """
        from pmexport.check.optimize import already_optimized, optimize_model

        _load_cuda_libraries()
        model = None
        how = self.options.optimize
        if how != "off" and own_operators(path) and not already_optimized(path):
            model = optimize_model(path, how)
        provider = {
            "use_tf32": str(int(self.options.tf32)),
            "enable_cuda_graph": str(int(cuda_graph)),
        }
        session = open_session(path, self.options.threads, [(CUDA_PROVIDER, provider)], model)
        if CUDA_PROVIDER not in session.get_providers():  # onnxruntime falls back to the CPU
            raise InputError(
                "onnxruntime's CUDA provider does not start here (no GPU, no driver, or CUDA and "
                "cuDNN of another version): see 'pmexport doctor'"
            )
        return session


class _OrtBound:
    """A session with its input and output at fixed places on the GPU."""

    def __init__(self, session: Any, keypoints_2d: FloatArray, options: RuntimeOptions) -> None:  # noqa: ANN401
        import onnxruntime as ort

        self.settings = {
            "io_binding": True,
            "cuda_graph": options.cuda_graph,
            "optimized": options.optimize,
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


@dataclass(frozen=True)
class TorchCuda:
    """The checkpoint in PyTorch on an NVIDIA GPU, with the fused kernels.

    See :class:`posemamba.model.inference.PoseMambaInference`.
    """

    name: ClassVar[str] = "torch-cuda"
    reads: ClassVar[Literal["model", "checkpoint"]] = "checkpoint"
    options: RuntimeOptions = DEFAULT_OPTIONS

    def available(self) -> str | None:
        import torch

        from posemamba.native.library import load_cuda_library

        if not torch.cuda.is_available():
            return f"PyTorch {torch.__version__} sees no GPU: run it on a machine with one"
        try:
            load_cuda_library()
        except InputError as error:
            return str(error)
        return None

    def load(self, path: Path) -> Lift:
        import torch

        network = self._network(path)

        def lift(keypoints_2d: FloatArray) -> FloatArray:
            poses_3d: FloatArray = network(torch.from_numpy(keypoints_2d).cuda()).cpu().numpy()
            return poses_3d

        return lift

    def bind(self, path: Path, keypoints_2d: FloatArray) -> Bound:
        settings = {
            "precision": self.options.precision,
            "cuda_graph": self.options.cuda_graph,
            "tf32": self.options.tf32,
        }
        return TorchBound(self._network(path), keypoints_2d, self.options.cuda_graph, settings)

    def _network(self, path: Path) -> Callable[[Any], Any]:
        import torch

        from posemamba.checkpoint.read import load_checkpoint
        from posemamba.model.inference import PoseMambaInference

        torch.backends.cuda.matmul.allow_tf32 = self.options.tf32
        dtype = torch.float16 if self.options.precision == "fp16" else torch.float32
        model = load_checkpoint(path, scan_order=self.options.scan_order)
        return PoseMambaInference(model.cuda(), dtype)


class TorchBound:
    """A PyTorch function on the GPU with its input in a fixed place.

    Args:
        network: from a CUDA tensor (batch, frames, joints, 2) to one of (batch, frames, joints, 3).
        cuda_graph: record it, and replay the recording.
    """

    def __init__(
        self,
        network: Callable[[Any], Any],
        keypoints_2d: FloatArray,
        cuda_graph: bool,
        settings: dict[str, Any],
    ) -> None:
        import torch

        from posemamba.model.inference import capture

        self.settings = settings
        self._torch = torch
        self._host = torch.from_numpy(np.ascontiguousarray(keypoints_2d)).pin_memory()
        self._input = self._host.cuda()
        self._network = capture(network, self._input) if cuda_graph else network
        self._output = self._network(self._input)

    def upload(self) -> None:
        self._input.copy_(self._host)
        self._torch.cuda.synchronize()

    def compute(self) -> None:
        self._output = self._network(self._input)
        self._torch.cuda.synchronize()

    def download(self) -> FloatArray:
        poses_3d: FloatArray = self._output.cpu().numpy()
        return poses_3d


def library_providers() -> list[str]:
    """The execution providers the custom-op library has operators for.

    Raises:
        InputError: there is no library, or it is older than this question.
    """
    from pmexport.libraries import custom_op_library

    path = custom_op_library()
    try:
        ask = ctypes.CDLL(path).pm_ort_providers
    except (OSError, AttributeError) as error:
        raise InputError(
            f"custom-op library '{path}' cannot be asked what it has ({error}): build it again "
            "with 'pip install .'"
        ) from None
    ask.restype = ctypes.c_char_p
    found: bytes = ask()
    return found.decode().split(",")


def _load_cuda_libraries() -> None:
    """Load CUDA and cuDNN of the Python packages: onnxruntime looks by name alone."""
    import onnxruntime as ort
    import torch

    ort.set_default_logger_severity(4)  # a failure reaches us, and is said once
    if torch.version.cuda is None and hasattr(ort, "preload_dlls"):  # else PyTorch's serve
        import contextlib
        import io

        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            ort.preload_dlls()
