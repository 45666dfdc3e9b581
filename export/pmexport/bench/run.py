"""``pmexport bench``: the same clip through every runtime asked for, timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pmexport.bench.compare import refuse_incomparable
from pmexport.bench.find_meter import find_meter
from pmexport.bench.layers import Layer, profile_layers, refuse_unprofiled
from pmexport.bench.measure import Effort, HostBound
from pmexport.bench.timed import RuntimeTimes, time_bound
from pmexport.check.cases import bounce, with_channels
from pmexport.format.environment import environment
from pmexport.format.failures import reason
from pmexport.format.file import ModelFile
from pmexport.format.limits import check_elements, check_frames
from pmexport.format.memory import check_room
from pmexport.format.names import TENSORRT, TENSORRT_RTX
from pmexport.format.options import Precision, Rewrite
from pmexport.format.paths import NamesFiles
from pmexport.runtimes.base import (
    Bindable,
    Bound,
    File,
    FloatArray,
    Runnable,
    Runtime,
    RuntimeOptions,
)
from pmexport.runtimes.files import as_model, file_for, open_runnable, runtimes_of
from pmexport.runtimes.registry import RUNTIMES, require_usable
from pmexport.runtimes.tf32 import TF32_RUNTIMES
from posemamba.errors import InputError
from posemamba.pose.clips import bundled_clips
from posemamba.skeleton import NUM_JOINTS

SCHEMA = 1
_ENGINES = (TENSORRT, TENSORRT_RTX)


@dataclass(frozen=True)
class BenchRequest(NamesFiles):
    """What to time.

    Attributes:
        model: the exported file, or an engine.
        checkpoint: for runtimes that read weights instead.
        runtimes: names in :data:`pmexport.runtimes.registry.RUNTIMES`; none for the file's own.
        batch: clips at once; None for what the model fixes, else 1.
        frames: of a clip; None for what the model fixes, else its longest.
        precision: of runtimes that read weights; None for the model's.
        threads, cuda_graph, optimize, tf32, weights: as
            :class:`pmexport.runtimes.base.RuntimeOptions`.
        layers: also run under the profiler, to tell the modules' times.
    """

    model: Path
    checkpoint: Path | None = None
    runtimes: tuple[str, ...] = ()
    batch: int | None = None
    frames: int | None = None
    precision: Precision | None = None
    effort: Effort = Effort()  # noqa: RUF009 (frozen)
    threads: int | None = None
    cuda_graph: bool = True
    optimize: Rewrite = "auto"
    tf32: bool = False
    weights: str | None = None
    layers: bool = False


@dataclass(frozen=True)
class BenchReport:
    """Everything a benchmark found; ``to_dict`` is what ``--json`` writes, without single times.

    Attributes:
        layers: of each runtime, if they were asked for: the modules, longest first.
    """

    model: dict[str, Any]
    checkpoint: str | None
    shape: dict[str, int]
    effort: Effort
    runtimes: dict[str, RuntimeTimes]
    layers: dict[str, list[Layer]]
    environment: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        report = asdict(self)
        for times in report["runtimes"].values():
            del times["samples_ms"]
        return {"schema": SCHEMA, **report}


def run_bench(
    request: BenchRequest,
    progress: Callable[[str], Callable[[], None]] | None = None,
    opened: Runnable | None = None,
    against: dict[str, Any] | None = None,
) -> BenchReport:
    """Time a model.

    Args:
        opened: ``request.model``, where the caller has looked into it already.
        against: of :func:`pmexport.bench.compare.read_report`, an older report that this one is
            for: what it says nothing of is refused before anything is timed.
        progress: given a runtime's name, makes what is called after each of its runs.

    Raises:
        InputError: a file or size is wrong, or a runtime cannot work here.
    """
    model = opened or open_runnable(request.model)
    request = replace(request, runtimes=runtimes_of(model, request.runtimes))
    _refuse_idle_options(request)
    if request.layers:
        refuse_unprofiled(request.runtimes)
    batch, frames = sizes(model, request.batch, request.frames)
    if isinstance(model, ModelFile):
        check_room(model, batch, frames, request.runtimes)
    options = RuntimeOptions(
        threads=request.threads,
        scan_order=model.metadata.get("scan_order"),
        weights=request.weights or model.metadata.get("weights"),
        precision=request.precision or model.precision,
        cuda_graph=request.cuda_graph,
        optimize=request.optimize,
        tf32=request.tf32,
    )
    runtimes = [RUNTIMES[name](options) for name in request.runtimes]
    files = [file_for(runtime, model, request.checkpoint) for runtime in runtimes]
    for runtime in runtimes:
        require_usable(runtime.name, runtime)
    shape = {"batch": batch, "frames": frames, "joints": NUM_JOINTS}
    here = environment(request.threads)
    if against is not None:
        refuse_incomparable(against, shape, request.runtimes, here)
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
        shape=shape,
        effort=request.effort,
        runtimes=results,
        layers={
            runtime.name: profile_layers(runtime.name, as_model(file), clip, options)
            for runtime, file in zip(runtimes, files, strict=True)
            if request.layers
        },
        environment=here,
    )


def sizes(model: Runnable, batch: int | None, frames: int | None) -> tuple[int, int]:
    """Clips and frames to time: what was asked, else what the model fixes, else one and its most.

    Raises:
        InputError: the model takes others, or nobody knows.
    """
    clips = _size("batch", batch, model.batch) or 1
    most = model.most_frames
    length = _size("frames", frames, model.frames) or most
    if length is None:
        raise InputError(
            f"'{model.path}' does not say how many frames it takes: give --frames, or export "
            "it with 'pmexport onnx'"
        )
    check_frames(length, most or length)
    check_elements(clips * length * NUM_JOINTS * model.channels, clips, length, "the keypoints")
    return clips, length


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
        "--no-cuda-graph": (not request.cuda_graph, ("ort-cuda", "torch-cuda", *_ENGINES)),
        f"--optimize {request.optimize}": (request.optimize != "auto", ("ort-cuda",)),
        "--tf32": (request.tf32, TF32_RUNTIMES),
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


def _timed(
    runtime: Runtime,
    file: File,
    clip: FloatArray,
    effort: Effort,
    on_run: Callable[[], None] | None,
) -> RuntimeTimes:
    """One runtime; a device of its own is watched, and on a Jetson the whole module."""
    meter = find_meter()
    if not isinstance(runtime, Bindable) and not (meter and meter.measures_host):
        meter = None

    def bind() -> Bound:
        if isinstance(runtime, Bindable):
            return runtime.bind(file, clip)
        return HostBound(runtime.load(file), clip)

    batch, frames = clip.shape[:2]
    try:
        return time_bound(bind, batch, frames, effort, meter, on_run)
    except (ImportError, InputError):  # what is not installed has its own line
        raise
    except Exception as error:  # each runtime has its own classes
        path = file if isinstance(file, Path) else file.path
        raise InputError(
            f"runtime '{runtime.name}' cannot run '{path}' at shape {clip.shape}: {reason(error)}"
        ) from None


def _clip(batch: int, frames: int) -> FloatArray:
    """The bundled real clips, played back and forth to the length: (batch, frames, joints, 2)."""
    clips = [bounce(clip, frames) for clip in bundled_clips().values()]
    return np.stack([clips[i % len(clips)] for i in range(batch)])
