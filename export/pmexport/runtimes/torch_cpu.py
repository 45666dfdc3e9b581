"""PyTorch on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pmexport.runtimes.base import DEFAULT_OPTIONS, File, FloatArray, Lift, Reads, RuntimeOptions

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TorchPlainScan:
    """The checkpoint in PyTorch with the plain, step-by-step scan: slow, and independent of every
    native kernel."""

    name: ClassVar[str] = "torch"
    reads: ClassVar[Reads] = "checkpoint"
    options: RuntimeOptions = DEFAULT_OPTIONS

    def available(self) -> str | None:
        return None

    def load(self, file: File) -> Lift:
        from posemamba.checkpoint.read import load_checkpoint

        assert isinstance(file, Path)
        given = self.options
        model = load_checkpoint(file, scan_order=given.scan_order, weights=given.weights)
        return torch_lift(model.set_scan("reference"), self.options.threads)


def torch_lift(model: Callable[[Tensor], Tensor], threads: int | None = None) -> Lift:
    """A PyTorch model as a function of NumPy arrays, run on so many threads."""
    import torch

    def lift(keypoints_2d: FloatArray) -> FloatArray:
        usual = torch.get_num_threads()
        torch.set_num_threads(threads or usual)  # the whole process's, hence set back
        try:
            with torch.inference_mode():
                poses_3d: FloatArray = model(torch.from_numpy(keypoints_2d)).numpy()
        finally:
            torch.set_num_threads(usual)
        return poses_3d

    return lift
