"""``pmexport bench``: the same clip through every runtime asked for, timed."""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pmexport.bench.measure import Effort, HostBound, Measurement, Times, measure
from pmexport.check.cases import bounce, with_channels
from pmexport.format.environment import environment, has_module
from pmexport.format.file import ModelFile, open_model
from pmexport.format.limits import check_elements, check_frames
from pmexport.format.options import Fusion, Precision
from pmexport.runtimes.base import Bindable, Bound, FloatArray, Runtime, RuntimeOptions
from pmexport.runtimes.registry import usable_runtime
from posemamba.errors import InputError
from posemamba.pose.clips import bundled_clips
from posemamba.skeleton import NUM_JOINTS

SCHEMA = 1


@dataclass(frozen=True)
class BenchRequest:
    """What to time.

    Attributes:
        model: the exported file.
        checkpoint: for runtimes that read weights instead.
        runtimes: names in :data:`pmexport.runtimes.registry.RUNTIMES`.
        batch: clips at once; None for what the model fixes, else 1.
        frames: of a clip; None for what the model fixes, else its longest.
        precision: of runtimes that read weights; None for the model's.
        threads, cuda_graph, optimize, tf32, weights: as
            :class:`pmexport.runtimes.base.RuntimeOptions`.
    """

    model: Path
    checkpoint: Path | None = None
    runtimes: tuple[str, ...] = ("ort-cpu",)
    batch: int | None = None
    frames: int | None = None
    precision: Precision | None = None
    effort: Effort = Effort()  # noqa: RUF009 (frozen)
    threads: int | None = None
    cuda_graph: bool = True
    optimize: Fusion | Literal["off"] = "auto"
    tf32: bool = False
    weights: str | None = None


@dataclass(frozen=True)
class RuntimeTimes:
    """What one runtime took.

    Attributes:
        load_s: from the file to the first result.
        total, steps, runs, unstable, samples_ms: as :class:`pmexport.bench.measure.Measurement`.
        clips_per_s, frames_per_s: at the median.
        host_peak_mib: most resident memory the process ever had, earlier runtimes included.
        device_mib: growth of used GPU memory, pools and weights included; None without a GPU.
        settings: IO binding, CUDA graph and what else its times depend on.
    """

    load_s: float
    runs: int
    total: Times
    steps: dict[str, Times]
    unstable: bool
    clips_per_s: float
    frames_per_s: float
    host_peak_mib: float
    device_mib: float | None
    settings: dict[str, Any]
    samples_ms: list[float]


@dataclass(frozen=True)
class BenchReport:
    """Everything a benchmark found; ``to_dict`` is what ``--json`` writes, without single times."""

    model: dict[str, Any]
    checkpoint: str | None
    shape: dict[str, int]
    effort: Effort
    runtimes: dict[str, RuntimeTimes]
    environment: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        report = asdict(self)
        for times in report["runtimes"].values():
            del times["samples_ms"]
        return {"schema": SCHEMA, **report}


def run_bench(
    request: BenchRequest, progress: Callable[[str], Callable[[], None]] | None = None
) -> BenchReport:
    """Time a model.

    Args:
        progress: given a runtime's name, makes what is called after each of its runs.

    Raises:
        InputError: a file or size is wrong, or a runtime cannot work here.
    """
    model = open_model(request.model)
    _refuse_idle_options(request)
    batch = _size("batch", request.batch, model.batch) or 1
    most: int | None = model.metadata.get("max_frames")
    frames = _size("frames", request.frames, model.frames) or most
    if frames is None:
        raise InputError(
            f"'{model.path}' does not say how many frames it takes: give --frames, or export "
            "it with 'pmexport onnx'"
        )
    check_frames(frames, most or frames)
    check_elements(batch * frames * NUM_JOINTS * model.channels, batch, frames, "the keypoints")
    options = RuntimeOptions(
        threads=request.threads,
        scan_order=model.metadata.get("scan_order"),
        weights=request.weights or model.metadata.get("weights"),
        precision=request.precision or model.precision,
        cuda_graph=request.cuda_graph,
        optimize=request.optimize,
        tf32=request.tf32,
    )
    runtimes = [usable_runtime(name, options) for name in request.runtimes]
    files = [_file(runtime, model, request.checkpoint) for runtime in runtimes]
    clip = with_channels(_clip(batch, frames), model.channels)
    results = {
        runtime.name: _timed(
            runtime, file, clip, request.effort, progress and progress(runtime.name)
        )
        for runtime, file in zip(runtimes, files, strict=True)
    }
    return BenchReport(
        model=model.summary(),
        checkpoint=None if request.checkpoint is None else str(request.checkpoint),
        shape={"batch": batch, "frames": frames, "joints": clip.shape[2]},
        effort=request.effort,
        runtimes=results,
        environment=environment(),
    )


def _refuse_idle_options(request: BenchRequest) -> None:
    """Who gives an option expects it in the figures.

    Raises:
        InputError: no chosen runtime reads an option that is given.
    """
    given = {
        f"--ckpt '{request.checkpoint}'": (request.checkpoint is not None, ("torch", "torch-cuda")),
        f"--weights {request.weights}": (request.weights is not None, ("torch", "torch-cuda")),
        f"--precision {request.precision}": (request.precision is not None, ("torch-cuda",)),
        f"--threads {request.threads}": (
            request.threads is not None,
            ("ort-cpu", "torch", "ort-cuda"),
        ),
        "--no-cuda-graph": (not request.cuda_graph, ("ort-cuda", "torch-cuda")),
        f"--optimize {request.optimize}": (request.optimize != "auto", ("ort-cuda",)),
        "--tf32": (request.tf32, ("ort-cuda", "torch-cuda")),
    }
    for option, (is_given, readers) in given.items():
        if is_given and not set(readers) & set(request.runtimes):
            raise InputError(
                f"{option}: for --runtime {' or '.join(readers)} alone, this is "
                f"{', '.join(request.runtimes)}: leave it out, or add --runtime {readers[0]}"
            )


def _size(what: str, asked: int | None, fixed: int | None) -> int | None:
    if asked is not None and fixed is not None and asked != fixed:
        raise InputError(
            f"the model takes {what} {fixed}, not {asked}: leave --{what} out, or export it with "
            f"--{what} dynamic"
        )
    return asked or fixed


def _file(runtime: Runtime, model: ModelFile, checkpoint: Path | None) -> ModelFile | Path:
    """What a runtime reads."""
    if runtime.reads == "model":
        return model
    if checkpoint is None:
        raise InputError(f"runtime '{runtime.name}' reads the checkpoint: give it with --ckpt")
    return checkpoint


def _timed(
    runtime: Runtime,
    file: ModelFile | Path,
    clip: FloatArray,
    effort: Effort,
    on_run: Callable[[], None] | None,
) -> RuntimeTimes:
    gc.collect()  # the runtime before this one
    before = _device_bytes()
    start = time.perf_counter()
    bound: Bound
    if isinstance(runtime, Bindable):
        bound = runtime.bind(file, clip)
    else:
        bound = HostBound(runtime.load(file), clip)
    try:
        bound.upload()
        bound.compute()
        bound.download()
        load_s = time.perf_counter() - start
        measured: Measurement = measure(bound, effort, on_run=on_run)
    except InputError:
        raise
    except Exception as error:  # each runtime has its own classes
        reason = " ".join(str(error).split())[:200]
        path = file.path if isinstance(file, ModelFile) else file
        raise InputError(
            f"runtime '{runtime.name}' cannot run '{path}' at shape {clip.shape}: {reason}"
        ) from None
    after = _device_bytes()
    clips = 1e3 * clip.shape[0] / measured.total.median
    return RuntimeTimes(
        load_s=load_s,
        runs=measured.runs,
        total=measured.total,
        steps=measured.steps,
        unstable=measured.unstable,
        clips_per_s=clips,
        frames_per_s=clips * clip.shape[1],
        host_peak_mib=_host_peak_bytes() / 2**20,
        device_mib=None if before is None or after is None else (after - before) / 2**20,
        settings=bound.settings,
        samples_ms=measured.samples_ms,
    )


def _clip(batch: int, frames: int) -> FloatArray:
    """The bundled real clips, played back and forth to the length: (batch, frames, joints, 2)."""
    clips = [bounce(clip, frames) for clip in bundled_clips().values()]
    return np.stack([clips[i % len(clips)] for i in range(batch)])


def _host_peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _device_bytes() -> int | None:
    """Used memory of the current GPU, whoever uses it; None where PyTorch, which tells, is not."""
    if not has_module("torch"):
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return int(total - free)
