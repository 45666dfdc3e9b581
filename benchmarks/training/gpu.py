"""On a machine with a GPU: measure training.

``throughput``: clips a second and peak memory of one training step of S and L: the fused scan with
its own gradients, the chunked scan, and mamba-ssm's in our data flow and in the authors', where its
package can be imported. :mod:`benchmarks.demo.run` trains the demonstrations.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.environment import environment
from posemamba.model.blocks import ScanBackend, SpatioTemporalScan
from posemamba.model.network import PoseMamba
from posemamba.training.config import TrainConfig
from posemamba.training.stepper import Stepper

FRAMES = 243
NAME = "training-throughput"


class OfficialFlow(SpatioTemporalScan):
    """The authors' way through a block: four copies of the grid, projected one by one."""

    def forward(self, x: Tensor) -> Tensor:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

        batch, frames, joints, _ = x.shape
        length = frames * joints
        x, z = self.in_proj(x).chunk(2, dim=-1)
        z = self.act(z)
        x = self.act(self.conv2d(x.permute(0, 3, 1, 2).contiguous()))  # (batch, d, frames, joints)
        limbs = self.visits[0].limbs
        assert isinstance(limbs, Tensor)
        rows = (x + x.index_select(-1, limbs)).flatten(2)
        columns = x.transpose(2, 3).flatten(2)
        walks = torch.stack([rows, columns], dim=1)
        xs = torch.cat([walks, walks.flip(-1)], dim=1)  # (batch, 4, d, L)
        projected = torch.einsum("bkdl,kcd->bkcl", xs, self.x_proj_weight)
        raw, b, c = torch.split(projected, [self.dt_rank, self.d_state, self.d_state], dim=2)
        dt = torch.einsum("bkrl,kdr->bkdl", raw, self.dt_projs_weight)
        y = selective_scan_fn(
            xs.float().reshape(batch, -1, length),
            dt.contiguous().float().reshape(batch, -1, length),
            -torch.exp(self.A_logs.float()),
            b.contiguous().float(),
            c.contiguous().float(),
            self.Ds.float(),
            None,
            self.dt_projs_bias.float().flatten(),
            True,
        ).view(batch, 4, -1, length)
        back = y[:, :2] + y[:, 2:].flip(-1)  # (batch, 2, d, L)
        across = back[:, 1].unflatten(-1, (joints, frames)).transpose(2, 3).flatten(2)
        merged = (back[:, 0] + across).transpose(1, 2).reshape(batch, frames, joints, -1)
        out: Tensor = self.out_proj(
            F.layer_norm(
                merged,
                merged.shape[-1:],
                self.out_norm.weight,
                self.out_norm.bias,
                self.out_norm.eps,
            ).to(z.dtype)
            * z
        )
        return out


def official(model: PoseMamba) -> PoseMamba:
    """``model`` with the authors' data flow in every block."""
    for module in model.modules():
        if isinstance(module, SpatioTemporalScan):
            module.__class__ = OfficialFlow
    return model


def seconds_a_step(call: Callable[[], object], budget: float) -> float:
    """Median over as many steps as ``budget`` seconds hold, at least 5, after 3."""
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    times: list[float] = []
    while len(times) < 5 or (sum(times) < budget and len(times) < 30):
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@dataclass(frozen=True)
class Flow:
    """One way through a training step."""

    name: str
    scan: ScanBackend
    cuda_graph: bool = False
    official: bool = False


AUTHORS = "mamba-ssm, the authors' data flow, eager"
FLOWS = (
    Flow("fused scan, CUDA graph", "fused", cuda_graph=True),
    Flow("fused scan, eager", "fused"),
    Flow("chunked scan, eager", "chunked"),
    Flow("mamba-ssm, our data flow, CUDA graph", "mamba-ssm", cuda_graph=True),
    Flow("mamba-ssm, our data flow, eager", "mamba-ssm"),
    Flow(AUTHORS, "mamba-ssm", official=True),
)


def measure(flow: Flow, variant: str, batch: int) -> dict[str, Any]:
    """A row of the report; ``oom`` where the GPU's memory is too small."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    config = TrainConfig(
        variant=variant, scan=flow.scan, batch_size=batch, cuda_graph=flow.cuda_graph
    )
    torch.manual_seed(0)
    model = PoseMamba(config.model_config(), scan=flow.scan).cuda().train()
    if flow.official:
        official(model)
    stepper = Stepper(model, model, config)
    keypoints = torch.rand(batch, FRAMES, 17, 2, device="cuda") * 2 - 1
    poses = torch.rand(batch, FRAMES, 17, 3, device="cuda")
    row: dict[str, Any] = {"variant": variant, "batch": batch, "run": flow.name}
    try:
        seconds = seconds_a_step(lambda: stepper.step([(keypoints, poses)], 2e-4), 1.0)
    except torch.cuda.OutOfMemoryError:
        return row | {"oom": True}
    return row | {
        "ms_a_step": round(1e3 * seconds, 2),
        "clips_a_second": round(batch / seconds, 1),
        "peak_mib": round(torch.cuda.max_memory_allocated() / 2**20),
    }


def page(record: dict[str, Any]) -> str:
    """The report in Markdown; the last columns are against the authors' data flow of that batch."""
    machine, rows = record["environment"], record["rows"]
    fixed = f"{machine.get('nvidia_smi', 'no GPU')}, PyTorch {machine['torch']}"
    lines = [
        f"# Training steps, {machine['date']}\n",
        f"{fixed}, {FRAMES} frames, float32 with TF32 products. One step is forward, losses,",
        "backward and AdamW; the median of up to 30. `benchmarks/gpu_run.sh train`.\n",
        *([record["note"] + "\n"] if "note" in record else []),
        "| size | batch | run | ms a step | clips a second | peak MiB | speed | memory |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    whole = {(r["variant"], r["batch"]): r for r in rows if r["run"] == AUTHORS}
    for row in rows:
        cells = [row["variant"], str(row["batch"]), row["run"]]
        theirs = whole.get((row["variant"], row["batch"]), {"oom": True})
        if row.get("oom"):
            cells += ["out of memory", *[""] * 4]
        else:
            cells += [f"{row[key]:,}" for key in ("ms_a_step", "clips_a_second", "peak_mib")]
            cells += ["", ""] if theirs.get("oom") else _against(row, theirs)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _against(row: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    speed = theirs["ms_a_step"] / row["ms_a_step"]
    return [f"{speed:.2f}", f"{row['peak_mib'] / theirs['peak_mib']:.3f}"]


def throughput(out: Path, sizes: str) -> None:
    flows = [f for f in FLOWS if f.scan != "mamba-ssm" or find_spec("mamba_ssm") is not None]
    rows: list[dict[str, Any]] = []
    for variant in sizes.split(","):
        for batch in (4, 16):
            for flow in flows:
                rows.append(measure(flow, variant, batch))
                sys.stdout.write(json.dumps(rows[-1]) + "\n")
                sys.stdout.flush()
                record = {"environment": environment(), "rows": rows}
                # Each time, for a later flow may fail.
                (out / f"{NAME}.json").write_text(json.dumps(record, indent=1) + "\n")
                (out / f"{NAME}.md").write_text(page(record))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("throughput",))
    parser.add_argument("--out", type=Path, default=Path("out/train"))
    parser.add_argument("--sizes", default="S,L")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision("high")  # as posemamba.training.run does on CUDA
    throughput(options.out, options.sizes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
