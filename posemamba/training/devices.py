"""Devices by name, and what a run needs of them, refused early and in one line."""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch

from posemamba.errors import InputError
from posemamba.training.config import TrainConfig


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
            raise InputError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices")
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
    return device


def check_device(config: TrainConfig, device: torch.device) -> None:
    """Refuse what this device or machine cannot do.

    Raises:
        InputError: a CUDA graph or mamba-ssm without CUDA, or mamba-ssm where it is missing.
    """
    if config.cuda_graph and device.type != "cuda":
        raise InputError("cuda_graph needs a CUDA device: name it with --device cuda")
    if config.scan == "mamba-ssm" and find_spec("mamba_ssm") is None:
        raise InputError(
            "scan mamba-ssm needs the mamba-ssm package: install it with "
            "pip install 'pmexport[mamba]', or use --scan chunked"
        )
    if config.scan == "mamba-ssm" and device.type != "cuda":
        raise InputError("scan mamba-ssm needs --device cuda: name it, or use --scan chunked")
