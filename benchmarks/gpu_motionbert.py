"""PoseMamba-L beside MotionBERT, what a user would run instead, on one NVIDIA GPU in one run.

    gpu_motionbert.py --models DIR --out DIR     DIR holds L.fp16.onnx (gpu_ort.py export)

MotionBERT (`motionbert.py`) runs as published (attention in three steps, autocast), eager and in a
CUDA graph, and as fast as PyTorch makes it (half-precision weights, PyTorch's own attention
kernels, a CUDA graph, compiled); all in float16.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from environment import environment
from gpu_forward import FRAMES
from gpu_ort import EFFORT, Cell, Job, figures, keypoints, say, timed
from motionbert import MotionBert, as_published, tuned, with_confidence
from torch import Tensor

from pmexport.bench.measure import measure
from pmexport.runtimes.torch_cuda import TorchBound
from posemamba.files.output import replacing

MEGA = 1e6
OURS = ("ort optimised graph", "torch graph")

THEIRS: dict[str, tuple[Callable[[], Callable[[Tensor], Tensor]], bool]] = {
    "as published, eager": (as_published, False),
    "as published, graph": (as_published, True),
    "half weights, fused attention, graph": (tuned, True),
    "the same compiled, graph": (lambda: tuned(compiled=True), True),
}


def motionbert_row(way: str, batch: int) -> dict[str, Any]:
    make, cuda_graph = THEIRS[way]
    torch.cuda.empty_cache()
    torch.manual_seed(0)
    clips = with_confidence(keypoints(batch))
    bound = TorchBound(make(), clips, cuda_graph, {"cuda_graph": cuda_graph})
    measured = measure(bound, EFFORT)
    return {"network": "MotionBERT", "batch": batch, "way": way, **figures(measured)}


def our_row(way: str, batch: int, models: Path) -> dict[str, Any]:
    row = timed(Job(Cell("L", batch, "fp16", way), keypoints(batch), models, tf32=False))
    kept = {name: row[name] for name in ("batch", "way", "runs", "total", "steps", "unstable")}
    return {"network": "PoseMamba-L", **kept}


def markdown(report: dict[str, Any]) -> str:
    environment = report["environment"]
    lines = [
        f"# PoseMamba-L beside MotionBERT on {environment['gpu']}, {environment['date']}",
        "",
        f"{environment['nvidia_smi']}; CUDA {environment['cuda']}, PyTorch {environment['torch']}, "
        f"ONNX Runtime {environment['onnxruntime']}.",
        "",
        f"One run, clips of {report['frames']} frames, float16, whole calls from host to host, "
        f"median of many. MotionBERT ({report['motionbert_parameters'] / MEGA:.1f} M parameters), "
        "written from its paper, has random weights and runs in PyTorch. `unstable`: the times "
        "vary more than 2.5 %.",
        "",
        "| batch | network | way | p50 ms | p99 | compute p50 | ms a clip | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(report["rows"], key=lambda row: row["batch"]):
        total = row["total"]
        lines.append(
            f"| {row['batch']} | {row['network']} | {row['way']} | {total['median']:.3f} "
            f"| {total['p99']:.3f} | {row['steps']['compute']['median']:.3f} "
            f"| {total['median'] / row['batch']:.3f} | {'unstable' if row['unstable'] else ''} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="folder of the ONNX files")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    parameters = sum(p.numel() for p in MotionBert(published=True).parameters())
    report: dict[str, Any] = {
        "environment": environment(),
        "frames": FRAMES,
        "motionbert_parameters": parameters,
        "effort": asdict(EFFORT),
        "rows": [],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for batch in (1, 32, 8):
        for way in (*OURS, *THEIRS):
            row = our_row(way, batch, options.models) if way in OURS else motionbert_row(way, batch)
            report["rows"].append(row)
            say(f"{row['network']} x{batch} {way}: {row['total']['median']:.3f} ms")
            for name, text in (
                ("motionbert.json", json.dumps(report, indent=1) + "\n"),
                ("motionbert.md", markdown(report)),
            ):
                with replacing(options.out / name) as partial:
                    partial.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
