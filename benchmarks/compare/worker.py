"""One library's process of the comparison: it answers one question after another.

Every network is replayed from a CUDA graph, the authors' flow included: mamba-ssm's scan between
gathers and merges. A time is the wall clock's from the call to the end of the work, the input on
the GPU already. Memory is what the device lacks afterwards beyond what it lacked with the weights
on it: no allocator here gives anything back between calls. Other processes are idle meanwhile.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.compare.cells import (
    COMPILED,
    FLOW,
    FRAMES,
    HALF,
    MOTIONBERT,
    ORT,
    SUMS,
    TORCH,
    Cell,
)
from benchmarks.compare.motionbert import compiled, with_confidence
from benchmarks.networks.forward import build, milliseconds, worst_clip_mm
from benchmarks.networks.ort import device_bytes, model_path, on_gpu, real_clips
from pmexport.runtimes.base import Bound, FloatArray, RuntimeOptions
from pmexport.runtimes.ort_cuda import OrtCuda
from pmexport.runtimes.torch_cuda import TorchBound
from posemamba.errors import InputError
from posemamba.files.output import replacing
from posemamba.model.inference import PoseMambaInference
from posemamba.model.network import PoseMamba

MIB = 2**20
WARM_CALLS, LEAST_CALLS, MOST_CALLS, SECONDS = 3, 7, 100, 0.4
#: What the fused network is told of a precision.
PRECISIONS: dict[str, dict[str, Any]] = {HALF: {}, SUMS: {"half_sums": True}}


@dataclass(frozen=True)
class Ready:
    """What is timed, and the bytes the device lacked with the weights alone."""

    bound: Bound
    held: int


def serve(connection: Connection, models: Path, log: Path, cores: set[int] | None) -> None:
    """Answer ``(question, cell)`` with ``("row", dict)`` or ``("failed", why)``, until the other
    end is closed.

    Args:
        models: folder of the ONNX files.
        log: where everything goes that a library says.
        cores: where it computes once something is timed; None for anywhere.
    """
    with log.open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    with contextlib.suppress(EOFError):
        while True:
            question, cell = connection.recv()
            if question == "time" and cores:
                os.sched_setaffinity(0, cores)
            answer: tuple[str, object]
            try:
                answer = ("row", QUESTIONS[question](cell, models))
            except Exception as error:  # the next cell may be better
                answer = ("failed", " ".join(f"{type(error).__name__}: {error}".split())[:300])
            connection.send(answer)


def prepare(cell: Cell, models: Path) -> dict[str, Any]:
    """What is loaded, compiled or computed once. Facts of the library, for the report."""
    if cell.way == COMPILED:
        compiled_network()(torch.from_numpy(with_confidence(keypoints(cell))).cuda())
    else:
        if cell.way == TORCH:  # the others find them
            expected_poses(cell, models)
        WAYS[cell.way](Cell("S", 1, cell.way), models).bound.compute()
    if cell.way != ORT:
        return {}
    import onnxruntime

    return {"onnxruntime": onnxruntime.__version__}  # another one may be installed, too


def timed(cell: Cell, models: Path) -> dict[str, Any]:
    gc.collect()
    torch.cuda.empty_cache()
    ready = WAYS[cell.way](cell, models)
    ready.bound.upload()
    calls = wall_milliseconds(ready.bound.compute)
    row: dict[str, Any] = {
        "ms": round(statistics.median(calls), 4),
        "best_ms": round(min(calls), 4),
        "calls": len(calls),
    }
    if isinstance(ready.bound, TorchBound):  # ONNX Runtime works in a stream of its own
        row["gpu_ms"] = round(milliseconds(ready.bound.enqueue), 4)
    torch.cuda.empty_cache()  # what recording needed beside the recording
    row["beyond_weights_mib"] = round((device_bytes() - ready.held) / MIB)
    if cell.network != MOTIONBERT:  # whose weights are random: nothing to compare with
        row["drift_mm"] = round(drift_mm(cell, ready.bound.download(), models), 4)
    return row


QUESTIONS: dict[str, Callable[[Cell, Path], dict[str, Any]]] = {"prepare": prepare, "time": timed}


def wall_milliseconds(call: Callable[[], None]) -> list[float]:
    """Of each call that counts."""
    for _ in range(WARM_CALLS):
        call()
    taken: list[float] = []
    while len(taken) < LEAST_CALLS or (len(taken) < MOST_CALLS and sum(taken) < 1e3 * SECONDS):
        start = time.perf_counter()
        call()
        taken.append(1e3 * (time.perf_counter() - start))
    return taken


# What is fed, and what should come out.


def keypoints(cell: Cell) -> FloatArray:
    clips = real_clips()
    return np.stack([clips[i % len(clips)][: cell.frames] for i in range(cell.batch)])


def expected_poses(cell: Cell, models: Path) -> FloatArray:
    """Float32 poses of the real clips from the CPU kernels; kept in a file for all processes."""
    path = models / f"expected-{cell.network}-{cell.frames}.npy"
    if not path.is_file():
        clips = np.stack([clip[: cell.frames] for clip in real_clips()])
        with torch.inference_mode():
            poses = build(cell.network)(torch.from_numpy(clips)).numpy()
        models.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, partial.open("wb") as file:
            np.save(file, poses)
    found: FloatArray = np.load(path)
    return found


def drift_mm(cell: Cell, poses_3d: FloatArray, models: Path) -> float:
    return worst_clip_mm(expected_poses(cell, models), poses_3d)


# The ways of running.


def replayed(network: Callable[[Any], Any], keypoints_2d: FloatArray) -> Ready:
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    held = device_bytes()
    return Ready(TorchBound(network, keypoints_2d, cuda_graph=True, settings={}), held)


def in_torch(cell: Cell, _models: Path) -> Ready:
    settings = PRECISIONS[cell.precision]
    network = PoseMambaInference(on_gpu(cell.network), torch.float16, **settings)
    return replayed(network, keypoints(cell))


def in_flow(cell: Cell, _models: Path) -> Ready:
    if importlib.util.find_spec("selective_scan_cuda") is None:
        raise InputError("mamba-ssm's compiled scan (selective_scan_cuda) is not here")
    flow = official_flow(on_gpu(cell.network))
    return replayed(lambda clips: flow(clips).float(), keypoints(cell))


def in_ort(cell: Cell, models: Path) -> Ready:
    runtime = OrtCuda(RuntimeOptions(cuda_graph=True))
    problem = runtime.available()
    if problem is not None:
        raise InputError(problem)
    path = model_path(models, cell.network, cell.precision)
    before = device_bytes()
    bound = runtime.bind(path, keypoints(cell))
    return Ready(bound, before + path.stat().st_size)


def official_flow(model: PoseMamba) -> Callable[[Tensor], Tensor]:
    """The published data flow: mamba-ssm's scan between gathers and merges, fp16 autocast."""
    model.set_scan("mamba-ssm")

    @torch.no_grad()
    def lift(keypoints: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.float16):
            poses: Tensor = model(keypoints)
        return poses

    return lift


_COMPILED: list[Callable[[Any], Any]] = []


def compiled_network() -> Callable[[Any], Any]:
    """MotionBERT for the one batch that this process has."""
    if not _COMPILED:
        torch.manual_seed(0)
        _COMPILED.append(compiled())
    return _COMPILED[0]


def in_motionbert(cell: Cell, _models: Path) -> Ready:
    if cell.frames != FRAMES:
        raise InputError(f"MotionBERT is written for {FRAMES} frames")
    return replayed(compiled_network(), with_confidence(keypoints(cell)))


WAYS: dict[str, Callable[[Cell, Path], Ready]] = {
    TORCH: in_torch,
    ORT: in_ort,
    FLOW: in_flow,
    COMPILED: in_motionbert,
}
