"""On a machine with a GPU: measure training, and train the demonstration networks.

``throughput``: clips a second and peak memory of one training step of S and L: the fused scan with
its own gradients, the chunked scan, and mamba-ssm's in our data flow and in the authors', where its
package can be imported. ``data``: generate clips. ``demo``: train S
(243 frames) and a small network for streaming side by side on them, for so many minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from environment import environment
from torch import Tensor
from torch.nn import functional as F

from posemamba.data.clip_set import ClipSet, save_clip_set
from posemamba.data.synthetic.cameras import HELD_OUT_CAMERAS, TRAINING_CAMERAS
from posemamba.data.synthetic.motion_clips import bundled_motions, make_clips, split_motions
from posemamba.model.blocks import ScanBackend, SpatioTemporalScan
from posemamba.model.network import PoseMamba
from posemamba.native import scan_ops
from posemamba.training.config import TrainConfig
from posemamba.training.stepper import Stepper

FRAMES = 243
#: What the demonstration networks were trained with; both fit in 8 MB as float32.
NETWORKS: dict[str, dict[str, object]] = {
    "S": {"variant": "S", "frames": 243, "batch-size": 4, "learning-rate": 7e-4},
    "streaming": {
        "variant": "S",
        "depth": 6,
        "frames": 81,
        "batch-size": 8,
        "learning-rate": 1e-3,
    },
}
SETTINGS: dict[str, object] = {
    "scan": "mamba-ssm",
    "schedule": "cosine",
    "epochs": 1000,
    "noise": 0.004,
    "drop-joints": 0.02,
    "save-every": 1000,
    "device": "cuda",
}


class OfficialFlow(SpatioTemporalScan):
    """The authors' way through a block: four copies of the grid, projected one by one."""

    def forward(self, x: Tensor) -> Tensor:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

        batch, frames, joints, _ = x.shape
        length = frames * joints
        x, z = self.in_proj(x).chunk(2, dim=-1)
        z = self.act(z)
        x = self.act(self.conv2d(x.permute(0, 3, 1, 2).contiguous()))  # (batch, d, frames, joints)
        rows = (x + x.index_select(-1, self.limbs)).flatten(2)
        columns = x.transpose(2, 3).flatten(2)
        walks = torch.stack([rows, columns], dim=1)
        xs = torch.cat([walks, walks.flip(-1)], dim=1)  # (batch, 4, d, L)
        projected = torch.einsum("bkdl,kcd->bkcl", xs, self.x_proj_weight)
        raw, b, c = projected.split([self.dt_rank, self.d_state, self.d_state], dim=2)
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


FLOWS = (
    Flow("fused scan, CUDA graph", "fused", cuda_graph=True),
    Flow("fused scan, eager", "fused"),
    Flow("chunked scan, eager", "chunked"),
    Flow("mamba-ssm, our data flow, CUDA graph", "mamba-ssm", cuda_graph=True),
    Flow("mamba-ssm, our data flow, eager", "mamba-ssm"),
    Flow("mamba-ssm, the authors' data flow, eager", "mamba-ssm", official=True),
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


def throughput(out: Path, sizes: str) -> None:
    # The fused scan's own gradients: on CUDA training does not take them before they are measured.
    scan_ops.NATIVE_GRADIENTS = ("cpu", "cuda")
    flows = [f for f in FLOWS if f.scan != "mamba-ssm" or find_spec("mamba_ssm") is not None]
    rows: list[dict[str, Any]] = []
    for variant in sizes.split(","):
        for batch in (4, 16):
            for flow in flows:
                rows.append(measure(flow, variant, batch))
                sys.stdout.write(json.dumps(rows[-1]) + "\n")
                sys.stdout.flush()
    text = json.dumps({"environment": environment(), "rows": rows}, indent=1)
    (out / "training-throughput.json").write_text(text)


def write_sets(folder: Path, clips: int) -> None:
    """Training clips and the three held-out sets, 243 frames each."""
    train, held = split_motions(bundled_motions())
    sets: dict[str, tuple[list[Any], Any, int]] = {
        "train": (train, TRAINING_CAMERAS, clips),
        "val_motions": (held, TRAINING_CAMERAS, 48),
        "val_cameras": (train, HELD_OUT_CAMERAS, 48),
        "val_both": (held, HELD_OUT_CAMERAS, 48),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, (motions, cameras, count)) in enumerate(sets.items()):
        made: ClipSet = make_clips(motions, cameras, count, FRAMES, seed)
        save_clip_set(folder / f"{name}.npz", made)


def demo(out: Path, data: Path, minutes: float, extra: list[str]) -> None:
    running = []
    for name, network in NETWORKS.items():
        settings = SETTINGS | network | {"minutes": minutes, "out": out / name}
        command = [sys.executable, "-m", "posemamba", "train", "--data", str(data / "train.npz")]
        command += ["--val", str(data / "val_motions.npz")]
        for option, value in settings.items():
            command += [f"--{option}", str(value)]
        log = (out / f"{name}.log").open("w")
        environment = os.environ | {"OMP_NUM_THREADS": "4"}
        running.append(
            (name, subprocess.Popen(command + extra, stdout=log, stderr=log, env=environment))
        )
    for name, process in running:
        code = process.wait()
        sys.stdout.write(f"{name}: exit {code}\n{(out / f'{name}.log').read_text()[-600:]}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("throughput", "data", "demo"))
    parser.add_argument("--out", type=Path, default=Path("out/train"))
    parser.add_argument("--data", type=Path, default=Path("out/train/data"))
    parser.add_argument("--sizes", default="S,L")
    parser.add_argument("--clips", type=int, default=4096)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--extra", default="--cuda-graph", help="further options of train")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision("high")  # as posemamba.training.run does on CUDA
    if options.step == "throughput":
        throughput(options.out, options.sizes)
    elif options.step == "data":
        write_sets(options.data, options.clips)
    else:
        demo(options.out, options.data, options.minutes, options.extra.split())
    return 0


if __name__ == "__main__":
    sys.exit(main())
