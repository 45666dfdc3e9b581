"""Time version 2 of CrossSelectiveScan beside version 1, in one run.

Microseconds, the median of replays of a CUDA graph of 40 launches, fp16, 243 frames, four
directions. The same order by tables; the same with a state that restarts each frame; a walk with
repeats (22 steps a frame). The last column: the largest difference between both versions, relative.
"""

from __future__ import annotations

import argparse
import sys

import kernel_v2
import torch
from oracle import indexed_inputs, tables_of
from pmcuda import Op, Tuning, library

from benchmarks.kernels.scans import FRAMES, cross_inputs, microseconds

SHAPES = [(batch, d_inner) for batch in (1, 8, 32) for d_inner in (128, 256, 512)]
PLANS = {"": None, "serial": (2, 0, 0), "narrow": (0, 0, 2), "wide": (0, 0, 4)}


def tour(directions: int) -> torch.Tensor:
    table = torch.from_numpy(kernel_v2.tour_tables(FRAMES)["scan_index"])
    return table.repeat(directions // 2, 1).cuda()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", action="store_true", help="time each configuration, too")
    arguments = parser.parse_args()
    lib = library()
    plans = PLANS if arguments.plans else {"": None}
    names = ["version 1", *(f"the same order {plan}".strip() for plan in plans)]
    names += ["reset each frame", "repeats", "difference"]
    sys.stdout.write("| batch x d_inner | " + " | ".join(names) + " |\n")
    sys.stdout.write("|---" * (len(names) + 1) + "|\n")
    for batch, d_inner in SHAPES:
        cross = cross_inputs(batch, d_inner)
        index, neighbours = tables_of(cross)
        same = indexed_inputs(cross, index, neighbours)
        walks = [
            indexed_inputs(cross, index, neighbours, 17),
            indexed_inputs(cross, tour(index.shape[0]), None),
        ]
        first = Op(lib, cross, torch.empty_like(cross.x))
        tunings = [None if plan is None else Tuning(*plan) for plan in plans.values()]
        ops = [Op(lib, same, torch.empty_like(same.x), tuning) for tuning in tunings]
        ops += [Op(lib, walk, torch.empty_like(walk.x)) for walk in walks]
        apart = (first().view_as(same.x).float() - ops[0]().float()).abs().max()
        difference = float(apart / first.y.float().abs().max())
        launches = 10 if batch >= 32 else 40
        times = [microseconds(op, launches) for op in (first, *ops)]
        row = " | ".join(f"{t:.1f}" for t in times)
        sys.stdout.write(f"| {batch} x {d_inner} | {row} | {difference:.1e} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
