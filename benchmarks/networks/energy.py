"""Energy per frame, percentiles and conditions of S, B, L and X on a GPU, by `bench`'s own means.

    python -m benchmarks.networks.energy --out DIR [--models DIR] [--variants S,B] [--batches 1,32]

Times our fused kernels in a CUDA graph of PyTorch, and ONNX Runtime CUDA where it works and
``--models`` holds ``S.onnx`` and so on. Every cell is measured twice, the second time after all the
first ones, and the two are compared as by ``pmexport bench --compare``. Weights are seeded random:
speed does not depend on them. Writes ``gpu-energy.json`` and ``gpu-energy.md``. ``--device cpu``
tries the script on a machine without a GPU, where there is no power to read.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.environment import environment
from benchmarks.networks.forward import build
from pmexport.bench.find_meter import find_meter
from pmexport.bench.measure import Effort, HostBound
from pmexport.bench.meters import INTERVAL_S, Meter, Watch
from pmexport.bench.report import condition_lines
from pmexport.bench.timed import RuntimeTimes, time_bound
from pmexport.bench.verdict import Comparison, compare_samples
from pmexport.runtimes.base import Bindable, Bound, FloatArray, RuntimeOptions
from pmexport.runtimes.registry import RUNTIMES
from pmexport.runtimes.torch_cpu import torch_lift
from pmexport.runtimes.torch_cuda import TorchBound
from posemamba.config import PoseMambaConfig
from posemamba.model.inference import PoseMambaInference
from posemamba.skeleton import NUM_JOINTS
from posemamba.text import markdown_table

IDLE_S = 2.0
GRAPH, ORT = "PyTorch, CUDA graph", "ONNX Runtime CUDA"
_HEADER = ("", "batch", "p50 ms", "p95", "p99", "frames/s", "W", "mJ per frame", "less idle",
           "clock MHz", "C", "CV %", "again")  # fmt: skip

Cell = tuple[str, str, int]  # way, variant, batch


def cells(options: argparse.Namespace) -> dict[Cell, Callable[[], Bound]]:
    """What to measure, each made ready only when its turn comes."""
    found: dict[Cell, Callable[[], Bound]] = {}
    for variant in options.variants.split(","):
        for batch in map(int, options.batches.split(",")):
            clip = keypoints(variant, batch, options.frames)
            if options.device == "cpu":
                found["PyTorch, CPU", variant, batch] = partial(on_cpu, variant, clip)
                continue
            found[GRAPH, variant, batch] = partial(in_graph, variant, clip)
            model = options.models and options.models / f"{variant}.onnx"
            if model and model.is_file():
                runtime = RUNTIMES["ort-cuda"](RuntimeOptions(precision="fp16"))
                if runtime.available() is None and isinstance(runtime, Bindable):
                    found[ORT, variant, batch] = partial(runtime.bind, model, clip)
    return found


def keypoints(variant: str, batch: int, frames: int | None) -> FloatArray:
    length = frames or PoseMambaConfig.from_variant(variant).frames
    draw = np.random.default_rng(0)
    return draw.uniform(-1, 1, (batch, length, NUM_JOINTS, 2)).astype(np.float32)


def in_graph(variant: str, clip: FloatArray) -> Bound:
    network = PoseMambaInference(build(variant).cuda(), torch.float16)
    return TorchBound(network, clip, True, {"precision": "fp16", "cuda_graph": True})


def on_cpu(variant: str, clip: FloatArray) -> Bound:
    return HostBound(torch_lift(build(variant)), clip)


def idle_watts(meter: Meter) -> float | None:
    """Mean power while nothing runs."""

    with Watch(meter) as watch:
        time.sleep(IDLE_S + INTERVAL_S)
    return watch.conditions().power_w


def row(cell: Cell, times: RuntimeTimes, idle: float | None, again: str) -> list[str]:
    """A line of the table."""
    way, variant, batch = cell
    seen, total = times.conditions, times.total
    energy = times.energy_mj_per_frame
    power, temperature = (None, None) if seen is None else (seen.power_w, seen.temperature_c)
    above = None
    if energy is not None and idle is not None and power:
        above = energy * (1 - idle / power)
    clock = "-" if seen is None or seen.clock_mhz is None else (
        f"{seen.clock_mhz[0]:.0f} to {seen.clock_mhz[1]:.0f}"
    )  # fmt: skip
    return [
        f"{variant}, {way}", str(batch), f"{total.median:.3f}", f"{total.p95:.3f}",
        f"{total.p99:.3f}", f"{times.frames_per_s:,.0f}",
        number(power, 0), number(energy, 3), number(above, 3), clock,
        number(temperature, 0), f"{100 * total.cv:.1f}", again,
    ]  # fmt: skip


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def page(record: dict[str, Any], rows: list[list[str]], notes: list[str]) -> str:
    machine, idle, frames = record["environment"], record["idle_w"], record["frames"]
    return "\n".join([
        f"# Energy per frame on a GPU, {machine['date']}",
        "",
        f"{machine.get('nvidia_smi', 'no GPU')}; CUDA {machine.get('cuda', '-')}, PyTorch "
        f"{machine['torch']}, ONNX Runtime {machine['onnxruntime']}. fp16, {frames or 243} frames "
        f"per clip, whole calls: keypoints from the host, poses back on it. Power of the whole "
        f"board by {record['meter'] or 'no meter'}; idle {number(idle, 0)} W before the first "
        "cell. A frame's energy is the board's over the time measured, divided by runs, clips and "
        "frames; less idle: what the work adds. Again: the same cell measured once more after all "
        "others, held against the first as by `pmexport bench --compare`. From "
        "`python -m benchmarks.networks.energy --out DIR`.",
        "",
        markdown_table(_HEADER, rows),
        "",
        *(f"- {note}" for note in notes),
        "",
    ])  # fmt: skip


def verdicts(
    first: dict[Cell, RuntimeTimes], second: dict[Cell, RuntimeTimes]
) -> dict[Cell, Comparison]:
    """Every cell's second run held against its first."""
    return {
        cell: compare_samples(" ".join(map(str, cell)), times.sample, second[cell].sample)
        for cell, times in first.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    parser.add_argument("--models", type=Path, help="a folder with S.onnx, B.onnx, ... in fp16")
    parser.add_argument("--variants", default="S,B,L,X")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--frames", type=int, help="per clip; else the size's own")
    parser.add_argument("--seconds", type=float, default=3.0, help="per cell and pass")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options = parser.parse_args()
    meter = find_meter() if options.device == "cuda" else None
    idle = None if meter is None else idle_watts(meter)
    effort = Effort(warmup_s=0.5, measure_s=options.seconds, runs=100_000)
    passes: list[dict[Cell, RuntimeTimes]] = []
    for turn in (1, 2):
        done: dict[Cell, RuntimeTimes] = {}
        for cell, bind in cells(options).items():
            _, _, batch = cell
            frames = keypoints(cell[1], 1, options.frames).shape[1]
            done[cell] = times = time_bound(bind, batch, frames, effort, meter)
            line = f"pass {turn}: {cell}: p50 {times.total.median:.3f} ms, p99 "
            line += f"{times.total.p99:.3f}, {number(times.energy_mj_per_frame, 3)} mJ per frame"
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        passes.append(done)
    compared = verdicts(*passes)
    options.out.mkdir(parents=True, exist_ok=True)
    record = {
        "environment": environment(), "frames": options.frames, "idle_w": idle,
        "meter": meter and meter.name,
        "rows": [
            {"way": cell[0], "variant": cell[1], "batch": cell[2],
             "first": plain(passes[0][cell]), "second": plain(passes[1][cell]),
             "comparison": asdict(compared[cell])}
            for cell in passes[0]
        ],
    }  # fmt: skip
    rows = [row(cell, times, idle, compared[cell].verdict) for cell, times in passes[0].items()]
    notes = [
        f"{cell[1]}, batch {cell[2]}, {cell[0]}: {line}"
        for cell, times in passes[0].items()
        for line in condition_lines(times)
        if line.startswith(("host-bound", "WARNING", "not settled", "energy"))
    ]
    same = sum(each.verdict == "no change" for each in compared.values())
    notes.append(f"{same} of {len(compared)} cells: no change between the two passes.")
    (options.out / "gpu-energy.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / "gpu-energy.md").write_text(page(record, rows, notes), encoding="utf-8")
    sys.stdout.write(page(record, rows, notes))
    return 0


def plain(times: RuntimeTimes) -> dict[str, Any]:
    """For the JSON, without single times."""
    found = asdict(times)
    del found["samples_ms"]
    return found


if __name__ == "__main__":
    sys.exit(main())
