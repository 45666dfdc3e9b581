"""Time the CUDA scan kernels beside mamba-ssm's scan and a PyTorch data flow, in one run.

Every figure is the median, per launch, of replays of a CUDA graph of 40 launches (10 from batch 32
on), merge included; "chunked" is the best configuration of that design in the same run, whether the
launcher chooses it or not. `--profile` only launches each shape once, for a profiler; `--counters`
adds that profiler's CSV to the report. mamba-ssm is timed when its extension `selective_scan_cuda`
can be imported, and its columns stay empty otherwise.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import os
import re
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import oracle
import torch
from pmcuda import CrossInputs, Op, ScanInputs, Tuning, library
from torch import Tensor

from benchmarks.environment import environment

SHAPES = [(batch, d_inner) for batch in (1, 8, 32) for d_inner in (128, 256, 512)]
FRAMES, STATES, LAUNCHES, REPLAYS = 243, 16, 40, 20
CHUNKED = (1, 2, 4)  # configurations of the fused op's chunked design
COUNTERS = {
    "sm__inst_executed_pipe_xu.avg.pct_of_peak_sustained_active": "exp unit %",
    "sm__inst_executed_pipe_fma.avg.pct_of_peak_sustained_active": "FMA %",
    "sm__inst_issued.avg.pct_of_peak_sustained_active": "issue %",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "occupancy %",
    "l1tex__data_pipe_lsu_wavefronts.avg.pct_of_peak_sustained_elapsed": "L1 pipe %",
    "lts__t_bytes.sum": "L2 bytes",
    "dram__bytes.sum": "DRAM bytes",
    "gpu__time_duration.sum": "ns",
}


def microseconds(
    call: Callable[[], object], launches: int = LAUNCHES, replays: int = REPLAYS
) -> float:
    """Median time of one call inside a CUDA graph of `launches`."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        call()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            for _ in range(launches):
                call()
        times: list[float] = []
        for _ in range(replays + 2):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            start.record(stream)
            graph.replay()
            end.record(stream)
            end.synchronize()
            times.append(1e3 * start.elapsed_time(end) / launches)
    return statistics.median(times[2:])


def cross_inputs(batch: int, d_inner: int) -> CrossInputs:
    """Activations are drawn on the GPU: at batch 32 they are many."""
    inputs = oracle.make_cross(frames=1, d_inner=d_inner, rank=d_inner // 32)
    torch.manual_seed(0)
    shape = (batch, FRAMES, inputs.x.shape[2])
    inputs.x = torch.randn(*shape, d_inner, device="cuda", dtype=torch.float16)
    columns = inputs.x_dbl.shape[-1]
    inputs.x_dbl = torch.randn(*shape, columns, device="cuda", dtype=torch.float16)
    return inputs


def scan_inputs(batch: int, d_inner: int) -> ScanInputs:
    """What mamba-ssm computes: four groups, no gate, every group forward."""
    inputs = oracle.make_scan(batch=batch, channels=d_inner, length=FRAMES * 17)
    inputs.z, inputs.reverse = None, (0, 0, 0, 0)
    return inputs


def pytorch_flow(inputs: CrossInputs, mamba: ModuleType) -> Callable[[], Tensor]:
    """The official data flow of the same op: gather four copies, project, scan, put back, add."""
    batch, frames, joints, d_inner = inputs.x.shape
    d, rank = inputs.directions, inputs.dt_weight.shape[2]
    length, k = frames * joints, len(inputs.directions)
    walks = torch.stack(
        [oracle.positions(d.order[i], d.reverse[i], frames, joints) for i in range(k)]
    ).cuda()
    back = walks.argsort(1)
    joint = walks % joints
    limb = walks - joint + torch.tensor(d.limb_index).cuda()[joint]
    masked = torch.tensor(d.limb_mask).cuda().half()[:, None, None]
    weight = inputs.dt_weight.half()
    rows = k * d_inner

    def run() -> Tensor:
        x = inputs.x.view(batch, length, d_inner)
        dbl = inputs.x_dbl.view(batch, length, k, -1)
        u = x[:, walks] + masked * x[:, limb]  # (batch, k, length, d_inner)
        index = torch.arange(k, device="cuda")[:, None]
        raw = dbl[:, walks, index] + masked * dbl[:, limb, index]  # (batch, k, length, R + 2N)
        dt, b, c = torch.split(raw, [rank, STATES, STATES], dim=-1)
        delta = torch.einsum("bklr,kdr->bkdl", dt, weight).reshape(batch, rows, length)
        y = mamba.fwd(
            u.transpose(2, 3).reshape(batch, rows, length),
            delta.contiguous(),
            inputs.A.view(rows, STATES),
            b.transpose(2, 3).contiguous(),
            c.transpose(2, 3).contiguous(),
            inputs.D.view(rows),
            None,
            inputs.dt_bias.view(rows),
            True,
        )[0]
        y = y.view(batch, k, d_inner, length).gather(
            3, back[None, :, None].expand(batch, k, d_inner, length)
        )
        total: Tensor = y.sum(1).transpose(1, 2).contiguous()
        return total

    return run


def errors(inputs: CrossInputs, *found: Tensor) -> list[float]:
    """Relative errors against float64 of the last batch item: PyTorch's with a float32 interior,
    then those of `found`."""
    last = replace(inputs, x=inputs.x[-1:], x_dbl=inputs.x_dbl[-1:])
    expected = oracle.cross_scan(last, torch.float64)
    baseline = oracle.cross_scan(last, torch.float32).to(inputs.x.dtype)
    return [oracle.error(y[-1:], expected) for y in (baseline, *found)]


def floor(batch: int, d_inner: int, clock_hz: float) -> float:
    """Microseconds the exponentials alone take: 16 per clock and SM, two more for softplus."""
    sms = torch.cuda.get_device_properties(0).multi_processor_count
    count = batch * FRAMES * 17 * 4 * d_inner * (STATES + 2)
    return 1e6 * count / (16 * sms * clock_hz)


def measure(mamba: ModuleType | None, clock_hz: float) -> list[dict[str, object]]:
    lib = library()
    rows: list[dict[str, object]] = []
    for batch, d_inner in SHAPES:
        cross = cross_inputs(batch, d_inner)
        launches = 10 if batch >= 32 else LAUNCHES
        fused = Op(lib, cross, torch.empty_like(cross.x))
        chunked = [Op(lib, cross, torch.empty_like(cross.x), Tuning(0, 0, c)) for c in CHUNKED]
        baseline, found, found_chunked = errors(cross, fused(), chunked[0]())
        row: dict[str, object] = {
            "batch": batch,
            "d_inner": d_inner,
            "fused_us": microseconds(fused, launches),
            "chunked_us": min(microseconds(op, launches) for op in chunked),
            "floor_us": floor(batch, d_inner, clock_hz),
            "scan_us": None,
            "mamba_scan_us": None,
            "pytorch_flow_us": None,
            "error": found,
            "chunked_error": found_chunked,
            "pytorch_error": baseline,
            "workspace_bytes": fused.workspace_bytes,
        }
        if batch < 32:
            scan = scan_inputs(batch, d_inner)
            row["scan_us"] = microseconds(Op(lib, scan, torch.empty_like(scan.u)))
        if batch < 32 and mamba is not None:
            args = (scan.u, scan.delta, scan.A, scan.B, scan.C, scan.D, None, scan.delta_bias, True)
            row["mamba_scan_us"] = microseconds(partial(mamba.fwd, *args))
            row["pytorch_flow_us"] = microseconds(pytorch_flow(cross, mamba))
        rows.append(row)
    return rows


def profile() -> None:
    lib = library()
    for batch, d_inner in SHAPES:
        inputs = cross_inputs(batch, d_inner)
        Op(lib, inputs, torch.empty_like(inputs.x))()
        torch.cuda.synchronize()


def short_name(kernel: str) -> str:
    """`cross_scan<16, 2, 64, 4, 2; rank 8>`: the configuration as kernels.md writes it."""
    found = re.search(r"(?:lane|split)_channel::(\w+)_kernel<(?:[\w:]*Config<)?([^<>]*)>", kernel)
    if found is not None:
        return f"{found[1]}<{found[2]}>"
    found = re.search(r"cross_scan_kernel<.*Config<(.*?)>, *\w+, *(\d+)>", kernel)
    if found is None:
        return "merge"
    return f"cross_scan<{found[1]}; rank {found[2]}>"


def read_counters(path: Path) -> list[dict[str, object]]:
    """One entry per kernel from ncu's `--page raw --csv` (its second row holds the units)."""
    with path.open(newline="") as file:
        rows = [r for r in csv.reader(file) if len(r) > 10]
    names, units, kernels = rows[0], rows[1], rows[2:]
    scale = {"Kbyte": 1e3, "Mbyte": 1e6, "Gbyte": 1e9, "us": 1e3, "ms": 1e6}
    out: list[dict[str, object]] = []
    for kernel in kernels:
        entry: dict[str, object] = {"kernel": short_name(kernel[names.index("Kernel Name")])}
        for metric, label in COUNTERS.items():
            if metric in names:
                at = names.index(metric)
                value = float(kernel[at].replace(",", ""))
                entry[label] = value * scale.get(units[at], 1.0)
        out.append(entry)
    return out


def markdown(report: dict[str, object]) -> str:
    def us(value: object) -> str:
        return "-" if value is None else f"{value:.1f}"

    facts = report["environment"]
    assert isinstance(facts, dict)
    lines = [
        f"# CUDA scan kernels, {facts['date']}",
        "",
        f"{facts['nvidia_smi']}; CUDA {facts['cuda']}, PyTorch {facts['torch']}, fp16 I/O,"
        f" {FRAMES} frames (L={FRAMES * 17}), K=4, N={STATES}. Median microseconds per launch in a"
        " CUDA graph, merge included; chunked: the best of that design in the same run;"
        " errors: of the last batch item; floor: exponentials"
        " (softplus included) at"
        f" {report['clock_ghz']:.2f} GHz.",
        "",
        "| batch | d_inner | fused op | chunked | floor | SelectiveScan | mamba-ssm scan"
        " | PyTorch flow | error | chunked's | PyTorch's |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    rows = report["rows"]
    assert isinstance(rows, list)
    for r in rows:
        times = ("chunked_us", "floor_us", "scan_us", "mamba_scan_us", "pytorch_flow_us")
        lines.append(
            f"| {r['batch']} | {r['d_inner']} | **{us(r['fused_us'])}** | "
            + " | ".join(us(r[key]) for key in times)
            + " | "
            + " | ".join(f"{r[k]:.2e}" for k in ("error", "chunked_error", "pytorch_error"))
            + " |"
        )
    counters = report.get("counters")
    if isinstance(counters, list) and counters:
        labels = [label for label in COUNTERS.values() if label in counters[0]]
        lines += ["", "Profiler counters, one launch each, caches not flushed:", ""]
        lines += ["| kernel | " + " | ".join(labels) + " |", "|---" * (len(labels) + 1) + "|"]
        lines += [
            f"| {c['kernel']} | " + " | ".join(f"{c[label]:.4g}" for label in labels) + " |"
            for c in counters
        ]
    return "\n".join(lines) + "\n"


def load_mamba() -> ModuleType | None:
    # Forward-only builds leave backward symbols undefined, which only lazy binding tolerates.
    sys.setdlopenflags(os.RTLD_LAZY)
    try:
        return importlib.import_module("selective_scan_cuda")
    except ImportError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("reports"), help="folder of the report")
    parser.add_argument("--clock-ghz", type=float, default=1.98, help="clock of the floor")
    parser.add_argument("--profile", action="store_true", help="launch each shape once and exit")
    parser.add_argument("--counters", type=Path, help="ncu --page raw --csv of a --profile run")
    args = parser.parse_args()
    if args.profile:
        profile()
        return
    facts = environment()
    report: dict[str, object] = {
        "environment": facts,
        "clock_ghz": args.clock_ghz,
        "rows": measure(load_mamba(), args.clock_ghz * 1e9),
        "counters": read_counters(args.counters) if args.counters else [],
    }
    args.out.mkdir(parents=True, exist_ok=True)
    stem = args.out / f"{facts['date']}-cuda-scan"
    stem.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    stem.with_suffix(".md").write_text(markdown(report))
    sys.stdout.write(markdown(report))


if __name__ == "__main__":
    main()
