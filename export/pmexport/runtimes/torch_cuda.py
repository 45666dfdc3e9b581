"""PyTorch on an NVIDIA GPU, with the fused kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pmexport.runtimes.base import (
    DEFAULT_OPTIONS,
    Bound,
    File,
    FloatArray,
    Lift,
    Reads,
    RuntimeOptions,
)
from posemamba.errors import InputError


@dataclass(frozen=True)
class TorchCuda:
    """The checkpoint in PyTorch on an NVIDIA GPU, with the fused kernels.

    See :class:`posemamba.model.inference.PoseMambaInference`.
    """

    name: ClassVar[str] = "torch-cuda"
    reads: ClassVar[Reads] = "checkpoint"
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

    def load(self, file: File) -> Lift:
        import torch

        network = self._network(file)

        def lift(keypoints_2d: FloatArray) -> FloatArray:
            poses_3d: FloatArray = network(torch.from_numpy(keypoints_2d).cuda()).cpu().numpy()
            return poses_3d

        return lift

    def bind(self, file: File, keypoints_2d: FloatArray) -> Bound:
        settings = {
            "precision": self.options.precision,
            "cuda_graph": self.options.cuda_graph,
            "tf32": self.options.tf32,
        }
        return TorchBound(self._network(file), keypoints_2d, self.options.cuda_graph, settings)

    def _network(self, file: File) -> Callable[[Any], Any]:
        import torch

        from posemamba.checkpoint.read import load_checkpoint
        from posemamba.model.inference import PoseMambaInference

        assert isinstance(file, Path)
        torch.backends.cuda.matmul.allow_tf32 = self.options.tf32
        given = self.options
        dtype = torch.float32 if given.precision == "fp32" else torch.float16
        sums = given.precision == "fp16-sums"
        model = load_checkpoint(file, scan_order=given.scan_order, weights=given.weights)
        return PoseMambaInference(model.cuda(), dtype, half_sums=sums)


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

    def enqueue(self) -> None:
        self._output = self._network(self._input)

    def compute(self) -> None:
        self.enqueue()
        self._torch.cuda.synchronize()

    def download(self) -> FloatArray:
        poses_3d: FloatArray = self._output.cpu().numpy()
        return poses_3d
