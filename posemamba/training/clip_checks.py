"""Clip sets a network cannot be trained or measured on, refused before any work."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from posemamba.data.clip_set import ClipSet
from posemamba.errors import InputError
from posemamba.evaluation.clip_sets import doubtful_size, why_no_truth, why_unmeasurable
from posemamba.skeleton import ROOT
from posemamba.text import plural
from posemamba.training.config import TrainConfig

ROOT_OFFSET = 1e-3
"""Units: more than rounding, less than a joint's error."""


_MOST_APART = 20.0
"""Poses are in the image's unit: as large as the keypoints. Metres are two to five times that."""


def check_training(clips: ClipSet, frames: int, name: str) -> None:
    """Refuse clips that a network on so many ``frames`` cannot learn from.

    Args:
        name: of the clips, for the message.

    Raises:
        InputError: clips that are too short, poses that are points, or that are not root-relative:
            the network would learn where people stand.
    """
    if (reason := why_no_truth(clips)) is not None:
        raise InputError(f"{name}: {reason}")
    offset = float(np.abs(clips.poses_3d[:, :, ROOT]).max())
    if offset > ROOT_OFFSET:
        raise InputError(
            f"{name}: poses_3d are not root-relative, joint {ROOT} is up to {offset:g} units from "
            "the origin: subtract it from each pose"
        )
    if clips.frames < frames:
        raise InputError(
            f"{name}: clips of {plural(clips.frames, 'frame')} cannot train a network on "
            f"{frames}: make longer ones, or use a smaller --frames"
        )


def check_validation(clips: ClipSet, name: str) -> None:
    """Refuse clips whose errors cannot be measured; any length from two frames can be.

    Raises:
        InputError: :func:`posemamba.evaluation.clip_sets.why_unmeasurable`.
    """
    if (reason := why_unmeasurable(clips)) is not None:
        raise InputError(f"{name}: {reason}")


def warn_of_units(clips: ClipSet, name: str) -> None:
    """Tell of people who are no people's size, in millimetres or beside their own keypoints."""
    if (doubt := doubtful_size(clips)) is not None:
        warnings.warn(f"{name}: {doubt}", stacklevel=2)
    sizes = [
        float(np.median(np.ptp(each[..., :2], axis=2).max(axis=-1)))
        for each in (clips.poses_3d, clips.keypoints_2d)
    ]
    if min(sizes) > 0 and max(sizes) > _MOST_APART * min(sizes):
        warnings.warn(
            f"{name}: people measure {sizes[0]:.3g} units in poses_3d and {sizes[1]:.3g} in "
            "keypoints_2d: both should be in the image's unit",
            stacklevel=2,
        )


def warn_of_the_same(val: ClipSet, sets: Sequence[ClipSet], name: str) -> None:
    """Tell where a network is validated on what it learned by heart."""
    if val.sha256 in {clips.sha256 for clips in sets}:
        warnings.warn(
            f"{name}: is trained on too, so its error says nothing of other clips", stacklevel=2
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
