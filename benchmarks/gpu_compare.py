"""One table of one run: PoseMamba in PyTorch and in ONNX Runtime, its authors' flow, MotionBERT.

    gpu_compare.py prepare                       MotionBERT's kernels, into PyTorch's cache
    gpu_compare.py run --models DIR --out DIR    DIR holds S.fp16.onnx and so on (gpu_ort.py export)

Every network computes in float16 and is replayed from a CUDA graph, the authors' flow included:
mamba-ssm's scan between gathers and merges. A time is the wall clock's from the call to the end of
the work, the input on the GPU already. Memory is what the device lacks afterwards beyond what it
lacked with the weights on it: no allocator here gives anything back between calls. Writes
``compare.json`` and ``compare.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from environment import environment
from gpu_forward import FRAMES, official_flow
from gpu_ort import device_bytes, drift_mm, keypoints, model_path, on_gpu, say
from motionbert import tuned

from pmexport.runtimes.base import Bound, RuntimeOptions
from pmexport.runtimes.ort_cuda import OrtCuda
from pmexport.runtimes.torch_cuda import TorchBound
from posemamba.errors import InputError
from posemamba.files.output import replacing
from posemamba.model.inference import PoseMambaInference

MIB = 2**20
BATCHES = (1, 8, 32)
SIZES = {"L": BATCHES, "S": BATCHES, "B": (1, 32), "X": (1, 32)}
#: The authors' flow takes seconds a call of the larger ones in batches.
FLOW_SIZES = {"L": BATCHES, "S": BATCHES, "B": (1,), "X": (1,)}
WARM_CALLS, LEAST_CALLS, MOST_CALLS, SECONDS = 3, 7, 100, 0.4
MOTIONBERT = "MotionBERT"
TORCH, ORT, FLOW, COMPILED = (
    "PyTorch", "ONNX Runtime", "authors' flow, mamba-ssm", "compiled, half weights"
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One network at one batch, run one way."""

    network: str
    batch: int
    way: str


@dataclass(frozen=True)
class Ready:
    """What is timed, and the bytes the device lacked with the weights alone."""

    bound: Bound
    held: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare", help="compile what is compiled")
    run = commands.add_parser("run", help="time everything")
    run.add_argument("--models", type=Path, required=True, help="folder of the ONNX files")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--networks", default=f"{','.join(SIZES)},{MOTIONBERT}")
    run.add_argument("--batches", default=",".join(map(str, BATCHES)))
    run.add_argument("--budget", type=float, default=150.0, help="seconds to begin cells in")
    options = parser.parse_args()
    if options.command == "prepare":
        for batch in BATCHES:
            tuned(compiled=True)(torch.zeros(batch, FRAMES, 17, 3, device="cuda"))
        return 0
    batches = [int(batch) for batch in options.batches.split(",")]
    chosen = options.networks.split(",")
    cells = [cell for cell in plan() if cell.network in chosen and cell.batch in batches]
    return run_all(cells, options.models, options.out, options.budget)


def plan() -> list[Cell]:
    """All cells, the most telling first: what both of ours take, MotionBERT, the authors' flow."""
    ours = [
        Cell(variant, batch, way)
        for variant, batches in SIZES.items()
        for batch in batches
        for way in (TORCH, ORT)
    ]
    theirs = [Cell(MOTIONBERT, batch, COMPILED) for batch in BATCHES]
    flow = [Cell(v, batch, FLOW) for v, batches in FLOW_SIZES.items() for batch in batches]
    large = [cell for cell in ours if cell.network == "L"]
    return large + theirs + ours[len(large) :] + flow


def run_all(cells: list[Cell], models: Path, folder: Path, budget: float) -> int:
    deadline = time.monotonic() + budget
    folder.mkdir(parents=True, exist_ok=True)
    torch.cuda.init()  # type: ignore[no-untyped-call]
    # Of the package that is imported, which another one that is installed does not tell.
    facts = environment() | {"onnxruntime": onnxruntime.__version__}
    report: dict[str, Any] = {"environment": facts, "frames": FRAMES, "rows": [], "skipped": []}
    for way in (TORCH, ORT):  # what is loaded once is nobody's memory
        with contextlib.suppress(Exception):  # its own cells will say why
            WAYS[way](Cell("S", 1, way), models).bound.compute()
    for cell in cells:
        named = vars(cell)
        try:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{budget:.0f} seconds were over")
            row = named | timed(cell, models)
        except Exception as error:  # one way that fails must not take the others with it
            why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            report["skipped"].append(named | {"why": why})
            say(f"{cell}: {why}")
        else:
            report["rows"].append(row)
            say(json.dumps(row))
        for name, text in (
            ("compare.json", json.dumps(report, indent=1) + "\n"),
            ("compare.md", markdown(report)),
        ):
            with replacing(folder / name) as partial:
                partial.write_text(text, encoding="utf-8")
    return 0


def timed(cell: Cell, models: Path) -> dict[str, Any]:
    gc.collect()
    torch.cuda.empty_cache()
    ready = WAYS[cell.way](cell, models)
    ready.bound.upload()
    calls = milliseconds(ready.bound.compute)
    torch.cuda.empty_cache()  # what recording needed beside the recording
    row: dict[str, Any] = {
        "ms": round(statistics.median(calls), 4),
        "best_ms": round(min(calls), 4),
        "calls": len(calls),
        "ms_per_clip": round(statistics.median(calls) / cell.batch, 4),
        "beyond_weights_mib": round((device_bytes() - ready.held) / MIB),
    }
    if cell.network != MOTIONBERT:  # whose weights are random: nothing to compare with
        row["drift_mm"] = round(drift_mm(cell.network, ready.bound.download()), 4)
    return row


def milliseconds(call: Callable[[], None]) -> list[float]:
    """Of each call that counts."""
    for _ in range(WARM_CALLS):
        call()
    taken: list[float] = []
    while len(taken) < LEAST_CALLS or (len(taken) < MOST_CALLS and sum(taken) < 1e3 * SECONDS):
        start = time.perf_counter()
        call()
        taken.append(1e3 * (time.perf_counter() - start))
    return taken


# The ways of running.


def replayed(network: Callable[[Any], Any], keypoints_2d: Any) -> Ready:  # noqa: ANN401
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    held = device_bytes()
    return Ready(TorchBound(network, keypoints_2d, cuda_graph=True, settings={}), held)


def in_torch(cell: Cell, _models: Path) -> Ready:
    network = PoseMambaInference(on_gpu(cell.network), torch.float16)
    return replayed(network, keypoints(cell.batch))


def in_flow(cell: Cell, _models: Path) -> Ready:
    if importlib.util.find_spec("selective_scan_cuda") is None:
        raise InputError("mamba-ssm's compiled scan (selective_scan_cuda) is not here")
    flow = official_flow(on_gpu(cell.network))
    return replayed(lambda clips: flow(clips).float(), keypoints(cell.batch))


def in_ort(cell: Cell, models: Path) -> Ready:
    runtime = OrtCuda(RuntimeOptions(cuda_graph=True))
    problem = runtime.available()
    if problem is not None:
        raise InputError(problem)
    path = model_path(models, cell.network, "fp16")
    before = device_bytes()
    bound = runtime.bind(path, keypoints(cell.batch))
    return Ready(bound, before + path.stat().st_size)


def in_motionbert(cell: Cell, _models: Path) -> Ready:
    torch.manual_seed(0)
    clips = keypoints(cell.batch)
    with_confidence = np.concatenate((clips, np.ones_like(clips[..., :1])), -1)
    return replayed(tuned(compiled=True), with_confidence)


WAYS: dict[str, Callable[[Cell, Path], Ready]] = {
    TORCH: in_torch,
    ORT: in_ort,
    FLOW: in_flow,
    COMPILED: in_motionbert,
}


def markdown(report: dict[str, Any]) -> str:
    facts, rows = report["environment"], report["rows"]
    lines = [
        f"# PoseMamba, its authors' flow and MotionBERT on {facts['gpu']}, {facts['date']}",
        "",
        f"{facts['nvidia_smi']}; CUDA {facts['cuda']}, PyTorch {facts['torch']}, ONNX Runtime "
        f"{facts['onnxruntime']}. One run (`benchmarks/gpu_run.sh compare`), clips of "
        f"{report['frames']} frames, float16, every network in a CUDA graph, the input on the GPU "
        "already; median wall time of a call. MiB: what the device lacks beyond the weights. "
        "Weights are random; drift is MPJPE against float32 on the CPU at 1,000 mm a unit.",
        "",
        "| network | clips | way | ms | ms a clip | beside PyTorch | MiB | drift mm |",
        "|---|---|---|---|---|---|---|---|",
    ]
    ours = {(r["network"], r["batch"]): r["ms"] for r in rows if r["way"] == TORCH}
    for row in rows:
        base = ours.get((row["network"], row["batch"]))
        ratio = "" if base is None else f"{100 * (row['ms'] / base - 1):+.1f} %"
        drift = f"{row['drift_mm']:.2f}" if "drift_mm" in row else ""
        lines.append(
            f"| {row['network']} | {row['batch']} | {row['way']} | {row['ms']:.3f} "
            f"| {row['ms_per_clip']:.3f} | {'' if row['way'] == TORCH else ratio} "
            f"| {row['beyond_weights_mib']:,} | {drift} |"
        )
    if report["skipped"]:
        lines += ["", "Not measured:", ""]
        lines += [
            f"- {one['network']} x{one['batch']}, {one['way']}: {one['why']}"
            for one in report["skipped"]
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
