"""Batches that depend on the seed and the step alone, so that a run can stop and go on anywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from posemamba.data.clip_set import ClipSet
from posemamba.pose.preprocess import flip
from posemamba.training.clip_checks import check_batches, check_training
from posemamba.training.config import TrainConfig
from posemamba.training.detector import degraded


class ClipBatches:
    """Clips on a device; longer ones are cut at random places.

    Args:
        sets: all of them are used alike.
        rank, ranks: of several processes, each takes its share of every batch.

    Raises:
        InputError: clips shorter than the run's, or fewer than a batch.
    """

    def __init__(
        self,
        sets: Sequence[ClipSet],
        config: TrainConfig,
        device: torch.device,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        for clips in sets:
            check_training(clips, config.frames, "a training set")
        check_batches(sets, config, ranks)
        self.config = config
        self.device = device
        self.rank, self.ranks = rank, ranks
        # All frames one after another: a batch is one gather on the device.
        self._keypoints = _flat([clips.keypoints_2d for clips in sets]).to(device)
        self._poses = _flat([clips.poses_3d for clips in sets]).to(device)
        self._lengths = np.concatenate([np.full(len(clips), clips.frames) for clips in sets])
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._order: tuple[int, np.ndarray] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches; what is left over waits for the next epoch's order."""
        return len(self._lengths) // self.config.batch_size

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Keypoints (clips, frames, 17, 2) and poses (clips, frames, 17, 3) of this process."""
        config = self.config
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng([config.seed, 1, epoch]).permutation(len(self._lengths))
            self._order = (epoch, order)
        chosen = self._order[1][place * config.batch_size : (place + 1) * config.batch_size]
        rng = np.random.default_rng([config.seed, 2, step])
        cut = rng.integers(self._lengths[chosen] - config.frames + 1)
        mirrored = rng.random(len(chosen)) < 0.5
        mine = slice(self.rank, None, self.ranks)
        first = (self._starts[chosen] + cut)[mine]
        rows = torch.from_numpy(first[:, None] + np.arange(config.frames)).to(self.device)
        keypoints, poses = self._keypoints[rows], self._poses[rows]
        if config.flip:
            choose = torch.from_numpy(mirrored[mine]).to(self.device)[:, None, None, None]
            keypoints = torch.where(choose, flip(keypoints), keypoints)
            poses = torch.where(choose, flip(poses), poses)
        return self._degraded(keypoints, step), poses

    def _degraded(self, keypoints: Tensor, step: int) -> Tensor:
        """By a generator that depends on the step and the process alone."""
        generator = torch.Generator(self.device)
        generator.manual_seed((self.config.seed << 32) + step * self.ranks + self.rank)
        return degraded(keypoints, self.config, generator)


def _flat(parts: Sequence[np.ndarray]) -> Tensor:
    """Arrays (clips, frames, 17, c) to (all frames, 17, c)."""
    return torch.from_numpy(np.concatenate([part.reshape(-1, *part.shape[2:]) for part in parts]))
