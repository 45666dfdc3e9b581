"""PoseMamba-L beside MotionBERT, what a user would run instead, on one NVIDIA GPU in one run.

    gpu_motionbert.py [--models DIR] --out DIR     DIR holds L.fp16.onnx (gpu_ort.py export)

Without --models PoseMamba-L runs in PyTorch alone.

MotionBERT's network (Zhu et al., ICCV 2023, section 3.2; 512 channels, 5 layers, 8 heads) is
written here from the paper, with random weights: only its speed is looked at. It runs as published
(attention in three steps, autocast), eager and in a CUDA graph, and as fast as PyTorch makes it
(half-precision weights, PyTorch's own attention kernels, a CUDA graph, compiled); all in float16.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from environment import environment
from gpu_forward import FRAMES
from gpu_ort import EFFORT, Cell, Job, figures, keypoints, say, timed
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from pmexport.bench.measure import measure
from pmexport.runtimes.torch_cuda import TorchBound
from posemamba.files.output import replacing

CHANNELS, LAYERS, HEADS, MLP_RATIO, JOINTS = 512, 5, 8, 2, 17
MEGA = 1e6
OURS = ("torch graph",)
OURS_FROM_FILES = ("ort optimised graph",)

Axis = Literal["joints", "frames"]


class Attention(nn.Module):
    """Self-attention among the joints of a frame or the frames of a joint."""

    def __init__(self, axis: Axis, published: bool) -> None:
        super().__init__()
        self.axis, self.published = axis, published
        self.qkv = nn.Linear(CHANNELS, 3 * CHANNELS)
        self.out = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:  # (batch, frames, joints, channels), as the result
        parts = self.qkv(x).unflatten(-1, (3, HEADS, -1))  # (batch, frames, joints, 3, heads, c)
        order = (3, 0, 1, 4, 2, 5) if self.axis == "joints" else (3, 0, 2, 4, 1, 5)
        q, k, v = parts.permute(order).flatten(1, 2)  # each (batch * other axis, heads, axis, c)
        if self.published:
            weights = ((q @ k.mT) * q.shape[-1] ** -0.5).softmax(-1)
            mixed = weights @ v
        else:
            mixed = scaled_dot_product_attention(q, k, v)
        mixed = mixed.transpose(1, 2).flatten(2).unflatten(0, (x.shape[0], -1))
        return self.out(mixed if self.axis == "joints" else mixed.transpose(1, 2))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(CHANNELS, MLP_RATIO * CHANNELS)
        self.narrow = nn.Linear(MLP_RATIO * CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return self.narrow(gelu(self.wide(x)))  # type: ignore[no-any-return]


class Stream(nn.Module):
    """Attention and MLP along one axis, then along the other, each behind a norm, all residual."""

    def __init__(self, axes: tuple[Axis, Axis], published: bool) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(CHANNELS), step)
            for axis in axes
            for step in (Attention(axis, published), Mlp())
        )

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = x + step(x)
        return x


class MotionBert(nn.Module):
    """Layers of two streams (space first, time first), mixed by weights learnt for each joint.

    Args:
        published: attention in three steps, as in the authors' code, else in one kernel.
    """

    def __init__(self, published: bool) -> None:
        super().__init__()
        self.embed = nn.Linear(3, CHANNELS)
        self.joint_embedding = nn.Parameter(0.02 * torch.randn(JOINTS, CHANNELS))
        self.frame_embedding = nn.Parameter(0.02 * torch.randn(FRAMES, 1, CHANNELS))
        self.space_first = nn.ModuleList(
            Stream(("joints", "frames"), published) for _ in range(LAYERS)
        )
        self.time_first = nn.ModuleList(
            Stream(("frames", "joints"), published) for _ in range(LAYERS)
        )
        self.mix = nn.ModuleList(nn.Linear(2 * CHANNELS, 2) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(CHANNELS)
        self.representation = nn.Linear(CHANNELS, CHANNELS)
        self.head = nn.Linear(CHANNELS, 3)

    def forward(self, keypoints: Tensor) -> Tensor:  # (batch, frames, joints, 3), as the result
        x = self.embed(keypoints) + self.joint_embedding + self.frame_embedding
        for space_first, time_first, mix in zip(
            self.space_first, self.time_first, self.mix, strict=True
        ):
            a, b = space_first(x), time_first(x)
            share = mix(torch.cat((a, b), -1)).softmax(-1)  # (batch, frames, joints, 2)
            x = a * share[..., :1] + b * share[..., 1:]
        return self.head(torch.tanh(self.representation(self.norm(x))))  # type: ignore[no-any-return]


def as_published() -> Callable[[Tensor], Tensor]:
    model = MotionBert(published=True).cuda().eval()

    @torch.no_grad()
    def network(keypoints: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.float16):
            poses: Tensor = model(keypoints)
        return poses.float()

    return network


def tuned(*, compiled: bool = False) -> Callable[[Tensor], Tensor]:
    model = MotionBert(published=False).cuda().half().eval()
    if compiled:
        torch.compiler.reset()  # or another batch would be compiled for any batch, and slower
        model.compile()

    @torch.no_grad()
    def network(keypoints: Tensor) -> Tensor:
        poses: Tensor = model(keypoints.half())
        return poses.float()

    return network


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
    clips = keypoints(batch)
    with_confidence = np.concatenate((clips, np.ones_like(clips[..., :1])), -1)
    bound = TorchBound(make(), with_confidence, cuda_graph, {"cuda_graph": cuda_graph})
    measured = measure(bound, EFFORT)
    return {"network": "MotionBERT", "batch": batch, "way": way, **figures(measured)}


def our_row(way: str, batch: int, models: Path | None) -> dict[str, Any]:
    folder = models or Path()  # which the ways of OURS do not look at
    row = timed(Job(Cell("L", batch, "fp16", way), keypoints(batch), folder, tf32=False))
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
    parser.add_argument("--models", type=Path, help="folder of the ONNX files")
    parser.add_argument("--batches", default="1,32,8")
    parser.add_argument("--graphs-only", action="store_true", help="theirs at its best alone")
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
    ours = OURS + (OURS_FROM_FILES if options.models else ())
    theirs = list(THEIRS)[-2:] if options.graphs_only else list(THEIRS)
    for batch in map(int, options.batches.split(",")):
        for way in (*ours, *theirs):
            row = our_row(way, batch, options.models) if way in ours else motionbert_row(way, batch)
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
