"""Predict the one-pass scans' time on a GPU that is not at hand, from its machine code.

    predict_scan.py --arch sm_87 --sms 16 --mhz 1300        (a Jetson AGX Orin)

Needs nvcc and cuobjdump, no GPU. A scan's loops are found in the code for the target and for
sm_90: how many instructions and how many exponentials a step costs a thread block. A scheduler
issues one instruction a clock and starts an exponential every eighth, so the dearer of both bounds
a step from below. What the H200 took beyond its own bound (`MEASURED`) is taken to hold for the
target, too: the result is a prediction, not a measurement.
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ROOT / "trt_plugins/kernels"
STEPS = 243 * 17
SCHEDULERS = 4
EX2_CLOCKS = 8  # of a scheduler, for a warp's exponentials
PANEL = 8  # channels a converter warp projects at once
UNIT = 32  # steps of it


@dataclass(frozen=True)
class Design:
    """A configuration of docs/design/kernels.md as its machine code shows it."""

    source: str
    kernel: str  # of its demangled name
    channels: int  # of a thread block
    warps: int  # that scan
    exponentials: int  # of a lane and step, softplus in the lane-channel design included
    converters: bool


def split(rank: int, states: int, channels: int, tail: str) -> Design:
    config = f"posemamba::cuda::split_channel::Config<{rank}, {states}, {channels}, {tail}>"
    name = f"split_channel_kernel<{config}"
    return Design("split_channel", name, channels, channels * 16 // states // 32, states, True)


LANE = "lane_channel_kernel<posemamba::cuda::lane_channel::Config<__half, 8>"
DESIGNS = {
    (6, 8): Design("lane_channel", LANE, 128, 4, 17, False),
    (7, 8): split(8, 4, 64, "32, 3, 8"),
    (9, 4): split(4, 2, 16, "64, 4, 4"),
    (10, 8): split(8, 1, 8, "128, 3, 4"),
}
"""By configuration and dt rank."""
MEASURED = {(6, 8): (256, 32, 788.0), (7, 8): (256, 8, 203.6), (9, 4): (128, 8, 111.8),
            (10, 8): (256, 1, 43.4)}  # fmt: skip
"""d_inner, batch and microseconds of the scan alone on an H200, 132 SMs at 1,980 MHz."""
CASES = (((9, 4), 128, 1), ((7, 8), 256, 1), ((6, 8), 256, 4), ((6, 8), 256, 8))
"""What the launcher takes on 16 SMs."""


@cache
def code(source: str, arch: str) -> dict[str, list[tuple[int, str]]]:
    """(address, instruction) of every kernel of a source file, by demangled name."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = str(Path(folder) / "scan.cubin")
        file = KERNELS / "cuda/scan" / source / "kernels.cu"
        command = ["nvcc", "-std=c++17", "-O3", f"-arch={arch}", f"-I{KERNELS}", "-cubin"]
        command += [f"-I{ROOT / 'trt_plugins/include'}", "-o", cubin, str(file)]
        subprocess.run(command, check=True)
        listing = subprocess.run(
            ["cuobjdump", "-sass", cubin], check=True, capture_output=True, text=True
        ).stdout
    names = subprocess.run(["c++filt"], input=listing, capture_output=True, text=True, check=True)
    kernels: dict[str, list[tuple[int, str]]] = {}
    for line in names.stdout.splitlines():
        if "Function : " in line:
            body = kernels.setdefault(line.split("Function : ")[1], [])
        elif found := re.match(r"\s+/\*([0-9a-f]+)\*/\s+(.*?);", line):
            body.append((int(found[1], 16), found[2]))
    return kernels


def loops(body: list[tuple[int, str]]) -> list[tuple[int, int]]:
    """(instructions, exponentials) of every loop that has exponentials."""
    found = []
    for address, text in body:
        branch = re.search(r"\bBRA\b.*?0x([0-9a-f]+)", text)
        if branch and int(branch[1], 16) < address:
            inside = [t for a, t in body if int(branch[1], 16) <= a <= address]
            found.append((len(inside), sum("MUFU.EX2" in t for t in inside)))
    return [loop for loop in found if loop[1]]


def clocks_of_step(design: Design, arch: str) -> float:
    """Of a scheduler, for a step of one thread block: its bound."""
    kernels = code(design.source, arch)
    found = loops(next(body for name, body in kernels.items() if design.kernel in name))
    scans = [loop for loop in found if loop[1] >= 64 and loop[1] % design.exponentials == 0]
    instructions, exponentials = min(scans, key=lambda loop: loop[0] / loop[1])
    steps = exponentials / design.exponentials
    issue = design.warps * instructions / steps
    special = design.warps * design.exponentials
    if design.converters:
        instructions, exponentials = min(loop for loop in found if loop[1] < 64)
        panels = design.channels / PANEL
        issue += panels * instructions / (exponentials / PANEL) / UNIT
        special += panels * PANEL / UNIT
    return max(issue, special * EX2_CLOCKS) / SCHEDULERS


def microseconds(
    design: Design, d_inner: int, batch: int, arch: str, sms: int, mhz: float
) -> float:
    """The bound of a scan of four directions; the busiest multiprocessor counts."""
    blocks = batch * 4 * math.ceil(d_inner / design.channels)
    return math.ceil(blocks / sms) * STEPS * clocks_of_step(design, arch) / mhz


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="sm_87")
    parser.add_argument("--sms", type=int, default=16)
    parser.add_argument("--mhz", type=float, default=1300.0)
    options = parser.parse_args()
    sys.stdout.write(
        "| d_inner, batch | config | bound, us | H200 beyond its bound | predicted, us |\n"
        "|---|---|---|---|---|\n"
    )
    for key, d_inner, batch in CASES:
        design = DESIGNS[key]
        seen_inner, seen_batch, seen = MEASURED[key]
        beyond = seen / microseconds(design, seen_inner, seen_batch, "sm_90", 132, 1980.0)
        bound = microseconds(design, d_inner, batch, options.arch, options.sms, options.mhz)
        cells = f"{key[0]} | {bound:.0f} | {beyond:.2f} | {bound * beyond:.0f}"
        sys.stdout.write(f"| {d_inner}, {batch} | {cells} |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
