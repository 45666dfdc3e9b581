"""Time the scan's gradients, alone and through PyTorch's autograd beside other scans.

A figure is the median over calls between CUDA events, in microseconds; the workspace is in MiB.
``both ways`` is a forward and a backward pass through autograd.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import oracle
import torch
from pmcuda import CrossInputs
from torch import Tensor

from benchmarks.environment import environment
from posemamba.native import gradients, scan_ops
from posemamba.scan import chunked, mamba_ssm, reference

FRAMES = 243
#: d_inner of S and of L, their dt ranks.
SIZES = ((128, 4), (256, 8))


def microseconds(call: Callable[[], object], runs: int = 15) -> float:
    """Median, after three."""
    for _ in range(3):
        call()
    times: list[float] = []
    for _ in range(runs):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(1e3 * start.elapsed_time(end))
    return round(statistics.median(times), 1)


def inputs_of(batch: int, d_inner: int, rank: int, dtype: torch.dtype) -> CrossInputs:
    """Parameters as in the tests; activations drawn on the GPU."""
    one = oracle.make_cross(frames=1, d_inner=d_inner, rank=rank, dtype=dtype)
    shape = (batch, FRAMES, 17)
    one.x = torch.randn(*shape, d_inner, device="cuda").to(dtype)
    one.x_dbl = torch.randn(*shape, one.x_dbl.shape[-1], device="cuda").to(dtype)
    return one


def arguments(inputs: CrossInputs) -> list[Any]:
    d = inputs.directions
    tensors = [inputs.x, inputs.x_dbl, inputs.dt_weight, inputs.dt_bias, inputs.A, inputs.D]
    sizes = [inputs.A.shape[2], inputs.dt_weight.shape[2]]
    return [*tensors, *sizes, list(d.order), list(d.reverse), list(d.limb_mask), list(d.limb_index)]


def back_alone(args: list[Any]) -> dict[str, float]:
    """Microseconds and workspace of the backward pass alone."""
    dy = torch.randn_like(args[0])
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    found = gradients.cross_selective_scan_backward(dy, *args, False)
    results = sum(t.numel() * t.element_size() for t in found)
    workspace = torch.cuda.max_memory_allocated() - before - results
    del found
    time = microseconds(lambda: gradients.cross_selective_scan_backward(dy, *args, False))
    return {"us": time, "workspace_mib": round(workspace / 2**20)}


def forward_and_back(args: list[Any]) -> dict[str, float]:
    """Microseconds of a forward and a backward pass through autograd, by scan."""
    leaves = [t.detach().requires_grad_() for t in args[:6]]
    dy = torch.randn_like(args[0])

    def timed(scan: Callable[..., Tensor]) -> float:
        def step() -> None:
            torch.autograd.grad(scan(*leaves, *args[6:]), leaves, dy)

        return microseconds(step)

    def plain(scan: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *a: reference.cross_selective_scan(*a[:7], *a[8:], scan=scan)

    rows = {"fused": timed(scan_ops.cross_selective_scan)}
    rows["chunked"] = timed(plain(chunked.selective_scan))
    if find_spec("mamba_ssm") is not None:
        rows["mamba-ssm"] = timed(plain(mamba_ssm.selective_scan))
    return rows


def page(rows: list[dict[str, Any]], machine: dict[str, object]) -> str:
    """The report in Markdown."""
    others = list(rows[0]["forward_and_back"])
    head = ["d_inner", "batch", "type"]
    head += ["back alone", "workspace", *(f"{o}, both ways" for o in others)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [str(row["d_inner"]), str(row["batch"]), row["dtype"]]
        cells += [str(figure) for figure in row["back"].values()]
        cells += [str(us) for us in row["forward_and_back"].values()]
        lines.append("| " + " | ".join(cells) + " |")
    title = f"# The scan's gradients, {machine['date']}\n\n{machine.get('nvidia_smi', 'no GPU')}."
    return f"{title} {FRAMES} frames. {__doc__}\n" + "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for d_inner, rank in SIZES:
        for batch in options.batches:
            for dtype in (torch.float32, torch.float16):
                args = arguments(inputs_of(batch, d_inner, rank, dtype))
                row: dict[str, Any] = {
                    "d_inner": d_inner,
                    "batch": batch,
                    "dtype": str(dtype).removeprefix("torch."),
                }
                rows.append(
                    row | {"back": back_alone(args), "forward_and_back": forward_and_back(args)}
                )
                sys.stdout.write(json.dumps(rows[-1]) + "\n")
                sys.stdout.flush()
    machine = environment()
    options.json.write_text(json.dumps({"environment": machine, "rows": rows}, indent=1) + "\n")
    if options.markdown is not None:
        options.markdown.write_text(page(rows, machine))


if __name__ == "__main__":
    main()
