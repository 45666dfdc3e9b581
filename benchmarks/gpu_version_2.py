"""Time version 2 of CrossSelectiveScan beside version 1, in one run.

Microseconds, the median of replays of a CUDA graph of 40 launches, fp16, 243 frames, four
directions. The same order by tables; the same with a state that restarts each frame; a walk with
repeats (22 steps a frame). The last column: the largest difference between both versions, relative.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "gpu"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import kernel_v2
import oracle
from gpu_bench import FRAMES, cross_inputs, microseconds
from pmcuda import CrossInputs, IndexedInputs, Op, Tuning, library

SHAPES = [(batch, d_inner) for batch in (1, 8, 32) for d_inner in (128, 256, 512)]
PLANS = {"": None, "serial": (2, 0, 0), "narrow": (0, 0, 2), "wide": (0, 0, 4)}


def tables_of(inputs: CrossInputs) -> tuple[torch.Tensor, torch.Tensor]:
    """scan_index and neighbour_index of an order of version 1."""
    _, frames, joints, _ = inputs.x.shape
    d = inputs.directions
    limb = torch.tensor(d.limb_index)
    index, neighbours = [], []
    for k in range(len(d)):
        at = oracle.positions(d.order[k], d.reverse[k], frames, joints).cpu()
        index.append(at)
        beside = at - at % joints + limb[at % joints]
        neighbours.append(beside if d.limb_mask[k] else torch.full_like(at, -1))
    return tuple(torch.stack(t).int().cuda() for t in (index, neighbours))


def indexed_inputs(
    inputs: CrossInputs, index: torch.Tensor, neighbours: torch.Tensor | None, reset: int = 0
) -> IndexedInputs:
    batch, frames, joints, d_inner = inputs.x.shape
    length = torch.full((index.shape[0],), reset, dtype=torch.int32, device="cuda")
    return IndexedInputs(
        inputs.x.view(batch, frames * joints, d_inner),
        inputs.x_dbl.view(batch, frames * joints, -1),
        *(inputs.dt_weight, inputs.dt_bias, inputs.A, inputs.D),
        index,
        neighbours,
        length if reset else None,
    )


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
