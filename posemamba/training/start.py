"""Where a run's weights come from: the seed, or a network that was trained before."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from torch import Tensor

from posemamba.checkpoint.read import read_checkpoint
from posemamba.config import PoseMambaConfig
from posemamba.errors import InputError


@dataclass(frozen=True)
class Start:
    """A network to go on from.

    Attributes:
        state: its weights, by official key.
        sha256: of its file.
        origins: what it was trained on, as its file says.
    """

    state: dict[str, Tensor]
    sha256: str
    origins: tuple[str, ...]


def read_start(init: str, wanted: PoseMambaConfig) -> Start:
    """The weights of checkpoint ``init`` for a run that trains ``wanted``.

    Raises:
        InputError: no checkpoint, or one of another network: the weights would not fit, or mean
            something else.
    """
    checkpoint = read_checkpoint(init)
    found = dataclasses.replace(checkpoint.config, drop_path=wanted.drop_path)
    if checkpoint.scan_order_guessed:
        found = dataclasses.replace(found, scan_order=wanted.scan_order)
    for name, value in dataclasses.asdict(wanted).items():
        if (has := getattr(found, name)) != value:
            raise InputError(
                f"'{checkpoint.path}' has {name} {has}, this run {value}: ask for the same network"
            )
    origins = tuple((checkpoint.data or "not recorded").split("; "))
    return Start(checkpoint.state, checkpoint.sha256, origins)
