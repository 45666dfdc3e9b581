"""Times the CPU kernel of CrossSelectiveScan on the block shapes of PoseMamba-S, -B, -L and -X.

    python -m benchmarks.kernels.cpu --json cpu_kernels.json

One clip of 243 frames, float32, random data. `floor` is what the state updates alone cost: the
number of exponentials times the measured cost of one more state (its exponential and three
multiply-adds, everything else equal), divided by the threads. `of floor` is floor / time.
The library: POSEMAMBA_KERNELS_LIB, else the one in the tree.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import time
from pathlib import Path

import click
import kernel_api
import kernel_cases
import numpy as np

from benchmarks.environment import environment

FRAMES, JOINTS, D_STATE, DIRECTIONS = 243, 17, 16, 4
# d_inner, dt_rank, blocks of the whole model
SHAPES = {"S": (128, 4, 20), "B": (256, 8, 20), "L": (256, 8, 40), "X": (512, 16, 40)}


def time_case(
    lib: ctypes.CDLL, case: kernel_api.CrossScanCase, threads: int, repeats: int
) -> list[float]:
    """Seconds of each of `repeats` launches, after two to warm up."""
    p = kernel_api.cross_scan_params(case)
    y = np.empty_like(case.x)
    p.y = y.ctypes.data
    size = lib.pm_cpu_cross_scan_workspace(ctypes.byref(p), threads)
    raw = np.zeros(size + 64, np.uint8)
    workspace = raw.ctypes.data + -raw.ctypes.data % 64
    parallel = lib.pm_cpu_pool(threads) if threads > 1 else None
    seconds = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        status = lib.pm_cpu_cross_scan(ctypes.byref(p), workspace, parallel)
        seconds.append(time.perf_counter() - start)
        if status != kernel_api.OK:
            raise click.ClickException(lib.pm_status_string(status).decode())
    return seconds[2:]


def seconds_per_state(lib: ctypes.CDLL, repeats: int) -> float:
    """Cost of one state of one channel at one step, on one thread with its data in cache."""
    best = {}
    for d_state in (16, 48):
        case = kernel_cases.cross_scan_case(frames=27, joints=JOINTS, d_inner=16, d_state=d_state)
        best[d_state] = min(time_case(lib, case, 1, 4 * repeats))
    updates = 27 * JOINTS * 16 * DIRECTIONS * (48 - 16)
    return (best[48] - best[16]) / updates


@click.command(help=__doc__)
@click.option("--repeats", default=30, show_default=True, help="Launches to take the median of.")
@click.option("--threads", default=(1, 2), multiple=True, show_default=True)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
def main(repeats: int, threads: tuple[int, ...], json_path: Path | None) -> None:
    lib = kernel_api.load_library()
    rows: list[dict[str, object]] = []
    click.echo("isa       shape  threads  block ms (min)     floor ms  of floor  model s")
    for isa in kernel_api.available_isas(lib):
        lib.pm_cpu_set_isa(isa.encode())
        per_state = seconds_per_state(lib, repeats)
        for shape, (d_inner, dt_rank, blocks) in SHAPES.items():
            case = kernel_cases.cross_scan_case(
                frames=FRAMES, joints=JOINTS, d_inner=d_inner, dt_rank=dt_rank
            )
            exponentials = FRAMES * JOINTS * d_inner * DIRECTIONS * D_STATE
            for count in threads:
                seconds = time_case(lib, case, count, repeats)
                median, least = statistics.median(seconds), min(seconds)
                floor = exponentials * per_state / count
                rows.append(
                    {
                        "isa": isa,
                        "shape": shape,
                        "threads": count,
                        "block_ms_median": 1e3 * median,
                        "block_ms_min": 1e3 * least,
                        "floor_ms": 1e3 * floor,
                        "blocks": blocks,
                        "model_s": blocks * median,
                        "ns_per_state": 1e9 * per_state,
                    }
                )
                click.echo(
                    f"{isa:<9} {shape:<6} {count:>7}  {1e3 * median:>7.2f} ({1e3 * least:6.2f})"
                    f"  {1e3 * floor:>10.2f}  {floor / median:>8.0%}  {blocks * median:>7.3f}"
                )
    lib.pm_cpu_set_isa(None)
    if json_path is not None:
        json_path.write_text(
            json.dumps({"environment": environment(), "repeats": repeats, "rows": rows}, indent=1)
            + "\n"
        )


if __name__ == "__main__":
    main()
