"""A live stream through the runtime on an NVIDIA GPU, beside the same network in a PyTorch graph.

    python -m benchmarks.networks.live export --models DIR
    python -m benchmarks.networks.live run --models DIR --out DIR

The first writes S (trained) and L as fp16 and needs no GPU; the second needs onnxruntime-gpu and
the built libraries.

One person's keypoints are pushed frame by frame, and every frame's window of 243 is lifted: push,
step, poll. The network alone is `Lifter.lift` of one clip, host memory to host memory; the rest is
the library's own work. PyTorch's side copies the same clip to the GPU, replays its CUDA graph and
copies the poses back. All through Python, whose calls are in every figure.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import posemamba_runtime
from benchmarks.environment import environment
from benchmarks.networks.forward import FRAMES, build
from pmexport.exporting.export import export_onnx
from pmexport.format.options import ExportOptions
from pmexport.passes.optimize import optimize_model
from posemamba.checkpoint.bundled import demo_checkpoint
from posemamba.checkpoint.read import load_checkpoint
from posemamba.model.inference import PoseMambaInference, capture
from posemamba.model.network import PoseMamba

WIDTH, HEIGHT = 1920, 1080
WARMUP, MEASURED = 300, 3000  # frames
VARIANTS = ("S", "L")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("export", "run"))
    parser.add_argument("--models", type=Path, required=True, help="folder of the ONNX files")
    parser.add_argument("--out", type=Path, help="folder of the report")
    options = parser.parse_args()
    for variant in VARIANTS if options.command == "export" else ():
        export(variant, options.models)
    if options.command == "run":
        if options.out is None:
            parser.error("run needs --out")
        run(options.models, options.out)
    return 0


def network(variant: str) -> PoseMamba:
    """S is the bundled network; L has seeded random weights, on which speed does not depend."""
    return load_checkpoint(demo_checkpoint()) if variant == "S" else build(variant)


def model_path(models: Path, variant: str) -> Path:
    return models / f"{variant}.fp16.onnx"


def export(variant: str, models: Path) -> None:
    models.mkdir(parents=True, exist_ok=True)
    export_onnx(network(variant), model_path(models, variant), ExportOptions(precision="fp16"))


def run(models: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for variant in VARIANTS:
        for row in (through_runtime(variant, models), through_torch(variant)):
            rows.append({"variant": variant, **row})
            sys.stdout.write(json.dumps(rows[-1]) + "\n")
            sys.stdout.flush()
    report = {"environment": environment(), "frames": FRAMES, "measured": MEASURED, "rows": rows}
    (out / "runtime.json").write_text(json.dumps(report, indent=1))


def person(frame: int) -> npt.NDArray[np.float32]:
    """(17, 2) pixels of somebody who sways; every joint is seen."""
    joints = np.arange(17)
    x = WIDTH / 2 + 150 * np.sin(0.05 * frame + joints)
    y = HEIGHT / 2 + 20 * joints + 5 * np.cos(0.11 * frame + joints)
    return np.stack([x, y], axis=-1).astype(np.float32)


def clip() -> npt.NDArray[np.float32]:
    """(1, frames, 17, 2) normalised, as a window of the stream."""
    pixels = np.stack([person(frame) for frame in range(FRAMES)])
    clip: npt.NDArray[np.float32] = (pixels / WIDTH * 2 - [1, HEIGHT / WIDTH]).astype(np.float32)
    return clip[None]


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Milliseconds."""
    p50, p99 = np.percentile(1e3 * np.asarray(seconds), (50, 99))
    return {"p50": round(float(p50), 4), "p99": round(float(p99), 4)}


def timed(call: Callable[[], object]) -> list[float]:
    """Seconds of each call."""
    for _ in range(WARMUP):
        call()
    times = []
    for _ in range(MEASURED):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times


def through_runtime(variant: str, models: Path) -> dict[str, Any]:
    """One live stream: while its window grows, then full."""
    optimized = models / f"{variant}.fp16.cuda.onnx"
    optimized.write_bytes(optimize_model(model_path(models, variant)).serialised())
    lifter = posemamba_runtime.Lifter(optimized, "onnxruntime-cuda", cuda_graph=True)
    stream = lifter.stream("coco17", (WIDTH, HEIGHT), policy="last")
    steps: dict[str, list[float]] = {"push": [], "step": [], "poll": [], "end to end": []}
    growing = []
    for frame in range(FRAMES + WARMUP + MEASURED):
        values = person(frame)
        began = time.perf_counter()
        stream.push(values, frame, frame / 30.0)
        pushed = time.perf_counter()
        lifted = lifter.step()
        stepped = time.perf_counter()
        poses = list(stream)
        polled = time.perf_counter()
        if lifted != 1 or len(poses) != 1 or poses[0].frame != frame:
            raise RuntimeError(f"frame {frame} gave {lifted} windows and {len(poses)} poses")
        if frame < FRAMES:
            growing.append(polled - began)
        if frame < FRAMES + WARMUP:
            continue
        for name, seconds in zip(
            steps, (pushed - began, stepped - pushed, polled - stepped, polled - began), strict=True
        ):
            steps[name].append(seconds)
    keypoints_2d = clip()
    alone = timed(lambda: lifter.lift(keypoints_2d))
    row: dict[str, Any] = {"way": "posemamba_runtime, ONNX Runtime CUDA, graph"}
    row |= {name: percentiles(seconds) for name, seconds in steps.items()}
    row["first frames"] = percentiles(growing)
    row["network"] = percentiles(alone)
    row["info"] = lifter.info
    return row


def through_torch(variant: str) -> dict[str, Any]:
    """The same clip, host memory to host memory, through our inference class in a CUDA graph."""
    staged = torch.from_numpy(clip()).pin_memory()
    poses_3d = torch.empty(1, FRAMES, 17, 3).pin_memory()
    on_gpu = staged.cuda()
    graph = capture(PoseMambaInference(network(variant).cuda(), torch.float16), on_gpu)

    def lift() -> None:
        on_gpu.copy_(staged, non_blocking=True)
        poses_3d.copy_(graph(on_gpu), non_blocking=True)
        torch.cuda.synchronize()

    return {"way": "PyTorch graph", "network": percentiles(timed(lift))}


if __name__ == "__main__":
    sys.exit(main())
