"""Checkpoints of random weights, for trying the chain where no trained ones are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from posemamba.checkpoint.save import TRAINING_KEY, save_checkpoint
from posemamba.config import PoseMambaConfig
from posemamba.model.network import PoseMamba


def untrained_network(config: PoseMambaConfig, seed: int) -> PoseMamba:
    """A freshly initialised network in eval mode; PyTorch's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PoseMamba(config).eval()


def save_untrained(path: str | os.PathLike[str], *, variant: str, frames: int, seed: int) -> int:
    """Write a freshly initialised network; the file's header says that it is untrained.

    Args:
        path: ends in ``.safetensors``.
        variant: a size of the paper.
        frames: rows of the temporal position embedding.
        seed: of PyTorch's generator, whose state is left as it was.

    Returns:
        Number of parameters.

    Raises:
        InputError: as :func:`posemamba.checkpoint.save.save_checkpoint`.
    """
    path = Path(path)
    network = untrained_network(PoseMambaConfig.from_variant(variant, frames=frames), seed)
    note = f"UNTRAINED: random weights, seed {seed}"
    save_checkpoint(network, path, metadata={TRAINING_KEY: note})
    return sum(parameter.numel() for parameter in network.parameters())
