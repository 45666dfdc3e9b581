"""Time a whole network in ONNX Runtime on the CPU: fused, generic and standard ops, and PyTorch.

One run measures all of them on one clip of 243 frames, interleaved, and profiles the fused model by
operator type. Weights are seeded random: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from benchmarks.environment import environment
from pmexport import custom_op_library
from pmexport.exporting.export import export_onnx
from pmexport.format.options import ExportOptions, OpsMode
from posemamba import PoseMamba, PoseMambaConfig
from posemamba.model.blocks import ScanBackend

FRAMES = 243
OPS: tuple[OpsMode, ...] = ("fused", "generic", "standard")
SCANS: tuple[ScanBackend, ...] = ("fused", "reference")


def session(path: Path, threads: int, profile: Path | None = None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.register_custom_ops_library(custom_op_library())
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def profile_by_type(
    path: Path, threads: int, feeds: dict[str, Any], folder: Path
) -> dict[str, float]:
    """Milliseconds of one run by operator type, longest first."""
    runs = 5
    profiled = session(path, threads, folder / "profile")
    profiled.run(None, feeds)  # the first run allocates
    for _ in range(runs):
        profiled.run(None, feeds)
    events = json.loads(Path(profiled.end_profiling()).read_text())
    nodes = [e for e in events if e.get("cat") == "Node" and e["name"].endswith("kernel_time")]
    nodes = nodes[len(nodes) // (runs + 1) :]
    total: Counter[str] = Counter()
    for event in nodes:
        total[event["args"]["op_name"]] += event["dur"]
    return {name: round(us / runs / 1e3, 2) for name, us in total.most_common()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", default="L")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=11, help="of the fused model")
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = PoseMamba(PoseMambaConfig.from_variant(options.variant)).eval()
    clip = np.random.default_rng(0).uniform(-1, 1, (1, FRAMES, 17, 2)).astype(np.float32)
    feeds = {"keypoints_2d": clip}
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {ops: folder / f"{ops}.onnx" for ops in OPS}
        for ops, path in models.items():
            export_onnx(model, path, ExportOptions(ops=ops))
        sessions = {ops: session(path, options.threads) for ops, path in models.items()}
        for run in sessions.values():
            run.run(None, feeds)
        for index in range(options.repeats):
            for ops, run in sessions.items():
                # The slow ones three times: enough for a median, and spread over the run.
                if ops == "fused" or index % (options.repeats // 3) == 0:
                    spent = seconds(partial(run.run, None, feeds))
                    times.setdefault(f"onnxruntime {ops}", []).append(spent)
        del sessions
        profile = profile_by_type(models["fused"], options.threads, feeds, folder)
    tensor = torch.from_numpy(clip)
    with torch.inference_mode():
        for scan in SCANS:
            model.set_scan(scan)
            times[f"pytorch {scan}"] = [seconds(lambda: model(tensor)) for _ in range(3)]
    medians = {name: statistics.median(values) for name, values in times.items()}
    fused = medians["onnxruntime fused"]
    for label, value in medians.items():
        sys.stdout.write(f"{label:24s} {value:8.3f} s  {value / fused:6.1f} x\n")
    whole = sum(profile.values())
    for label, ms in profile.items():
        sys.stdout.write(f"  {label:24s} {ms:8.1f} ms  {100 * ms / whole:5.1f} %\n")
    report = {
        "variant": options.variant,
        "frames": FRAMES,
        "threads": options.threads,
        "median_seconds": medians,
        "all_seconds": times,
        "profile_ms": profile,
        "environment": environment(),
    }
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
