"""Is the generic scan no slower than mamba-ssm's kernel, at the shapes of other networks?

The shapes are those of ``export/examples`` and of the published sizes they stand for. Both kernels
run on the same tensors in one process, in turns; every figure is the median per launch of replays
of a CUDA graph. Exit code 1: one shape is slower by more than 2 %. mamba-ssm's extension
``selective_scan_cuda`` must be there; its recent releases build it with
``MAMBA_KEEP_CUDA_BUILD=TRUE`` only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import oracle
import torch
from pmcuda import Op, library

from benchmarks.environment import environment
from benchmarks.kernels.scans import load_mamba, microseconds

ROUNDS = 5
SLOWER = 1.02


class Shape(NamedTuple):
    """One call of the scan: sizes, and whether it has a gate."""

    batch: int
    groups: int
    channels: int
    length: int
    states: int
    gated: bool


SHAPES = {
    "language model, example": Shape(2, 1, 64, 24, 16, True),
    "language model, 130M": Shape(1, 1, 1536, 2048, 16, True),
    "Vim, example": Shape(2, 1, 64, 17, 16, True),
    "Vim, tiny": Shape(8, 1, 384, 197, 16, True),
    "VMamba, example": Shape(2, 4, 32, 64, 1, False),
    "VMamba, tiny, stage 1": Shape(8, 4, 96, 3136, 1, False),
    "HGMamba, example": Shape(2, 1, 32, 153, 16, True),
    "HGMamba, 243 frames": Shape(1, 1, 256, 4131, 16, True),
}


def measure(mamba: ModuleType, shape: Shape, dtype: torch.dtype) -> dict[str, float]:
    """Microseconds of both kernels, and how far their outputs are apart."""
    batch, groups, channels, length, states, gated = shape
    inputs = oracle.make_scan(batch, groups, channels, length, states, dtype)
    inputs.reverse = (0,) * groups
    inputs.z = inputs.z if gated else None
    ours = Op(library(), inputs, torch.empty_like(inputs.u))
    tensors = (inputs.u, inputs.delta, inputs.A, inputs.B, inputs.C, inputs.D, inputs.z,
               inputs.delta_bias, True)  # fmt: skip

    def theirs() -> torch.Tensor:
        found: torch.Tensor = mamba.fwd(*tensors)[-1 if gated else 0]
        return found

    difference = (ours().float() - theirs().float()).abs().max()
    rounds = [(microseconds(ours), microseconds(theirs)) for _ in range(ROUNDS)]
    own, other = (statistics.median(times) for times in zip(*rounds, strict=True))
    return {
        "ours_us": own,
        "mamba_us": other,
        "ratio": own / other,
        "difference": float(difference),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there")
    asked = parser.parse_args()
    mamba = load_mamba()
    if mamba is None:
        sys.exit("selective_scan_cuda cannot be imported: build mamba-ssm with it")
    rows = []
    for dtype in (torch.float32, torch.float16):
        for name, shape in SHAPES.items():
            row: dict[str, Any] = {
                "name": name,
                "dtype": str(dtype),
                **measure(mamba, shape, dtype),
            }
            rows.append(row)
            sys.stdout.write(
                f"{name:24} {row['dtype']:14} ours {row['ours_us']:8.1f} us, mamba-ssm "
                f"{row['mamba_us']:8.1f} us, {row['ratio']:.2f}\n"
            )
    if asked.json is not None:
        report = {"environment": environment(), "rows": rows}
        asked.json.write_text(json.dumps(report, indent=2) + "\n")
    sys.exit(int(any(row["ratio"] > SLOWER for row in rows)))


if __name__ == "__main__":
    main()
