"""Initial values of a Mamba-1 block (Gu and Dao, arXiv 2312.00752, section 3.6)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from posemamba.errors import InputError


def step_projection(
    rank: int,
    channels: int,
    *,
    smallest: float,
    largest: float,
    floor: float,
    kind: str,
    scale: float,
) -> nn.Linear:
    """``dt_proj``: its bias makes the first step sizes log-uniform, from smallest to largest.

    Args:
        floor: no step size is below it.
        kind: ``random`` or ``constant``, of the weight.
        scale: of the weight's range.

    Raises:
        InputError: another kind.
    """
    layer = nn.Linear(rank, channels)
    bound = rank**-0.5 * scale
    if kind == "constant":
        nn.init.constant_(layer.weight, bound)
    elif kind == "random":
        nn.init.uniform_(layer.weight, -bound, bound)
    else:
        raise InputError(f"dt_init '{kind}': use 'random' or 'constant'")
    span = math.log(largest) - math.log(smallest)
    dt = torch.exp(torch.rand(channels) * span + math.log(smallest)).clamp(min=floor)
    with torch.no_grad():
        layer.bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # inverse softplus
    return layer


def log_rates(channels: int, state: int) -> Tensor:
    """``A_log`` with A = -(1..N) in every channel: (channels, state)."""
    return torch.arange(1, state + 1, dtype=torch.float32).log().repeat(channels, 1)


def default_rank(dt_rank: int | str, d_model: int) -> int:
    """``auto`` is a sixteenth of the width, rounded up."""
    return math.ceil(d_model / 16) if isinstance(dt_rank, str) else dt_rank
