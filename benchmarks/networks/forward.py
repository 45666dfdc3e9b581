"""Time our whole forward on a GPU, with a breakdown by kernel (others': :mod:`benchmarks.compare`).

One run measures every size and batch; medians of CUDA-graph replays, and the drift in millimetres
against the float32 network on real clips. Weights are seeded random: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.environment import environment
from posemamba.config import PoseMambaConfig
from posemamba.model.inference import PoseMambaInference, capture
from posemamba.model.network import PoseMamba
from posemamba.pose.clips import bundled_clips
from posemamba.pose.metrics import mpjpe

FloatArray = npt.NDArray[np.float32]

FRAMES = 243
MM_PER_UNIT = 1000.0
REPEATS = 30
TARGET_SECONDS = 0.25  # of measuring for each row, at most REPEATS replays


def build(variant: str) -> PoseMamba:
    """A seeded network whose every parameter is off its initial value."""
    torch.manual_seed(0)
    model = PoseMamba(PoseMambaConfig.from_variant(variant)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return model


@cache
def expected_poses(variant: str) -> list[Tensor]:
    """Float32 poses of the bundled real clips from the CPU kernels."""
    model = build(variant)
    with torch.no_grad():
        return [model(torch.from_numpy(clip)[None]) for clip in bundled_clips().values()]


def milliseconds(call: Callable[[], object]) -> float:
    """Median time on the GPU of one call."""
    times: list[float] = []
    while (len(times) < REPEATS and sum(times) < 1e3 * TARGET_SECONDS) or len(times) < 5:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def breakdown(call: Callable[[], object]) -> list[dict[str, Any]]:
    """GPU time of one call by kernel, longest first."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        call()
        torch.cuda.synchronize()
    rows = [
        {"kernel": event.key, "calls": event.count, "us": event.self_device_time_total}
        for event in profile.key_averages()
        if event.self_device_time_total > 0
    ]
    return sorted(rows, key=lambda row: -row["us"])


def drift_mm(variant: str, lift: Callable[[Tensor], Tensor]) -> float:
    """Largest MPJPE over the bundled real clips between ``lift`` and the float32 CPU network."""
    pairs = zip(bundled_clips().values(), expected_poses(variant), strict=True)
    return MM_PER_UNIT * max(
        mpjpe(lift(torch.from_numpy(clip)[None].cuda()).cpu().numpy(), expected.numpy())
        for clip, expected in pairs
    )


def worst_clip_mm(expected: FloatArray, poses_3d: FloatArray) -> float:
    """Largest MPJPE of a clip of a batch that was made by repeating ``len(expected)`` clips."""
    return MM_PER_UNIT * max(
        mpjpe(poses[None], expected[i % len(expected)][None]) for i, poses in enumerate(poses_3d)
    )


def measure(variant: str, batch: int, frames: int, *, fused_only: bool) -> list[dict[str, Any]]:
    """Rows for one size, batch and window: fp16, and unless ``fused_only`` the composed paths."""
    model = build(variant).cuda()
    keypoints = torch.rand(batch, frames, 17, 2, device="cuda") * 2 - 1
    runs: dict[str, Callable[[Tensor], Tensor]] = {
        "fused fp16": PoseMambaInference(model, torch.float16)
    }
    if not fused_only:
        runs["composed fp16"] = PoseMambaInference(model, torch.float16, fused=False)
        runs["composed fp32"] = PoseMambaInference(model, torch.float32)
        runs["composed tf32"] = runs["composed fp32"]
    rows = []
    for name, lift in runs.items():
        torch.backends.cuda.matmul.allow_tf32 = name == "composed tf32"
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()  # weights, and the input
        graph = capture(lift, keypoints)
        ms = milliseconds(partial(graph, keypoints))
        row: dict[str, Any] = {
            "variant": variant,
            "batch": batch,
            "frames": frames,
            "run": name,
            "ms": round(ms, 3),
            "ms_per_clip": round(ms / batch, 3),
            "peak_mib": round(torch.cuda.max_memory_allocated() / 2**20),
            "beyond_weights_mib": round((torch.cuda.max_memory_allocated() - held) / 2**20),
        }
        if frames == FRAMES:
            row["drift_mm"] = round(drift_mm(variant, lift), 4)
        if name == "fused fp16" and frames == FRAMES and batch in (1, 32):
            row["breakdown"] = breakdown(partial(graph, keypoints))
        rows.append(row)
        del graph
        torch.cuda.empty_cache()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", default="S,B,L,X")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--frames", default=str(FRAMES), help="lengths of the window")
    parser.add_argument("--fused-only", action="store_true", help="not the composed paths")
    parser.add_argument("--json", type=Path, required=True, help="where to write the rows")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []

    def keep(row: dict[str, Any]) -> None:
        rows.append(row)
        shown = {key: value for key, value in row.items() if key != "breakdown"}
        sys.stdout.write(json.dumps(shown) + "\n")
        sys.stdout.flush()

    batches = [int(batch) for batch in options.batches.split(",")]
    frames = [int(length) for length in options.frames.split(",")]
    for variant, batch, length in product(options.variants.split(","), batches, frames):
        for row in measure(variant, batch, length, fused_only=options.fused_only):
            keep(row)
    options.json.write_text(json.dumps({"environment": environment(), "rows": rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
