"""Where a run's weights come from: the seed, or a network that was trained before."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from posemamba.checkpoint.read import read_checkpoint
from posemamba.config import PoseMambaConfig
from posemamba.errors import InputError
from posemamba.model.network import PoseMamba
from posemamba.text import plural

TEMPORAL = "Temporal_pos_embed"
"""The one tensor of the network whose size is the number of frames: (1, frames, d_model)."""


@dataclass(frozen=True)
class Start:
    """A network to go on from.

    Attributes:
        state: its weights, by official key, as many frames as the run's.
        origins: what it was trained on, as its file says.
        note: what it is and what was done to it, for the record of the run.
    """

    state: dict[str, Tensor]
    origins: tuple[str, ...]
    note: str


def scale_branches(model: PoseMamba, scale: float) -> None:
    """Multiply the last layer of every residual branch; with 0 a block passes its input on."""
    with torch.no_grad():
        for block in (*model.STEblocks, *model.TTEblocks):
            for last in (block.op.out_proj, block.mlp.fc2):
                for parameter in last.parameters():
                    parameter.mul_(scale)


def interpolate_frames(embedding: Tensor, frames: int) -> Tensor:
    """A temporal embedding (1, n, d_model) to (1, frames, d_model), linearly over the clip.

    First and last row stay; row i of the result is what the old embedding has at row
    i * (n - 1) / (frames - 1). One row becomes all of them, and of many the first becomes the one.
    """
    rows = F.interpolate(embedding.transpose(1, 2), frames, mode="linear", align_corners=True)
    return rows.transpose(1, 2).contiguous()


def interpolation_note(found: int, wanted: int) -> str:
    """What was done to weights of ``found`` frames; empty where that is what is wanted."""
    if found == wanted:
        return ""
    return f", its temporal embedding interpolated from {found} to {plural(wanted, 'frame')}"


def read_start(init: str, wanted: PoseMambaConfig, weights: str | None = None) -> Start:
    """The weights of checkpoint ``init`` for a run that trains ``wanted``.

    Another number of frames is told in a warning, see :func:`interpolate_frames`. ``weights``
    names one of several sets.

    Raises:
        InputError: no checkpoint, or one of another network: the weights would not fit, or mean
            something else.
    """
    checkpoint = read_checkpoint(init, weights=weights)
    frames = checkpoint.config.frames
    found = dataclasses.replace(checkpoint.config, drop_path=wanted.drop_path, frames=wanted.frames)
    if checkpoint.scan_order_guessed:
        found = dataclasses.replace(found, scan_order=wanted.scan_order)
    for name, value in dataclasses.asdict(wanted).items():
        if (has := getattr(found, name)) != value:
            raise InputError(
                f"'{checkpoint.path}' has {name} {has}, this run {value}: ask for the same network"
            )
    state, done = dict(checkpoint.state), interpolation_note(frames, wanted.frames)
    if done:
        state[TEMPORAL] = interpolate_frames(state[TEMPORAL], wanted.frames)
        warnings.warn(f"'{checkpoint.path}'{done}", stacklevel=2)
    return Start(
        state,
        tuple((checkpoint.data or "not recorded").split("; ")),
        f"weights with SHA-256 {checkpoint.sha256}{done}",
    )
