"""What is in a checkpoint, for people: sizes, scan order, origin, what it can be exported as."""

from __future__ import annotations

import os
from typing import Any, get_args

from pmexport.format.limits import check_kernels
from pmexport.format.options import OpsMode
from posemamba.checkpoint.read import Checkpoint, read_checkpoint
from posemamba.config import PoseMambaConfig
from posemamba.errors import InputError


def inspect_checkpoint(file: str | os.PathLike[str] | Checkpoint) -> dict[str, Any]:
    """Everything about a checkpoint that the file and what lies beside it tell.

    Raises:
        InputError: as :func:`posemamba.checkpoint.read.read_checkpoint`.
    """
    checkpoint = file if isinstance(file, Checkpoint) else read_checkpoint(file)
    config = checkpoint.config
    return {
        "file": {"path": str(checkpoint.path), "sha256": checkpoint.sha256},
        "variant": config.variant,
        "parameters": sum(tensor.numel() for tensor in checkpoint.state.values()),
        "scan_order": {
            "name": config.scan_order,
            "source": checkpoint.scan_order_source,
            "guessed": checkpoint.scan_order_guessed,
        },
        "epoch": checkpoint.epoch,
        "min_loss_mm": checkpoint.min_loss,
        "config": config.to_dict(),
        "ops": {mode: _refusal(mode, config) or "yes" for mode in get_args(OpsMode)},
    }


def _refusal(ops: OpsMode, config: PoseMambaConfig) -> str | None:
    """Why a network cannot be exported with some operators."""
    try:
        check_kernels(ops, config)
    except InputError as error:
        return f"no: {str(error).partition(':')[0]}"
    return None
