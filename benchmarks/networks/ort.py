"""Every way of running PoseMamba on an NVIDIA GPU, timed in one run and held against the CPU.

    python -m benchmarks.networks.ort export --variant L --precision fp16 --models DIR  (no GPU)
    python -m benchmarks.networks.ort run --models DIR --out DIR --budget 1200

Sizes S, B, L, X at batches 1, 8 and 32, float32 and float16, through PyTorch (mamba-ssm's scan, our
op, torch.compile, our inference class in a CUDA graph) and ONNX Runtime CUDA (with and without its
CUDA graphs, the exported file as it is and optimised). Rows are written as they come, the most
telling first; what does not fit is listed with the reason. Weights are seeded random: speed does
not depend on them. ``ort_report.py`` turns the JSON into Markdown and SVG.
"""

from __future__ import annotations

import argparse
import copy
import gc
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.environment import environment
from benchmarks.networks.forward import FRAMES, build, worst_clip_mm
from pmexport.bench.measure import Effort, Measurement, measure
from pmexport.check.cases import bounce
from pmexport.exporting.export import export_onnx
from pmexport.format.options import ExportOptions, Precision, Rewrite
from pmexport.runtimes.base import Bound, FloatArray, RuntimeOptions
from pmexport.runtimes.ort_cuda import OrtCuda
from pmexport.runtimes.torch_cuda import TorchBound
from posemamba.errors import InputError
from posemamba.files.output import replacing
from posemamba.model.blocks import ScanBackend
from posemamba.model.inference import PoseMambaInference
from posemamba.model.network import PoseMamba
from posemamba.pose.clips import bundled_clips

EFFORT = Effort(warmup_s=0.15, measure_s=0.4, runs=100)
USUAL_SECONDS = 5.0  # of a cell, building included


@dataclass(frozen=True)
class Cell:
    """One size, batch and precision, run one way."""

    variant: str
    batch: int
    precision: str
    way: str

    def __str__(self) -> str:
        return f"{self.variant} x{self.batch} {self.precision} {self.way}"


@dataclass(frozen=True)
class Job:
    """What a way of running gets."""

    cell: Cell
    keypoints_2d: FloatArray
    models: Path
    tf32: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser("export", help="write one ONNX model")
    export.add_argument("--variant", required=True)
    export.add_argument("--precision", required=True, choices=("fp32", "fp16", "fp16-sums"))
    run = commands.add_parser("run", help="time everything")
    run.add_argument("--variants", default="L,S,B,X")
    run.add_argument("--batches", default="1,32,8")
    run.add_argument("--precisions", default="fp16,fp32")
    run.add_argument("--ways", default=",".join(WAYS))
    run.add_argument("--out", type=Path, required=True)
    run.add_argument(
        "--budget", type=float, default=1200.0, help="seconds, models' building included"
    )
    run.add_argument("--tf32", action="store_true", help="let float32 products round their inputs")
    for command in (export, run):
        command.add_argument("--models", type=Path, required=True, help="folder of the ONNX files")
    options = parser.parse_args()
    if options.command == "export":
        export_model(options.variant, options.precision, options.models)
        return 0
    return run_all(options)


def model_path(models: Path, variant: str, precision: str) -> Path:
    return models / f"{variant}.{precision}.onnx"


def export_model(variant: str, precision: Precision, models: Path) -> None:
    path = model_path(models, variant, precision)
    if not path.is_file():
        models.mkdir(parents=True, exist_ok=True)
        export_onnx(build(variant), path, ExportOptions(precision=precision))


def run_all(options: argparse.Namespace) -> int:
    deadline = time.monotonic() + options.budget
    options.out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {
        "environment": environment(),
        "frames": FRAMES,
        "tf32": options.tf32,
        "effort": asdict(EFFORT),
        "rows": [],
        "skipped": [],
    }
    slowest: dict[str, float] = {}  # seconds a cell took, by way; starting one must leave as much
    for cell in plan(options):
        began = time.monotonic()
        if began + slowest.get(cell.way, USUAL_SECONDS) > deadline:
            report["skipped"].append({**asdict(cell), "why": "the time budget was spent"})
            continue
        job = Job(cell, keypoints(cell.batch), options.models, options.tf32)
        try:
            row = timed(job)
        except Exception as error:  # one way that fails must not take the others with it
            why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            report["skipped"].append({**asdict(cell), "why": why})
            say(f"{cell}: {why}")
        else:
            report["rows"].append(row)
            total = row["total"]
            say(
                f"{cell}: {total['median']:.3f} ms (p99 {total['p99']:.3f}), compute "
                f"{row['steps']['compute']['median']:.3f}, drift {row['drift_mm']:.4f} mm, "
                f"{row['device_mib']} MiB{', UNSTABLE' if row['unstable'] else ''}; "
                f"{time.monotonic() - began:.1f} s in all"
            )
        slowest[cell.way] = max(slowest.get(cell.way, 0.0), time.monotonic() - began)
        write_report(report, options.out)
    write_report(report, options.out)  # the last cells may have been skipped
    say(f"{len(report['rows'])} rows, {len(report['skipped'])} skipped: {options.out / 'ort.json'}")
    return 0


def write_report(report: dict[str, Any], folder: Path) -> None:
    with replacing(folder / "ort.json") as partial:
        partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def plan(options: argparse.Namespace) -> list[Cell]:
    """All cells, those that decide first: fp16 before fp32, then by way, size and batch."""
    chosen = {name: getattr(options, name).split(",") for name in ("variants", "batches", "ways")}
    cells = [
        Cell(variant, int(batch), precision, way)
        for precision in options.precisions.split(",")
        for variant in chosen["variants"]
        for batch in chosen["batches"]
        for way in chosen["ways"]
    ]
    key_cells = {(variant, batch) for variant in "LS" for batch in (1, 32)}
    names = list(WAYS)

    def rank(cell: Cell) -> tuple[bool, bool, int]:
        key = (cell.variant, cell.batch) in key_cells
        return (cell.precision != "fp16", not key, names.index(cell.way) // 2)

    return sorted(cells, key=rank)


def timed(job: Job) -> dict[str, Any]:
    """Build, measure, and compare with the float32 network on the CPU."""
    cell = job.cell
    gc.collect()
    torch.cuda.empty_cache()
    torch.backends.cuda.matmul.allow_tf32 = job.tf32
    before = device_bytes()
    began = time.monotonic()
    bound = WAYS[cell.way](job)
    built = time.monotonic() - began
    measured = measure(bound, EFFORT)
    row: dict[str, Any] = {
        **asdict(cell),
        "settings": bound.settings,
        "build_s": round(built, 2),
        **figures(measured),
        "device_mib": round((device_bytes() - before) / 2**20),
        "drift_mm": drift_mm(cell.variant, measured.poses_3d),
    }
    if cell.precision == "fp16" and cell.variant in ("L", "S") and "graph" in cell.way:
        try:
            row["timeline"] = timeline(bound.compute)
        except Exception as error:  # the times stand without it
            row["timeline"] = {"kernels": 0, "why": f"{type(error).__name__}: {error}"}
    return row


def figures(measured: Measurement) -> dict[str, Any]:
    return {
        "runs": measured.runs,
        "total": asdict(measured.total),
        "steps": {name: asdict(times) for name, times in measured.steps.items()},
        "unstable": measured.unstable,
    }


# What is fed, and what should come out.


def real_clips() -> list[FloatArray]:
    """The bundled real clips, each played back and forth to the network's length."""
    return [bounce(clip, FRAMES) for clip in bundled_clips().values()]


def keypoints(batch: int) -> FloatArray:
    clips = real_clips()
    return np.stack([clips[i % len(clips)] for i in range(batch)])


@cache
def expected_poses(variant: str) -> FloatArray:
    """Float32 poses of the real clips from the CPU kernels, (clips, frames, joints, 3)."""
    network = on_cpu(variant)
    with torch.inference_mode():
        poses: FloatArray = network(torch.from_numpy(np.stack(real_clips()))).numpy()
    return poses


def drift_mm(variant: str, poses_3d: FloatArray) -> float:
    return worst_clip_mm(expected_poses(variant), poses_3d)


def device_bytes() -> int:
    free, total = torch.cuda.mem_get_info()
    return total - free


def timeline(call: Callable[[], None]) -> dict[str, Any]:
    """Kernels of one call: how long the GPU worked, and how long it waited between them, in us."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        call()
        torch.cuda.synchronize()
    cuda = torch.autograd.DeviceType.CUDA  # type: ignore[attr-defined]
    spans = sorted(
        (event.time_range.start, event.time_range.end, event.name)
        for event in profile.events()
        if event.device_type == cuda
    )
    if not spans:
        return {"kernels": 0}
    busy, reached = 0.0, spans[0][0]
    totals: dict[str, list[float]] = {}
    for start, end, name in spans:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
        totals.setdefault(name, []).append(end - start)
    span = reached - spans[0][0]
    longest = sorted(totals.items(), key=lambda item: -sum(item[1]))[:20]
    return {
        "kernels": len(spans),
        "span_us": round(span, 1),
        "busy_us": round(busy, 1),
        "gap_us": round(span - busy, 1),
        "longest": [
            {"kernel": name[:120], "calls": len(times), "us": round(sum(times), 1)}
            for name, times in longest
        ],
    }


# The ways of running, most telling first.


def ort(job: Job, *, optimize: Rewrite, cuda_graph: bool) -> Bound:
    options = RuntimeOptions(optimize=optimize, cuda_graph=cuda_graph, tf32=job.tf32)
    runtime = OrtCuda(options)
    problem = runtime.available()
    if problem is not None:
        raise InputError(problem)
    path = model_path(job.models, job.cell.variant, job.cell.precision)
    return runtime.bind(path, job.keypoints_2d)


def torch_inference(job: Job) -> Bound:
    network = PoseMambaInference(on_gpu(job.cell.variant), dtype_of(job.cell))
    return torch_bound(network, job, cuda_graph=True)


def torch_module(job: Job, scan: ScanBackend, *, compiled: bool = False) -> Bound:
    """The plain module, in fp16 under autocast as a user would run it."""
    if scan == "mamba-ssm" and importlib.util.find_spec("mamba_ssm") is None:
        raise InputError("mamba-ssm is not installed here")
    model = on_gpu(job.cell.variant).set_scan(scan)
    if compiled:  # all blocks are of one class: one compilation serves the whole depth
        torch.compiler.reset()  # or another batch would be compiled for any batch, and slower
        for block in (*model.STEblocks, *model.TTEblocks):
            block.compile()
    half = job.cell.precision == "fp16"

    @torch.no_grad()
    def network(keypoints_2d: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cuda", torch.float16, enabled=half):
            poses: torch.Tensor = model(keypoints_2d)
        return poses.float()

    return torch_bound(network, job, cuda_graph=False)


def torch_bound(network: Callable[[Any], Any], job: Job, *, cuda_graph: bool) -> Bound:
    settings = {"cuda_graph": cuda_graph, "tf32": job.tf32}
    return TorchBound(network, job.keypoints_2d, cuda_graph, settings)


@cache
def on_cpu(variant: str) -> PoseMamba:
    return build(variant)


def on_gpu(variant: str) -> PoseMamba:
    return copy.deepcopy(on_cpu(variant)).cuda()


def dtype_of(cell: Cell) -> torch.dtype:
    return torch.float16 if cell.precision == "fp16" else torch.float32


WAYS: dict[str, Callable[[Job], Bound]] = {
    "ort optimised graph": lambda job: ort(job, optimize="auto", cuda_graph=True),
    "torch graph": torch_inference,
    "ort composed graph": lambda job: ort(job, optimize="composed", cuda_graph=True),
    "ort as exported graph": lambda job: ort(job, optimize="off", cuda_graph=True),
    "ort optimised": lambda job: ort(job, optimize="auto", cuda_graph=False),
    "ort as exported": lambda job: ort(job, optimize="off", cuda_graph=False),
    "torch eager": lambda job: torch_module(job, "fused"),
    "torch mamba-ssm": lambda job: torch_module(job, "mamba-ssm"),
    "torch compile": lambda job: torch_module(job, "fused", compiled=True),
}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
