"""PoseMamba (AAAI 2025): the network, its kernels, checkpoints, data, training and evaluation.

Names are imported when first used, so that the command-line tools answer ``--help`` without
waiting for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posemamba.checkpoint.read import load_checkpoint
    from posemamba.config import VARIANTS, PoseMambaConfig
    from posemamba.errors import InputError
    from posemamba.model.network import PoseMamba

_HOME = {
    "VARIANTS": "config",
    "InputError": "errors",
    "PoseMamba": "model.network",
    "PoseMambaConfig": "config",
    "load_checkpoint": "checkpoint.read",
}

__all__ = ["VARIANTS", "InputError", "PoseMamba", "PoseMambaConfig", "load_checkpoint"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'posemamba' has no attribute '{name}'")
    return getattr(importlib.import_module(f"posemamba.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
