"""Checkpoints of a run, in the authors' format with what resuming needs beside it."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from posemamba.errors import InputError
from posemamba.files.output import replacing
from posemamba.training.config import AUTO, TrainConfig

#: Settings that may change between a run and its continuation: they do not change the weights.
_MAY_CHANGE = {"val_every", "save_every", "minutes", "cuda_graph"}


def save_state(path: str | os.PathLike[str], content: dict[str, Any], config: TrainConfig) -> None:
    """Write ``content`` (``model_pos``, ``optimizer``, ``step``, ...), whole or not at all."""
    path = Path(path)
    settings = json.dumps(dataclasses.asdict(config))
    with replacing(path) as temporary:
        torch.save({**content, "train_config": settings}, temporary)


def load_state(
    path: str | os.PathLike[str], config: TrainConfig, clips: Sequence[str]
) -> dict[str, Any]:
    """Read what :func:`save_state` wrote; nothing in the file is executed.

    Args:
        clips: SHA-256 of each set that is trained on, in order; a file older than this has none.

    Raises:
        InputError: no such file, not one of ours, or of a run with other settings or clips.
    """
    path = Path(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        settings = json.loads(content["train_config"])
    except FileNotFoundError:
        raise InputError(f"nothing to resume at '{path}': start without --resume") from None
    except Exception:  # torch has no single class for damaged files
        raise InputError(
            f"'{path}' is no checkpoint of a run, or damaged: remove it and start without --resume"
        ) from None
    # A setting younger than the file had its default, which is what was done before it.
    settings = dataclasses.asdict(TrainConfig()) | settings
    now = json.loads(json.dumps(dataclasses.asdict(config)))
    may_change = _MAY_CHANGE
    if config.scan == AUTO:  # nobody asked: every scan computes the same function
        may_change = may_change | {"scan"}
    if config.schedule == "exponential":  # its rates do not look at the run's length
        may_change = may_change | {"epochs", "steps"}
    for name, value in now.items():
        if name not in may_change and settings.get(name) != value:
            raise InputError(
                f"'{path}' was trained with {name} {settings.get(name)!r}, not {value!r}: "
                "resume with the same settings"
            )
    assert isinstance(content, dict)
    if content.get("clips", clips) != clips:
        raise InputError(
            f"'{path}' was trained on other clips, or on these in another order: resume with the "
            "same --data"
        )
    return content
