"""Time every design of CrossSelectiveScan on every shape, in one run: what the heuristic stands on.

A figure is the median over replays, per launch, of a CUDA graph of launches (scan and merge), in
microseconds; "auto" is the launcher's own choice, "chunked" the best of the chunked design's
configurations. Impossible pairs stay empty.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import oracle
import torch
from pmcuda import CrossInputs, Op, Tuning, library

from benchmarks.kernels.scans import microseconds

FRAMES = 243
CHUNKED, ONE_PASS = (1, 2, 4), (6, 7, 8, 9, 10, 11, 12)
BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
INNERS = (128, 256, 512)


def inputs_of(batch: int, frames: int, d_inner: int, dtype: torch.dtype) -> CrossInputs:
    """Parameters as in the tests; activations drawn on the GPU, where there may be gigabytes."""
    one = oracle.make_cross(frames=1, d_inner=d_inner, rank=d_inner // 32, dtype=dtype)
    shape = (batch, frames, 17)
    one.x = torch.randn(*shape, d_inner, device="cuda", dtype=dtype)
    one.x_dbl = torch.randn(*shape, one.x_dbl.shape[-1], device="cuda", dtype=dtype)
    return one


def row_of(
    lib: ctypes.CDLL, inputs: CrossInputs, configs: Sequence[int], launches: int
) -> dict[str, float | None]:
    """Microseconds of the launcher's choice, the chunked design and each configuration."""
    y = torch.empty_like(inputs.x)

    def time(config: int) -> float | None:
        op = Op(lib, inputs, y, Tuning(0, 0, config))
        return round(microseconds(op, launches, 7), 1) if op.workspace_bytes else None

    chunked = [t for c in CHUNKED if (t := time(c)) is not None]
    row = {"auto": time(0), "chunked": min(chunked)}
    return row | {str(c): t for c in configs if (t := time(c)) is not None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configs", type=int, nargs="+", default=ONE_PASS)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--inners", type=int, nargs="+", default=INNERS)
    parser.add_argument("--frames", type=int, nargs="+", default=[FRAMES])
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    lib = library()
    rows = []
    for frames in args.frames:
        for d_inner in args.inners:
            for batch in args.batches:
                inputs = inputs_of(batch, frames, d_inner, getattr(torch, args.dtype))
                launches = 40 if batch * frames < 600 else 10
                shape = {"frames": frames, "d_inner": d_inner, "batch": batch}
                row = shape | row_of(lib, inputs, args.configs, launches)
                rows.append(row)
                sys.stdout.write(" ".join(f"{k}={v}" for k, v in row.items()) + "\n")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
