"""What a run needs of its device, refused early and in one line."""

from __future__ import annotations

from importlib.util import find_spec
from typing import cast

import torch

from posemamba.errors import InputError
from posemamba.model.blocks import ScanBackend
from posemamba.native.gradients import NATIVE_GRADIENTS
from posemamba.training.config import AUTO, TrainConfig


def choose_scan(config: TrainConfig, device: torch.device) -> ScanBackend:
    """The scan to train with: what was asked for; for ``auto`` the fused one where its gradients
    are native kernels, else the chunked one."""
    if config.scan != AUTO:
        return cast("ScanBackend", config.scan)
    return "fused" if device.type in NATIVE_GRADIENTS else "chunked"


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
            "pip install '.[mamba]', or use --scan chunked"
        )
    if config.scan == "mamba-ssm" and device.type != "cuda":
        raise InputError("scan mamba-ssm needs --device cuda: name it, or use --scan chunked")
