"""From a request that can succeed to an engine with its sidecar: exported, found or built."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pmexport.engine.gpu import current_name
from pmexport.engine.sidecar import SCHEMA_VERSION, sidecar_path, to_text
from pmexport.exporting.request import run_export
from pmexport.format.environment import timestamp, tool_version
from pmexport.format.file import ModelFile
from pmexport.format.files import file_sha256
from pmexport.format.names import INPUT_NAME, OP_DOMAIN
from pmexport.trt.build import OnEvent, Outcome, run_worker, worker_spec
from pmexport.trt.cache import EngineCache, Entry, Nearest, cache_key
from pmexport.trt.checks import check_disk
from pmexport.trt.graph import Graph
from pmexport.trt.precision_table import precision_table
from pmexport.trt.request import TrtJob, check_source
from pmexport.trt.source import plugin_version, read_source
from posemamba.errors import InputError
from posemamba.files.output import replacing
from posemamba.text import plural

NO_GPU = "no GPU here that it is for"


@dataclass
class Watch:
    """Whom to tell what; every part may be left out.

    Attributes:
        stage: a stage's name and its seconds, when it is done.
        note: a line about the cache.
        warn: a warning of TensorRT.
        event: everything the worker says, for a progress bar.
    """

    stage: Callable[[str, float], None] = lambda name, seconds: None
    note: Callable[[str], None] = lambda text: None
    warn: Callable[[str], None] = lambda text: None
    event: OnEvent = lambda event: None


@dataclass(frozen=True)
class TrtReport:
    """What was written.

    Attributes:
        sidecar: everything about it.
        graph: what TensorRT parsed.
        cached: whether it was found in the cache.
        seconds: of each stage.
        cpu_seconds: user and system time of TensorRT's process; 0 where it was cached.
    """

    path: Path
    sidecar: Mapping[str, Any]
    graph: Graph
    cached: bool
    seconds: Mapping[str, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """The precision that was asked is the precision that was got."""
        return not self.sidecar["precision"]["problems"]


def run(job: TrtJob, watch: Watch) -> TrtReport:
    """Write an engine and its sidecar, each whole or not at all.

    Raises:
        InputError: TensorRT fails, or a file cannot be written.
    """
    seconds: dict[str, float] = {}
    _warn_of_gpu_code(job, watch)
    source = job.source if job.source is not None else _export(job, watch, seconds)
    graph = job.graph if job.graph is not None else job.graph_of(source)
    fields = key_fields(job, source, graph)
    key = cache_key(fields)
    request = job.request
    cache = None if request.cache is None else EngineCache(request.cache, request.cache_limit)
    waiting = "cache: another process builds this engine; waiting for it"
    with nullcontext() if cache is None else cache.locked(key, lambda: watch.note(waiting)):
        found = None if cache is None else _look_up(cache, key, fields, watch)
        if found is not None:
            return _from_cache(job, source, graph, found, seconds)
        report = _build(job, source, graph, watch, seconds)
        if cache is not None and report.passed:
            _keep(cache, key, fields, report, watch)
    return report


def key_fields(job: TrtJob, source: ModelFile, graph: Graph) -> dict[str, Any]:
    """Everything an engine depends on, by names a user reads when one has changed.

    A timing cache is not among them: with one, builds are faster and the engine does the same.
    """
    options = job.request.options
    return {
        "onnx": source.whole_sha256,
        "graph": graph.form,
        "plugin": job.plugin_sha256,
        "backend": job.backend.name,
        "tensorrt version": job.probed.version,
        "target": list(job.targets),
        "gpu": "" if job.backend.cross_builds else current_name(),
        "profiles": [profile.to_dict() for profile in job.profiles],
        "precision": job.precision,
        "workspace": options.workspace,
        "optimization level": options.optimization_level,
        "hardware compatibility": options.hardware_compat,
        "version compatibility": options.version_compat,
        "stripped weights": options.strip_weights,
        "tf32": options.tf32,
        "pmexport version": tool_version(),
        "sidecar schema": SCHEMA_VERSION,
    }


def _warn_of_gpu_code(job: TrtJob, watch: Watch) -> None:
    lacking = [t for t in job.targets if job.gpu_code and not job.gpu_code.runs_on(t)]
    if job.gpu_code is not None and lacking:
        watch.warn(
            f"plugin library '{job.plugin}' has kernels for {', '.join(job.gpu_code.names())}, "
            f"none that {' or '.join(lacking)} can run: there the engine needs a library built "
            "for it"
        )


def _export(job: TrtJob, watch: Watch, seconds: dict[str, float]) -> ModelFile:
    assert job.export is not None
    start = time.perf_counter()
    report = run_export(job.export)
    source = read_source(report.path)
    check_source(source, job.request, job.precision)
    check_disk(job.output.absolute().parent, source.size_bytes)
    seconds["onnx"] = time.perf_counter() - start
    watch.stage("onnx", seconds["onnx"])
    return source


def _look_up(cache: EngineCache, key: str, fields: Mapping[str, Any], watch: Watch) -> Entry | None:
    entry, damaged = cache.find(key)
    if entry is not None:
        watch.note(f"cache: hit, built {entry.sidecar['created']} ({cache.folder})")
        return entry
    nearest = cache.nearest(fields)
    watch.note(f"cache: {_miss(damaged, nearest)} ({cache.folder})")
    return None


def _miss(damaged: bool, nearest: Nearest | None) -> str:
    if damaged:
        return "the engine kept there was damaged and is built again"
    if nearest is None:
        return "miss, it is empty"
    return f"miss, changed since the nearest of {nearest.created}: {', '.join(nearest.changed)}"


def _from_cache(
    job: TrtJob, source: ModelFile, graph: Graph, entry: Entry, seconds: Mapping[str, float]
) -> TrtReport:
    sidecar = dict(entry.sidecar)
    sidecar["engine"] = {**sidecar["engine"], "file": job.output.name}
    sidecar["onnx"] = {**sidecar["onnx"], "file": _onnx_name(job, source)}
    sidecar["graph"] = {**sidecar["graph"], "reason": graph.reason}
    with _both(job.output) as (engine, sidecar_file):
        shutil.copyfile(entry.engine, engine)
        sidecar_file.write_text(to_text(sidecar), encoding="utf-8")
    return TrtReport(job.output, sidecar, graph, cached=True, seconds=seconds)


def _build(
    job: TrtJob, source: ModelFile, graph: Graph, watch: Watch, seconds: dict[str, float]
) -> TrtReport:
    def on_event(event: Mapping[str, Any]) -> None:
        watch.event(event)
        if event["event"] == "warning":
            watch.warn(f"{job.backend.name}: {event['text']}")

    with _both(job.output) as (engine, sidecar_file):
        spec = _spec(job, graph.model, engine.absolute())
        try:
            outcome = run_worker(job.backend, spec, on_event)
            seconds["engine"] = outcome.seconds
            watch.stage("engine", outcome.seconds)
            sidecar = _sidecar(job, source, graph, outcome, engine)
            if spec["timing_cache"] is not None:
                Path(spec["timing_cache_out"]).replace(spec["timing_cache"])
        finally:
            if spec["timing_cache"] is not None:
                Path(spec["timing_cache_out"]).unlink(missing_ok=True)
        sidecar_file.write_text(to_text(sidecar), encoding="utf-8")
    return TrtReport(
        job.output, sidecar, graph, cached=False, seconds=seconds, cpu_seconds=outcome.cpu_seconds
    )


def _spec(job: TrtJob, model: ModelFile, plan: Path) -> dict[str, Any]:
    """What the worker is told."""
    keypoint = (len(model.metadata["joint_names"]), model.channels)
    profiles = [
        {INPUT_NAME: {which: profile.shape(which, *keypoint) for which in ("min", "opt", "max")}}
        for profile in job.profiles
    ]
    return worker_spec(
        job.backend, job.plugin, model.path, plan, job.targets, job.request.options, profiles
    )


def _sidecar(
    job: TrtJob, source: ModelFile, graph: Graph, outcome: Outcome, engine: Path
) -> dict[str, Any]:
    network = outcome.network
    if network is None:
        raise InputError(f"{job.backend.name}: its process ended without a network: run it again")
    own = graph.model.own_nodes
    if network["plugin_layers"] != len(own):
        raise InputError(
            f"{job.backend.name} made {network['plugin_layers']} plugin layers of "
            f"{plural(len(own), 'node')} of ours: the plugin library does not fit the model"
        )
    opened = outcome.engine or {"opened": False, "why": NO_GPU}
    table = precision_table(
        graph.model,
        job.precision,
        {"batch": job.profiles[0].batch.opt, "frames": job.profiles[0].frames.opt},
        network["tensors"],
        opened if opened["opened"] else None,
    )
    metadata, options = source.metadata, job.request.options
    return {
        "schema_version": SCHEMA_VERSION,
        "created": timestamp(),
        "tool": {"name": "pmexport", "version": tool_version()},
        "engine": {
            "file": job.output.name,
            "sha256": file_sha256(engine),
            "bytes": engine.stat().st_size,
        },
        "onnx": {
            "file": _onnx_name(job, source),
            "sha256": source.whole_sha256,
            "bytes": source.size_bytes,
        },
        "graph": {
            "form": graph.form,
            "reason": graph.reason,
            "sha256": graph.model.whole_sha256,
        },
        "plugin": {
            "file": job.plugin.name,
            "sha256": job.plugin_sha256,
            "version": plugin_version(graph.model),
            "namespace": OP_DOMAIN,
            "creators": sorted(graph.model.own_operators),
            "gpu_code": None if job.gpu_code is None else job.gpu_code.names(),
        },
        "tensorrt": {"flavour": job.backend.name, "version": outcome.version},
        "targets": list(job.targets),
        "inputs": network["inputs"],
        "outputs": network["outputs"],
        "profiles": [asdict(profile) for profile in job.profiles],
        "options": {
            "workspace_bytes": options.workspace,
            "optimization_level": options.optimization_level,
            "hardware_compat": options.hardware_compat,
            "version_compat": options.version_compat,
            "strip_weights": options.strip_weights,
            "tf32": options.tf32,
        },
        "precision": {
            **table.to_dict(),
            "engine": opened,
            "plugin_layers": network["plugin_layers"],
        },
        "model": {
            "variant": metadata.get("variant", "custom"),
            "scan_order": metadata.get("scan_order", "unknown"),
            "max_frames": metadata["max_frames"],
            "joint_names": list(metadata["joint_names"]),
            "normalisation": metadata["normalisation"],
            "units": metadata["units"],
            "checkpoint": metadata.get("checkpoint"),
            "checkpoint_sha256": metadata.get("checkpoint_sha256"),
        },
    }


def _onnx_name(job: TrtJob, source: ModelFile) -> str:
    """The model's file name; of one that was exported for the engine only, what it would be."""
    return source.path.name if job.source is not None else f"{job.output.stem}.onnx"


@contextmanager
def _both(engine: Path) -> Iterator[tuple[Path, Path]]:
    """Temporary names of an engine and its sidecar: both take their places, or neither does."""
    with replacing(sidecar_path(engine)) as sidecar_file, replacing(engine) as plan:
        yield plan, sidecar_file


def _keep(
    cache: EngineCache, key: str, fields: Mapping[str, Any], report: TrtReport, watch: Watch
) -> None:
    try:
        cache.store(key, fields, report.path, to_text(report.sidecar))
    except OSError as error:  # the engine is written all the same
        watch.warn(f"the engine is not kept in '{cache.folder}' ({error.strerror or error})")
