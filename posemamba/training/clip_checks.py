"""Clip sets a network cannot be trained or measured on, refused before any work."""

from __future__ import annotations

from collections.abc import Sequence

from posemamba.data.clip_set import ClipSet
from posemamba.errors import InputError
from posemamba.text import plural
from posemamba.training.config import TrainConfig


def check_training(clips: ClipSet, frames: int, name: str) -> None:
    """Refuse clips that a network on so many ``frames`` cannot learn from.

    Args:
        name: of the clips, for the message.

    Raises:
        InputError: clips that are too short.
    """
    if clips.frames < frames:
        raise InputError(
            f"{name}: clips of {plural(clips.frames, 'frame')} cannot train a network on "
            f"{frames}: make longer ones, or use a smaller --frames"
        )


def check_validation(clips: ClipSet, name: str) -> None:
    """Refuse clips whose errors cannot be measured; any length from two frames can be.

    Raises:
        InputError: clips of one frame.
    """
    if clips.frames < 2:
        raise InputError(
            f"{name}: clips of one frame have no velocity to measure: make longer ones"
        )


def check_batches(sets: Sequence[ClipSet], config: TrainConfig, processes: int = 1) -> None:
    """Refuse a batch that cannot be drawn from all clips together, or not be split.

    Raises:
        InputError: fewer clips than a batch, or a batch that does not split evenly.
    """
    if config.batch_size % (processes * config.accumulate):
        raise InputError(
            f"batch_size {config.batch_size} cannot be split over "
            f"{plural(processes, 'process', 'processes')} and "
            f"{plural(config.accumulate, 'pass', 'passes')}: use a multiple of "
            f"{processes * config.accumulate}"
        )
    count = sum(len(clips) for clips in sets)
    if count < config.batch_size:
        raise InputError(
            f"{plural(count, 'clip')}, fewer than a batch of {config.batch_size}: use a smaller "
            "batch, or more clips"
        )
