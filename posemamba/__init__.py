"""PoseMamba (AAAI 2025): the model, its checkpoints, preprocessing and metrics; PyTorch only."""

from posemamba.config import VARIANTS, PoseMambaConfig
from posemamba.errors import InputError
from posemamba.model import PoseMamba

__all__ = ["VARIANTS", "InputError", "PoseMamba", "PoseMambaConfig"]
