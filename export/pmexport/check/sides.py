"""The sides of a bisection: PyTorch with either scan, and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pmexport.check.observe import Seen, ort_values, torch_values
from pmexport.check.points import Point
from pmexport.engine.file import EngineFile
from pmexport.format.file import ModelFile
from pmexport.format.names import CPU_PROVIDER, CUDA_PROVIDER
from pmexport.runtimes.base import FloatArray, Lift, Runnable
from pmexport.runtimes.torch_cpu import torch_lift
from posemamba.errors import InputError

if TYPE_CHECKING:
    from posemamba.model.network import PoseMamba

#: Runtimes that can be looked into, each with ONNX Runtime's name of its device where it has one.
PROVIDERS: dict[str, str] = {"ort-cpu": CPU_PROVIDER, "ort-cuda": CUDA_PROVIDER}
OBSERVABLE = (*PROVIDERS, "torch")


@dataclass
class TorchSide:
    """A network on the CPU; hooks change nothing of what it computes.

    Attributes:
        scan: the backend its runs are set to, for several sides may share one network.
    """

    name: str
    network: PoseMamba
    scan: Any
    threads: int | None = None

    def poses(self, keypoints_2d: FloatArray) -> FloatArray:
        return torch_lift(self.network.set_scan(self.scan), self.threads)(keypoints_2d)

    def see(self, keypoints_2d: FloatArray, points: Sequence[Point]) -> tuple[FloatArray, Seen]:
        return torch_values(self.network.set_scan(self.scan), keypoints_2d, set(points))

    def see_last(self, keypoints_2d: FloatArray, point: Point) -> FloatArray:
        return self.see(keypoints_2d, [point])[1][point]


@dataclass
class OrtSide:
    """A model in ONNX Runtime.

    Attributes:
        values: names of the ONNX values of each point.
        lift: the runtime as the check runs it.
    """

    name: str
    model: ModelFile
    values: Mapping[Point, Sequence[str]]
    lift: Lift
    threads: int | None = None

    def poses(self, keypoints_2d: FloatArray) -> FloatArray:
        return self.lift(keypoints_2d)

    def see(self, keypoints_2d: FloatArray, points: Sequence[Point]) -> tuple[FloatArray, Seen]:
        poses, seen = self._run(keypoints_2d, points, poses=True)
        assert poses is not None
        return poses, seen

    def see_last(self, keypoints_2d: FloatArray, point: Point) -> FloatArray:
        return self._run(keypoints_2d, [point], poses=False)[1][point]

    def _run(
        self, keypoints_2d: FloatArray, points: Sequence[Point], *, poses: bool
    ) -> tuple[FloatArray | None, Seen]:
        return ort_values(
            self.model,
            keypoints_2d,
            {point: self.values[point] for point in points},
            threads=self.threads,
            providers=(PROVIDERS[self.name],),
            poses=poses,
        )


def require_observable(model: Runnable, runtimes: Sequence[str]) -> None:
    """Make sure every runtime of a check can be looked into.

    Raises:
        InputError: an engine, or a runtime that shows its poses alone.
    """
    if isinstance(model, EngineFile):
        raise InputError(
            f"--bisect: an engine shows nothing inside: give the ONNX model it was built from, "
            f"{model.sidecar['onnx']['file']}"
        )
    if model.is_optimized:
        raise InputError(
            f"--bisect: '{model.path}' was rewritten by 'pmexport optimize', its nodes are of no "
            "module: give the model it was made from"
        )
    for name in runtimes:
        if name not in OBSERVABLE:
            raise InputError(
                f"--bisect: runtime '{name}' shows nothing inside: use "
                f"{' or '.join(f'--runtime {one}' for one in OBSERVABLE)}"
            )


def require_fp16(model: Runnable) -> None:
    """Make sure a keep list has a use.

    Raises:
        InputError: the model is fp32.
    """
    if model.precision != "fp16":
        raise InputError(
            f"--max-drift-mm: '{model.path}' is {model.precision}, a keep list is for fp16: leave "
            "it out, or check the export of --fp16"
        )
