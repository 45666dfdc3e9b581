"""Does a change of the synthetic data help? A proxy that trains in seconds on a CPU says so.

    python tools/data_trial.py --climb HOLOSOMA_WHEEL --real POSE2SIM_WHEEL -o trial.json

A small network of convolutions over time, not PoseMamba, is trained on the same number of clips and
steps for each row of ``RECIPES``, and measured on held-out motions and cameras of every kind and on
the real trial. It ranks data; its errors say nothing of PoseMamba's. About two minutes a seed.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import torch
from torch import Tensor, nn

from posemamba.data.clip_set import ClipSet
from posemamba.data.pose2sim import read_trial
from posemamba.data.synthetic.cameras import CAMERAS
from posemamba.data.synthetic.climbing import HELD_OUT_CLIMBS, read_climbs
from posemamba.data.synthetic.motion_clips import bundled_motions, make_clips, split_motions
from posemamba.evaluation.clip_sets import clip_errors
from posemamba.files.output import replacing
from posemamba.skeleton import NUM_JOINTS
from posemamba.text import table
from posemamba.training.batches import ClipBatches
from posemamba.training.config import TrainConfig

if TYPE_CHECKING:
    from posemamba.data.synthetic.humanoid import Motion

FRAMES, CLIPS, HELD_CLIPS, BATCH, RATE = 27, 800, 60, 32, 2e-3
PLAIN = {"noise": 0.004, "drop_joints": 0.02}  # what the first demonstrations were trained with
LASTING = PLAIN | {"jitter": 0.01, "offset": 0.012}
WRONG = LASTING | {"swap_sides": 0.01, "lose_limbs": 0.02}
CENTRED, VARIED = ("centred",), ("varied",)
#: Name: cameras in equal shares, share of the clips that are climbs, degradation.
RECIPES: dict[str, tuple[tuple[str, ...], float, dict[str, float]]] = {
    "as before": (CENTRED, 0.0, PLAIN),
    "varied cameras": (VARIED, 0.0, PLAIN),
    "varied, lasting noise": (VARIED, 0.0, LASTING),
    "varied, lasting noise, swaps, hidden limbs": (VARIED, 0.0, WRONG),
    "varied, lasting noise, climbs": (VARIED, 0.5, LASTING),
    "varied, lasting noise, a fifth climbs": (VARIED, 0.2, LASTING),
    "half varied, lasting noise": (VARIED + CENTRED, 0.0, LASTING),
    "half varied, lasting noise, a fifth climbs": (VARIED + CENTRED, 0.2, LASTING),
    "centred, lasting noise": (CENTRED, 0.0, LASTING),
    "centred, climbs": (CENTRED, 0.5, PLAIN),
}


CHANNELS = 192


class Proxy(nn.Module):
    """(clips, frames, 17, 2) to (clips, frames, 17, 3), seeing 15 frames."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2 * NUM_JOINTS, CHANNELS, 1)
        self.blocks = nn.ModuleList(
            nn.Conv1d(CHANNELS, CHANNELS, 3, padding=dilation, dilation=dilation)
            for dilation in (1, 2, 4)
        )
        self.last = nn.Conv1d(CHANNELS, 3 * NUM_JOINTS, 1)

    def forward(self, keypoints_2d: Tensor) -> Tensor:
        x = self.first(keypoints_2d.flatten(2).transpose(1, 2))
        for block in self.blocks:
            x = x + block(torch.relu(x))
        poses: Tensor = self.last(torch.relu(x)).transpose(1, 2)
        return poses.unflatten(2, (NUM_JOINTS, 3))


def train(sets: list[ClipSet], degradation: dict[str, float], steps: int, seed: int) -> Proxy:
    """A proxy after so many steps of Adam on the MPJPE."""
    config = TrainConfig(frames=FRAMES, batch_size=BATCH, seed=seed, **degradation)  # type: ignore[arg-type]
    batches = ClipBatches(sets, config, torch.device("cpu"))
    torch.manual_seed(seed)
    network = Proxy()
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    for step in range(steps):
        keypoints, poses = batches.batch(step)
        loss = (network(keypoints) - poses).norm(dim=-1).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return network.eval()


def as_lift(network: Proxy) -> Callable[[np.ndarray], np.ndarray]:
    def lift(keypoints_2d: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(keypoints_2d)).numpy()

    return lift


def film(motions: list[Motion], cameras: str, held: bool, count: int, seed: int) -> ClipSet:
    return make_clips(motions, CAMERAS[cameras][held], count, FRAMES, seed)


def run(
    splits: dict[str, tuple[list[Motion], list[Motion]]], real: ClipSet, steps: int, seeds: int
) -> dict[str, Any]:
    """Recipe -> held-out set -> mm, the mean over seeds."""
    held = {
        f"{source}, {cameras}": film(motions, cameras, True, HELD_CLIPS, 90)
        for source, (_, motions) in splits.items()
        for cameras in CAMERAS
    }
    seen = splits["pybullet"][0]  # motions; the cameras are held out
    held["pybullet's seen, centred"] = film(seen, "centred", True, HELD_CLIPS, 91)
    results: dict[str, Any] = {}
    for name, (cameras, climbs, degradation) in RECIPES.items():
        found: dict[str, list[float]] = {}
        for seed in range(seeds):
            counts = {"pybullet": round(CLIPS * (1 - climbs)), "climbs": round(CLIPS * climbs)}
            sets = [
                film(splits[source][0], kind, False, count // len(cameras), seed + 100 * number)
                for source, count in counts.items()
                for number, kind in enumerate(cameras)
                if count
            ]
            lift = as_lift(train(sets, degradation, steps, seed))
            for title, clips in held.items():
                found.setdefault(title, []).append(clip_errors(lift, clips)["mpjpe_mm"])
            error = clip_errors(lift, real)["p_mpjpe_mm"]
            found.setdefault("real, P-MPJPE", []).append(error)
        results[name] = {title: [round(v, 1) for v in values] for title, values in found.items()}
        click.echo(f"{name}: {results[name]}", err=True)
    return results


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--climb", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--real", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--steps", default=500, show_default=True)
@click.option("--seeds", default=2, show_default=True)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def main(climb: Path, real: Path, steps: int, seeds: int, output: Path) -> None:
    splits = {
        "pybullet": split_motions(bundled_motions()),
        "climbs": split_motions(read_climbs(climb), HELD_OUT_CLIMBS),
    }
    results = run(splits, read_trial(real).triangulated, steps, seeds)
    titles = list(next(iter(results.values())))
    rows = [
        (name, *(f"{statistics.mean(found[title]):.0f}" for title in titles))
        for name, found in results.items()
    ]
    click.echo(table(("mm", *titles), rows))
    with replacing(output) as temporary:
        temporary.write_text(json.dumps({"steps": steps, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
