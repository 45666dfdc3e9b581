"""Trained weights in and out.

Names are imported when first used: :mod:`posemamba.checkpoint.bundled` works without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posemamba.checkpoint.read import Checkpoint, load_checkpoint, read_checkpoint
    from posemamba.checkpoint.save import save_checkpoint

_HOME = {
    "Checkpoint": "read",
    "load_checkpoint": "read",
    "read_checkpoint": "read",
    "save_checkpoint": "save",
}

__all__ = ["Checkpoint", "load_checkpoint", "read_checkpoint", "save_checkpoint"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'posemamba.checkpoint' has no attribute '{name}'")
    return getattr(importlib.import_module(f"posemamba.checkpoint.{_HOME[name]}"), name)
