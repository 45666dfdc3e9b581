"""Count what our kernels issue, from the machine code in a built library.

    python -m benchmarks.block.issue_slots posemamba/lib/libposemamba_cuda.so --json SLOTS.json

Needs cuobjdump, no GPU, and a library with code for both architectures (``pip install`` builds
8.0, 8.7 and 9.0). A scan's loops are found in the code: how many instructions and how many
exponentials a step costs a thread block. A scheduler issues one instruction a clock and starts an
exponential every eighth, so the dearer of both bounds a step from below. Of the kernels around the
scan the instructions of the whole code are counted, to compare two architectures.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ARCHITECTURES = ("sm_90", "sm_87")
"""What was measured, and what is predicted."""
SCHEDULERS = 4
EX2_CLOCKS = 8  # of a scheduler, for a warp's exponentials
LANES = 32
LEAST_SCAN = 64
"""Exponentials from which on a loop is a scan's; those of converters and producers have fewer."""

Code = list[tuple[int, str]]


@dataclass(frozen=True)
class Design:
    """A configuration of docs/design/kernels.md as its machine code shows it.

    Attributes:
        kernel: of its demangled name.
        channels: of a thread block.
        warps: that scan.
        exponentials: of a lane and step; in the lane-channel design softplus is among them.
        converters: other warps project dt.
        costly: of its innermost scan loops the one that counts: the chunked design has a cheaper
            one that finds states and makes no outputs, the others have one for masked directions.
        steps: over which exponentials are counted: lanes that share a channel share its softplus.
    """

    kernel: str
    channels: int
    warps: int
    exponentials: int
    converters: bool = True
    costly: bool = False
    steps: int = 1


def _lane(rank: int, lanes: int) -> Design:
    channels = 128 // lanes
    longer = "true" if lanes == 2 and rank != 8 else "false"
    config = f"posemamba::cuda::lane_channel::Config<__half, {rank}, {channels}, 128, {longer}>"
    kernel = f"lane_channel_kernel<{config}, true>"
    return Design(kernel, channels, 4, 17, converters=False, steps=lanes)


def _split(rank: int, states: int, channels: int, tail: str) -> Design:
    """Of warps that take turns (the first two numbers of `tail`) one at a time scans a step."""
    config = f"posemamba::cuda::split_channel::Config<{rank}, {states}, {channels}, {tail}, false>"
    return Design(f"split_channel_kernel<{config}", channels, channels // states // 2, states)


def _chunked(rank: int) -> Design:
    name = f"cross_scan_kernel<posemamba::cuda::Config<16, 2, 64, 4, 2>, __half, {rank}, "
    name += "posemamba::cuda::GridWalk>"
    return Design(name, 64, 4, 8, costly=True)


DESIGNS: dict[tuple[int, int], Design] = {
    (1, 4): _chunked(4),
    (1, 16): _chunked(16),
    (6, 4): _lane(4, 1),
    (6, 8): _lane(8, 1),
    (6, 16): _lane(16, 1),
    (7, 8): _split(8, 4, 64, "1, 4, 32, 3, 8"),
    (9, 4): _split(4, 2, 16, "1, 8, 64, 4, 4"),
    (10, 8): _split(8, 2, 8, "4, 32, 128, 3, 4"),
    (12, 4): _lane(4, 2),
    (12, 8): _lane(8, 2),
    (12, 16): _lane(16, 2),
}
"""By configuration and dt rank."""
_TAIL = "block_tail_persistent_kernel<posemamba::cuda::TailPersistentConfig"
AROUND = {
    "tail 64 single": "block_tail_kernel<64, 8, 32>",
    "tail 64 persistent": f"{_TAIL}<64, false",
    "tail 128 single": "block_tail_kernel<128, 8, 32>",
    "tail 256 single": "block_tail_kernel<256, 8, 32>",
    "conv_proj 64 single": "conv_proj_kernel<128, 8>",
    "conv_proj 64 persistent": "conv_proj_persistent_kernel<posemamba::cuda::TileProjection<128>",
    "conv_proj 64 few_frames": "conv_proj_prepared_kernel<128, 1, false>",
    "conv_proj 128 few_frames": "conv_proj_prepared_kernel<256, 2, false>",
    "conv_proj 256 few_frames": "conv_proj_prepared_kernel<512, 3, false>",
    "conv_proj 64 all_frames": "conv_proj_walked_kernel<128, 1, false>",
    "conv_proj 128 all_frames": "conv_proj_walked_kernel<256, 1, false>",
    "conv_proj 128 single": "conv_proj_kernel<256, 8>",
    "conv_proj 256 single": "conv_proj_kernel<512, 8>",
}
"""Kernels around the scan by d_model, as their demangled names show them."""


def read_code(listing: str) -> dict[str, Code]:
    """(address, instruction) of every kernel of ``cuobjdump -sass``, demangled, by name.

    A kernel that is there for several architectures counts as the first.
    """
    kernels: dict[str, Code] = {}
    body: Code = []
    for line in listing.splitlines():
        if "Function : " in line:
            body = []
            kernels.setdefault(line.split("Function : ")[1].strip(), body)
        elif found := re.match(r"\s+/\*([0-9a-f]+)\*/\s+(.*?);", line):
            body.append((int(found[1], 16), found[2]))
    return kernels


def loops(body: Code) -> list[tuple[int, int, bool]]:
    """(instructions, exponentials, innermost) of every loop that has exponentials."""
    spans = []
    for address, text in body:
        branch = re.search(r"\bBRA\b.*?0x([0-9a-f]+)", text)
        if branch and int(branch[1], 16) < address:
            spans.append((int(branch[1], 16), address))
    found = []
    for first, last in spans:
        inside = [text for address, text in body if first <= address <= last]
        exponentials = sum("MUFU.EX2" in text for text in inside)
        innermost = not any(first <= a and b <= last and (a, b) != (first, last) for a, b in spans)
        if exponentials:
            found.append((len(inside), exponentials, innermost))
    return found


def clocks_of_step(design: Design, body: Code) -> float:
    """Of a scheduler, for a step of one thread block: its bound."""
    found = loops(body)
    scans = [
        (instructions / exponentials, exponentials)
        for instructions, exponentials, innermost in found
        if exponentials >= LEAST_SCAN
        and exponentials % design.exponentials == 0
        and (innermost or not design.costly)
    ]
    slots = (max if design.costly else min)(scans)[0]
    issue = design.warps * slots * design.exponentials
    special = float(design.warps * design.exponentials)
    if design.converters:
        instructions, exponentials, _ = min(loop for loop in found if loop[1] < LEAST_SCAN)
        issue += design.channels * instructions / exponentials / LANES
        special += design.channels / LANES
    return max(issue, special * EX2_CLOCKS) / SCHEDULERS / design.steps


def instructions(body: Code) -> int:
    return sum(not text.startswith("NOP") for _, text in body)


def body_of(kernel: str, kernels: dict[str, Code], where: str) -> Code:
    """The code of the first kernel of that name; without one the program ends."""
    for name, body in kernels.items():
        if kernel in name:
            return body
    sys.exit(f"{where} has no {kernel}: build it for that architecture, too")


def count(library: Path) -> dict[str, dict[str, dict[str, float]]]:
    """``clocks`` of a step of each scan, ``instructions`` of what is around it, by architecture."""
    counted: dict[str, dict[str, dict[str, float]]] = {"clocks": {}, "instructions": {}}
    for arch in ARCHITECTURES:
        listing = subprocess.run(
            ["cuobjdump", "-sass", "-arch", arch, str(library)],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        names = subprocess.run(["c++filt"], input=listing, check=True, capture_output=True,
                               text=True)  # fmt: skip
        kernels = read_code(names.stdout)
        where = f"'{library}' for {arch}"
        for (config, rank), design in DESIGNS.items():
            clocks = clocks_of_step(design, body_of(design.kernel, kernels, where))
            counted["clocks"].setdefault(f"{config}, {rank}", {})[arch] = round(clocks, 3)
        for what, kernel in AROUND.items():
            counted["instructions"].setdefault(what, {})[arch] = instructions(
                body_of(kernel, kernels, where)
            )
    return counted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", type=Path, help="libposemamba_cuda.so")
    parser.add_argument("--json", type=Path, required=True, help="where to write the counts")
    options = parser.parse_args()
    options.json.write_text(json.dumps(count(options.library), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
