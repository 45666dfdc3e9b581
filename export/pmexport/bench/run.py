"""``pmexport bench``: the same clip through every runtime asked for, timed."""

from __future__ import annotations

import gc
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pmexport.bench.measure import Effort, HostBound, Measurement, Times, measure
from pmexport.check.cases import bounce
from pmexport.format.limits import MAX_ELEMENTS
from pmexport.runtimes.base import RUNTIMES, Bindable, Bound, FloatArray, Runtime, RuntimeOptions
from posemamba.errors import InputError
from posemamba.skeleton import NUM_JOINTS

SCHEMA = 1


@dataclass(frozen=True)
class BenchRequest:
    """What to time.

    Attributes:
        model: the exported file.
        checkpoint: for runtimes that read weights instead.
        runtimes: names in :data:`pmexport.runtimes.base.RUNTIMES`.
        batch: clips at once; None for what the model fixes, else 1.
        frames: of a clip; None for what the model fixes, else its longest.
        precision: of runtimes that read weights; None for the model's.
        threads, cuda_graph, optimize, tf32: as :class:`pmexport.runtimes.base.RuntimeOptions`.
    """

    model: Path
    checkpoint: Path | None = None
    runtimes: tuple[str, ...] = ("ort-cpu",)
    batch: int | None = None
    frames: int | None = None
    precision: Literal["fp32", "fp16"] | None = None
    effort: Effort = Effort()  # noqa: RUF009 (frozen)
    threads: int | None = None
    cuda_graph: bool = True
    optimize: Literal["auto", "fused", "composed", "off"] = "auto"
    tf32: bool = False


@dataclass(frozen=True)
class RuntimeTimes:
    """What one runtime took.

    Attributes:
        load_s: from the file to the first result.
        total, steps, runs, unstable: as :class:`pmexport.bench.measure.Measurement`.
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


@dataclass(frozen=True)
class BenchReport:
    """Everything a benchmark found; ``to_dict`` is what ``--json`` writes."""

    model: dict[str, Any]
    checkpoint: str | None
    shape: dict[str, int]
    effort: Effort
    runtimes: dict[str, RuntimeTimes]
    environment: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}


def run_bench(
    request: BenchRequest, progress: Callable[[str], Callable[[], None]] | None = None
) -> BenchReport:
    """Time a model.

    Args:
        progress: given a runtime's name, makes what is called after each of its runs.

    Raises:
        InputError: a file or size is wrong, or a runtime cannot work here.
    """
    from pmexport.format.facts import read_facts
    from pmexport.format.files import file_sha256

    facts = read_facts(request.model)
    _refuse_idle_options(request)
    batch = _size("batch", request.batch, facts.batch, None) or 1
    frames = _size("frames", request.frames, facts.frames, facts.max_frames)
    if frames is None:
        raise InputError(
            f"'{request.model}' does not say how many frames it takes: give --frames, or export "
            "it with 'pmexport onnx'"
        )
    options = RuntimeOptions(
        threads=request.threads,
        scan_order=facts.scan_order,
        precision=request.precision or ("fp16" if facts.precision == "fp16" else "fp32"),
        cuda_graph=request.cuda_graph,
        optimize=request.optimize,
        tf32=request.tf32,
    )
    if batch * frames * NUM_JOINTS * 2 > MAX_ELEMENTS:
        raise InputError(
            f"--batch {batch} with --frames {frames}: the keypoints would be more than "
            f"{MAX_ELEMENTS:,} numbers: use a smaller --batch"
        )
    chosen = [(name, *_prepared(name, options, request)) for name in request.runtimes]
    clip = _clip(batch, frames)
    results = {
        name: _timed(runtime, path, clip, request.effort, progress and progress(name))
        for name, runtime, path in chosen
    }
    return BenchReport(
        model={
            "path": str(request.model),
            "sha256": file_sha256(request.model),
            **facts.summary(),
        },
        checkpoint=None if request.checkpoint is None else str(request.checkpoint),
        shape={"batch": batch, "frames": frames, "joints": clip.shape[2]},
        effort=request.effort,
        runtimes=results,
        environment=_environment(),
    )


def _refuse_idle_options(request: BenchRequest) -> None:
    """Who gives an option expects it in the figures.

    Raises:
        InputError: no chosen runtime reads an option that is given.
    """
    given = {
        f"--ckpt '{request.checkpoint}'": (request.checkpoint is not None, ("torch", "torch-cuda")),
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


def _size(what: str, asked: int | None, fixed: int | None, most: int | None) -> int | None:
    if asked is not None and fixed is not None and asked != fixed:
        raise InputError(
            f"the model takes {what} {fixed}, not {asked}: leave --{what} out, or export it with "
            f"--{what} dynamic"
        )
    if asked is not None and most is not None and asked > most:
        raise InputError(f"the model takes at most {most} {what}, not {asked}")
    return asked or fixed or most


def _prepared(name: str, options: RuntimeOptions, request: BenchRequest) -> tuple[Runtime, Path]:
    """A runtime that can work here, and the file it reads."""
    runtime: Runtime = RUNTIMES[name](options)
    problem = runtime.available()
    if problem is not None:
        raise InputError(f"runtime '{name}' cannot be used: {problem}")
    if runtime.reads == "model":
        return runtime, request.model
    if request.checkpoint is None:
        raise InputError(f"runtime '{name}' reads the checkpoint: give it with --ckpt")
    return runtime, request.checkpoint


def _timed(
    runtime: Runtime,
    path: Path,
    clip: FloatArray,
    effort: Effort,
    on_run: Callable[[], None] | None,
) -> RuntimeTimes:
    gc.collect()  # the runtime before this one
    before = _device_bytes()
    start = time.perf_counter()
    bound: Bound
    if isinstance(runtime, Bindable):
        bound = runtime.bind(path, clip)
    else:
        bound = HostBound(runtime.load(path), clip)
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
    )


def _clip(batch: int, frames: int) -> FloatArray:
    """The bundled real clips, played back and forth to the length: (batch, frames, joints, 2)."""
    from posemamba.pose.clips import bundled_clips

    clips = [bounce(clip, frames) for clip in bundled_clips().values()]
    return np.stack([clips[i % len(clips)] for i in range(batch)])


def _host_peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _device_bytes() -> int | None:
    """Used memory of the current GPU, whoever uses it."""
    import torch

    if not torch.cuda.is_available():
        return None
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return int(total - free)


def _environment() -> dict[str, Any]:
    import torch

    from pmexport.doctor.diagnose import package_versions

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "gpu": gpu,
        "cuda": torch.version.cuda,
        "versions": package_versions(("pmexport", "numpy", "onnx", "onnxruntime", "torch")),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
