"""PoseMamba (AAAI 2025): the model, its checkpoints, preprocessing and metrics; PyTorch only."""

from posemamba.checkpoint import load_checkpoint, read_checkpoint, save_checkpoint
from posemamba.config import VARIANTS, PoseMambaConfig
from posemamba.errors import InputError
from posemamba.model import PoseMamba

__all__ = [
    "VARIANTS",
    "InputError",
    "PoseMamba",
    "PoseMambaConfig",
    "load_checkpoint",
    "read_checkpoint",
    "save_checkpoint",
]
