"""Devices by name."""

from __future__ import annotations

import os

import torch

from posemamba.errors import InputError
from posemamba.text import plural


def pick_device(name: str) -> torch.device:
    """``cpu``, ``cuda`` (under torchrun, this process's) or ``cuda:N``.

    Raises:
        InputError: no such device here.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"--device {name}: use cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device {name}: use cpu, cuda or cuda:N")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise InputError(f"--device {name}: PyTorch finds no CUDA device here; use cpu")
        index = int(os.environ.get("LOCAL_RANK", "0")) if device.index is None else device.index
        if index >= torch.cuda.device_count():
            found = plural(torch.cuda.device_count(), "CUDA device")
            raise InputError(f"--device {name}: there is no such one among {found}")
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
    return device
