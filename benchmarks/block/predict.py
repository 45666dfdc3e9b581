"""Predict what a block of the fused path takes on a Jetson AGX Orin, and whole networks from it.

    python -m benchmarks.block.predict            (reports/2026-11-30-orin-predicted.md)
    python -m benchmarks.block.predict --check    (the same, to standard output)

**Predicted, never measured**: no Orin was at hand. What enters, and how:

* a scan: its bound from the machine code for sm_87 (``issue_slots.py``), times what the H200 takes
  beyond its own bound with the same design;
* what is around it: the H200's time at as many positions a multiprocessor. What memory accounts for
  there moves with the bandwidth, the rest with the clock and the instructions of the two codes. In
  its range memory hides behind the rest at best, and at worst all moves with the slower of both;
* the exact sizes, memory's share and devices of ``pmexport bench --predict``, whose fit is beside.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.block.issue_slots import DESIGNS
from pmexport.bench.calibration import FORWARDS
from pmexport.bench.predict import (
    CALIBRATED,
    DEVICES,
    DIRECTIONS,
    FRAMES,
    STATES,
    Device,
    Shape,
    around_bytes,
    forward_ms,
    memory_us,
)
from posemamba.config import VARIANTS
from posemamba.skeleton import NUM_JOINTS

REPORTS = Path(__file__).resolve().parents[2] / "reports"
REPORT = REPORTS / "2026-11-30-orin-predicted.md"
ORIN = DEVICES["orin-agx"]
BATCHES, LENGTHS, WIDTHS = (1, 4, 8), (27, FRAMES), (128, 256, 512)

#: Scan alone on the H200 by (configuration, dt rank): d_inner, batch, microseconds. Of the chunked
#: design (1) what the fused op took less its merge (docs/design/kernels.md).
MEASURED = {
    (6, 8): (256, 32, 749.8), (7, 8): (256, 8, 202.9), (9, 4): (128, 8, 107.1),
    (10, 8): (256, 1, 35.1), (12, 4): (128, 32, 399.7), (12, 8): (256, 16, 408.3),
    (12, 16): (512, 8, 453.9), (1, 4): (128, 32, 521.0 - 73), (1, 16): (512, 8, 557.3 - 75),
}  # fmt: skip
#: What prepares a split-channel scan's inputs there: the fused op less its scan and its merge.
PREPARED = {128: (8, 152.4 - 111.8 - 17), 256: (8, 270.7 - 203.6 - 37)}
#: Configurations whose scan reads prepared inputs.
SPLIT = (7, 8, 9, 10)
#: Convolutions that prepare them; a row of the bench has their times by these names.
JOINED = ("few_frames", "all_frames")


@dataclass(frozen=True)
class Time:
    """Microseconds, and their range."""

    us: float
    least: float
    most: float

    def __add__(self, other: Time) -> Time:
        return Time(self.us + other.us, self.least + other.least, self.most + other.most)

    def times(self, factor: float) -> Time:
        return Time(self.us * factor, self.least * factor, self.most * factor)

    def __str__(self) -> str:
        digits = 0 if self.us >= 100 else 1
        return f"{self.us:,.{digits}f} ({self.least:,.{digits}f} to {self.most:,.{digits}f})"


NOTHING = Time(0.0, 0.0, 0.0)


@cache
def counted() -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = json.loads(
        (REPORTS / "2026-11-30-issue-slots.json").read_text(encoding="utf-8")
    )
    return found


@cache
def block_rows() -> list[dict[str, Any]]:
    """Times of the kernels around the scan whose products are those that Orin has, too."""
    rows: list[dict[str, Any]] = json.loads(
        (REPORTS / "2026-11-29-block.json").read_text(encoding="utf-8")
    )["rows"]
    return rows


def lines_of(name: str) -> list[dict[str, Any]]:
    """A report of a JSON object a line."""
    return [json.loads(line) for line in (REPORTS / name).read_text(encoding="utf-8").splitlines()]


@cache
def later_rows() -> list[dict[str, Any]]:
    """What was not there then: 512 channels, convolutions that write what the scan reads."""
    return lines_of("2026-11-30-block.jsonl")


@cache
def plans() -> dict[tuple[int, int, int], dict[str, Any]]:
    """Which designs the launchers take on Orin, by d_inner, frames and batch."""
    rows = lines_of("2026-11-30-orin-plan.jsonl")
    return {(row["d_inner"], row["frames"], row["batch"]): row for row in rows}


def plan_of(shape: Shape) -> dict[str, Any]:
    return plans()[shape.d_inner, shape.frames, shape.batch]


def steps(shape: Shape) -> int:
    return shape.frames * NUM_JOINTS


def bound_us(key: tuple[int, int], shape: Shape, arch: str, device: Device) -> float:
    """A scan's bound; the busiest multiprocessor counts."""
    blocks = shape.batch * DIRECTIONS * math.ceil(shape.d_inner / DESIGNS[key].channels)
    clocks = counted()["clocks"][f"{key[0]}, {key[1]}"][arch]
    rounds = math.ceil(blocks / device.multiprocessors)
    return rounds * steps(shape) * clocks / (1e3 * device.clock_ghz)


def beyond(key: tuple[int, int]) -> float:
    """What the H200 takes over its bound with a design; one rank of config 6 stands for all."""
    key = (6, 8) if key[0] == 6 else key
    d_inner, batch, us = MEASURED[key]
    return us / bound_us(key, Shape(batch, FRAMES, d_inner), "sm_90", CALIBRATED)


def spread() -> float:
    """The calibration's error: a design's time from the mean ratio of the others, at worst."""
    ratios = {key: beyond(key) for key in MEASURED if key[0] != 10}
    errors = []
    for key, ratio in ratios.items():
        others = [each for other, each in ratios.items() if other != key]
        errors.append(abs(sum(others) / len(others) / ratio - 1))
    return max(errors)


def scan(shape: Shape, config: int, device: Device, arch: str) -> Time:
    key = (config, shape.rank)
    issue = bound_us(key, shape, arch, device) * beyond(key)
    us = max(issue, memory_us(10.0 * shape.d_inner, shape, device))  # u once, four outputs
    return Time(us, us / (1 + spread()), us * (1 + spread()))


def columns(shape: Shape) -> int:
    return DIRECTIONS * (shape.rank + 2 * STATES)


def prepared_bytes(shape: Shape) -> float:
    """Two panels of u, and B, C and dt inputs of every direction as fp32."""
    return 4.0 * (shape.d_inner + columns(shape))


def convolve_bytes(shape: Shape) -> float:
    """x in, u and what is prepared out."""
    return 4.0 * shape.d_inner + prepared_bytes(shape)


def moved(at_equal_load: float, bytes_: float, shape: Shape, device: Device, code: str) -> Time:
    """A kernel around the scan.

    Args:
        at_equal_load: its microseconds on the H200 at as many positions a multiprocessor.
        bytes_: of a position.
        code: its name in the counts.
    """
    there = memory_us(bytes_, equal(shape, device), CALIBRATED)
    here = memory_us(bytes_, shape, device)
    counts = counted()["instructions"][code]
    slower = CALIBRATED.clock_ghz / device.clock_ghz * counts["sm_87"] / counts["sm_90"]
    rest = max(at_equal_load - there, 0.0)
    least = max(here, at_equal_load * slower)
    most = at_equal_load * max(slower, here / there)
    return Time(min(max(here + rest * slower, least), most), least, most)


def equal(shape: Shape, device: Device) -> Shape:
    """As many positions a multiprocessor on the H200, as clips of the longest."""
    clips = (
        shape.batch * shape.frames / FRAMES * CALIBRATED.multiprocessors / device.multiprocessors
    )
    return replace(shape, batch=clips, frames=FRAMES)  # type: ignore[arg-type]  # a fraction


def interpolated(rows: Mapping[float, float], clips: float) -> float:
    """Between measured sizes a line; beyond the last in proportion, before the first its own."""
    known = sorted(rows.items())
    if clips <= known[0][0]:
        return known[0][1]
    for (low, before), (high, after) in pairwise(known):
        if clips <= high:
            return before + (after - before) * (clips - low) / (high - low)
    return known[-1][1] * clips / known[-1][0]


def around(shape: Shape, device: Device) -> dict[str, Time]:
    """What is around the scan, by kernel, in the designs of the plan."""
    clips = equal(shape, device).batch
    found = {}
    for kernel in ("conv_proj", "tail"):
        design = plan_of(shape)[kernel]
        bytes_ = convolve_bytes(shape) if design in JOINED else around_bytes(kernel, shape)
        us = interpolated(measured(kernel, design, shape.d_inner), clips)
        code = f"{kernel} {shape.d_inner // 2} {design}"
        found[kernel] = moved(us, bytes_, shape, device, code)
    return found


def measured(kernel: str, design: str, d_inner: int) -> dict[float, float]:
    """Microseconds on the H200 by positions, as clips of the longest."""
    later = design in JOINED or d_inner == 512
    name = "scan inputs" if design in JOINED else kernel
    return {
        row["batch"] * row["frames"] / FRAMES: row[design]
        for row in (later_rows() if later else block_rows())
        if (row.get("kernel"), row.get("d_inner")) == (name, d_inner)
        and row[design] > 0  # 0: the design is not for these sizes
    }


def block(shape: Shape, device: Device = ORIN, arch: str = "sm_87") -> dict[str, Time]:
    """Every part of a block, and their sum."""
    plan = plan_of(shape)
    parts = {"scan": scan(shape, plan["scan"], device, arch), **around(shape, device)}
    assert plan["scan"] not in SPLIT or plan["conv_proj"] in JOINED, "something else prepares"
    return {**parts, "block": sum(parts.values(), NOTHING)}


def parts_on_the_h200() -> dict[str, float]:
    """Sums of measured parts over measured forwards on the H200 itself: what the parts leave out,
    by network and batch."""
    scans = {128: {8: 111.8}, 256: {8: 203.6, 32: 788.0}}
    found = {}
    for variant, d_inner, batch in (("S", 128, 8), ("B", 256, 8), ("L", 256, 8), ("B", 256, 32),
                                    ("L", 256, 32)):  # fmt: skip
        depth, _ = VARIANTS[variant]
        us = scans[d_inner][batch] + (PREPARED[d_inner][1] if batch == 8 else 0.0)
        us += sum(
            row[row["chosen"]]
            for row in block_rows()
            if (row["d_inner"], row["batch"], row["frames"]) == (d_inner, batch, FRAMES)
        )
        measured = FORWARDS["fused"][variant][batch]
        found[f"{variant} x{batch}"] = 2 * depth * us / 1e3 / measured - 1
    return found


def block_table() -> list[str]:
    lines = [
        "| d_inner | frames | batch | scan (config) | conv_proj | tail | block, us |",
        "|---|---|---|---|---|---|---|",
    ]
    for d_inner in WIDTHS:
        for frames in LENGTHS:
            for batch in BATCHES:
                shape = Shape(batch, frames, d_inner)
                parts, plan = block(shape), plan_of(shape)
                cells = [f"{parts['scan'].us:,.0f} ({plan['scan']})"]
                for name in ("conv_proj", "tail"):
                    cells.append(f"{parts[name].us:,.0f} ({plan[name].replace('_', ' ')})")
                lines.append(f"| {d_inner} | {frames} | {batch} | {' | '.join(cells)} | "
                             f"**{parts['block']}** |")  # fmt: skip
    return lines


def network_table() -> list[str]:
    lines = [
        "| network | frames | batch | predicted here, ms | a clip | bench --predict, ms | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for variant, (depth, d_model) in VARIANTS.items():
        for frames in LENGTHS:
            for batch in BATCHES:
                shape = Shape(batch, frames, 2 * d_model)
                ms = block(shape)["block"].times(2 * depth / 1e3)
                fit = forward_ms("fused", shape, 2 * depth, ORIN, None)
                cells = f"**{ms}** | {ms.us / batch:.2f} | {fit:.1f} | {fit / ms.us:.2f}"
                lines.append(f"| {variant} | {frames} | {batch} | {cells} |")
    return lines


def report() -> str:
    ratios = "; ".join(f"{config}, {rank}: {beyond((config, rank)):.2f}"
                       for config, rank in MEASURED)  # fmt: skip
    sums = ", ".join(f"{name} {100 * error:+.1f} %" for name, error in parts_on_the_h200().items())
    codes = [counts["sm_87"] / counts["sm_90"] for counts in counted()["instructions"].values()]
    return TEMPLATE.format(
        fewest=min(codes), most=max(codes),
        blocks="\n".join(block_table()), networks="\n".join(network_table()), ratios=ratios,
        spread=100 * spread(), sums=sums, sms=ORIN.multiprocessors, ghz=ORIN.clock_ghz,
        bandwidth=ORIN.bandwidth,
    )  # fmt: skip


TEMPLATE = """\
# A block on a Jetson AGX Orin, predicted, 2026-11-30

**Predicted, not measured.** No Orin was at hand. Every figure below is computed by
`benchmarks/block/predict.py`, for {sms} multiprocessors (sm_87) at {ghz} GHz and {bandwidth} GB/s,
fp16. In brackets is the range that the method allows.

## A block

Microseconds, and in brackets what today's launchers take on 16 multiprocessors
(`posemamba_block_bench plan`, `reports/2026-11-30-orin-plan.jsonl`; the scan's configuration:
docs/design/kernels.md). The merge is in the tail. A convolution of few or all frames at once
prepares the scan's inputs itself.

{blocks}

## Whole networks

Blocks one after the other, in a CUDA graph; embedding, head and launches are left out. Beside it
`pmexport bench --predict orin-agx`, fused: a smooth fit over all sizes, without designs or machine
code.

{networks}

## How it is made, and how far it may be off

- **Scan**: issue slots or exponentials of the loops in the code for sm_87, whichever is dearer
  (`reports/2026-11-30-issue-slots.json`, by `benchmarks/block/issue_slots.py`), times what the
  H200 takes beyond its own bound with that design (configuration and dt rank: ratio):
  {ratios}.
  A design predicted from the mean of the others would be off by {spread:.0f} % at worst (config 10,
  which Orin does not take, left out): that is the range. Memory (every input and output once) is
  below it in every row.
- **Around it**: the H200's time at as many positions a multiprocessor, of the design that Orin
  takes (`reports/2026-11-29-block.json`, products by mma.sync; d_inner 512 and the convolutions
  that prepare from `reports/2026-11-30-block.jsonl`, of which "all frames" has Hopper's own
  products there). What memory accounts for moves with the bandwidth, the rest with the clock and
  the number of instructions (sm_87 has {fewest:.2f} to {most:.2f} times sm_90's). At best memory
  hides behind the rest; at worst all of it moves with the slower of both.
- **The method on the H200 itself**: measured parts add up to measured forwards within
  {sums}.
- **Not known**: Orin's L2 (4 MB, where the H200 has 50), its tensor cores' pace with fp32 sums, how
  its memory is shared with the CPU, its clock under heat. No other number of multiprocessors was
  ever measured.
- **Where the two predictions differ**: `bench --predict` takes the scan's time with its merge,
  which a fused block does not have, and one factor over memory for all sizes, found where the H200
  waits for its L2. At few positions it adds a constant for every kernel, which is not here. Both
  take the device, the bytes of a position and memory's share from `pmexport/bench/predict.py`, the
  networks from `posemamba/config.py`, the forwards from `pmexport/bench/calibration.py`.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write to standard output alone")
    text = report()
    if parser.parse_args().check:
        sys.stdout.write(text)
    else:
        REPORT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
