"""One run of the ablation: so many steps from a seed, then the errors on held-out clips.

A short loop of its own, since a row must differ from the others in what it says and in nothing
else: weights, clips, windows and flips come from the seed alone, the learning rate from the step,
and the number of steps is given. There is nothing to resume; a run that is cut off starts again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from posemamba.ablation_table import Cell
from posemamba.blocks import SCAN_BACKENDS
from posemamba.clip_errors import clip_errors
from posemamba.config import PoseMambaConfig
from posemamba.data.clip_set import ClipSet, load_clip_set
from posemamba.errors import InputError
from posemamba.lifting import as_lift
from posemamba.model import PoseMamba
from posemamba.preprocess import flip

if TYPE_CHECKING:
    from posemamba.ablation import Settings

#: The learning rate falls along a cosine to this share of its start.
FINAL_RATE = 0.01
WEIGHT_DECAY = 0.01
FLIPPED = 0.5  # share of clips that are mirrored

#: Of the official code: knees, feet, head and arms may move least without reason.
_DIFFERENCE_WEIGHTS = (1, 1, 2.5, 2.5, 1, 2.5, 2.5, 1, 1, 1, 1.5, 1.5, 4, 4, 1.5, 4, 4)


def run_cell(cell: Cell, settings: Settings) -> dict[str, Any]:
    """Train, measure.

    Returns:
        ``figures`` (validation set -> metric -> mm), ``seconds`` and the mean ``loss`` of the last
        tenth of the steps.

    Raises:
        InputError: clips shorter than the network, a device or scan that is not there, or a loss
            that is no longer finite.
    """
    start = time.perf_counter()
    device = torch.device(settings.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: PyTorch finds no CUDA device here; use cpu")
    train = [load_clip_set(Path(path)) for path in settings.data]
    vals = {name: load_clip_set(Path(path)) for name, path in settings.val.items()}
    for path, clips in zip(settings.data, train, strict=True):
        if clips.poses_3d.shape[1] < settings.frames:
            raise InputError(
                f"{path}: clips have {clips.poses_3d.shape[1]} frames, fewer than --frames "
                f"{settings.frames}"
            )
    model, loss = _train(cell, settings, train, device)
    lift = as_lift(model.eval())
    figures = {name: clip_errors(lift, clips) for name, clips in vals.items()}
    return {"figures": figures, "seconds": time.perf_counter() - start, "loss": loss}


def _train(
    cell: Cell, settings: Settings, train: list[ClipSet], device: torch.device
) -> tuple[PoseMamba, float]:
    if settings.scan not in SCAN_BACKENDS:
        raise InputError(f"unknown scan '{settings.scan}': use one of {', '.join(SCAN_BACKENDS)}")
    config = PoseMambaConfig(
        d_model=settings.d_model,
        depth=settings.depth,
        frames=settings.frames,
        scan_order=cell.scan_order,
    )
    torch.manual_seed(cell.seed)  # initial weights, DropPath
    model = PoseMamba(config, scan=settings.scan).to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=WEIGHT_DECAY
    )
    recent = []
    for step, (keypoints_2d, poses_3d) in enumerate(_batches(cell.seed, settings, train, device)):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _rate(step / settings.steps)
        loss = pose_loss(model(keypoints_2d), poses_3d, cell.off)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        if step >= settings.steps * 9 // 10:
            recent.append(loss.detach())
    final = float(torch.stack(recent).mean())
    if not math.isfinite(final):
        raise InputError(f"{cell.key}: the loss is {final}; use a smaller --learning-rate")
    return model, final


def pose_loss(predicted: Tensor, target: Tensor, off: Collection[str] = ()) -> Tensor:
    """The paper's loss with the weights of the official config, terms switched off by name.

    Args:
        predicted, target: (batch, frames, 17, 3).
        off: names of weights that are 0, of :data:`posemamba.ablation_table.TERMS`.

    Returns:
        a scalar: MPJPE (weight 1), velocity error (20), squared frame difference of the prediction
        weighted by joint (0.5), MPJPE after the best scale of every frame (0.5).
    """
    loss = _length(predicted - target)
    moved = predicted.diff(dim=1)  # (batch, frames - 1, 17, 3)
    if "lambda_3d_velocity" not in off:
        loss = loss + 20.0 * _length(moved - target.diff(dim=1))
    if "lambda_diff" not in off:
        weights = predicted.new_tensor(_DIFFERENCE_WEIGHTS)[:, None]  # (17, 1)
        loss = loss + 0.5 * (weights * moved.square()).mean()
    if "lambda_scale" not in off:
        overlap = (predicted * target).sum(dim=(-1, -2), keepdim=True)
        scale = overlap / predicted.square().sum(dim=(-1, -2), keepdim=True).clamp_min(1e-12)
        loss = loss + 0.5 * _length(scale * predicted - target)
    return loss


def _length(vectors: Tensor) -> Tensor:
    """Mean length of (..., 3)."""
    mean: Tensor = torch.linalg.vector_norm(vectors, dim=-1).mean()
    return mean


def _rate(progress: float) -> float:
    return FINAL_RATE + (1.0 - FINAL_RATE) * 0.5 * (1.0 + math.cos(math.pi * progress))


def _batches(
    seed: int, settings: Settings, train: list[ClipSet], device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Random windows of random clips, mirrored by chance: (batch, frames, 17, 2) and (..., 3)."""
    rng = np.random.default_rng(seed)
    # All frames of all clips, one after another, on the device: a batch is one gather.
    keypoints_2d = _flat([clips.keypoints_2d for clips in train]).to(device)
    poses_3d = _flat([clips.poses_3d for clips in train]).to(device)
    lengths = np.repeat(
        [clips.poses_3d.shape[1] for clips in train], [len(clips.names) for clips in train]
    )  # (clips,)
    offsets = np.cumsum(lengths) - lengths
    window = np.arange(settings.frames)
    for _ in range(settings.steps):
        clip = rng.integers(len(lengths), size=settings.batch)
        first = offsets[clip] + rng.integers(lengths[clip] - settings.frames + 1)
        place = torch.from_numpy(first[:, None] + window).to(device)  # (batch, frames)
        mirrored = torch.from_numpy(rng.random(settings.batch) < FLIPPED).to(device)
        choose = mirrored[:, None, None, None]
        inputs, targets = keypoints_2d[place], poses_3d[place]
        yield (
            torch.where(choose, flip(inputs), inputs),
            torch.where(choose, flip(targets), targets),
        )


def _flat(parts: list[npt.NDArray[np.float32]]) -> Tensor:
    """Arrays (clips, frames, 17, c) to (all frames, 17, c)."""
    flat = [part.reshape(-1, *part.shape[2:]) for part in parts]
    return torch.from_numpy(np.concatenate(flat))
