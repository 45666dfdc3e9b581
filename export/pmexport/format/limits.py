"""The largest sizes a request may have: beyond them it could only fail, or never return."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posemamba.errors import InputError
from posemamba.skeleton import NUM_JOINTS

if TYPE_CHECKING:
    from posemamba.config import PoseMambaConfig

MAX_FRAMES = 243
"""``posemamba.config.MAX_FRAMES``, which cannot be read without PyTorch; a test compares them."""
MAX_ELEMENTS = 2**31 - 1
"""TensorRT and the kernels count the elements of a tensor in 32 bits."""
MAX_BATCH = MAX_ELEMENTS // (NUM_JOINTS * 2)
"""Clips of one frame whose keypoints are that many; a network's own tensors allow fewer."""
MAX_THREADS = 1024
"""More than any machine has cores for; a pool of 100,000 is never up."""


def check_elements(config: PoseMambaConfig, batch: int, frames: int) -> None:
    """Make sure the kernels can index every tensor of a network.

    Raises:
        InputError: they cannot.
    """
    elements = batch * frames * config.joints * _widest(config)
    if elements > MAX_ELEMENTS:
        raise InputError(
            f"--batch {batch} with --frames {frames}: a tensor would have {elements:,} elements, "
            f"the kernels index {MAX_ELEMENTS:,}: use a smaller --batch"
        )


def _widest(config: PoseMambaConfig) -> int:
    """Channels of the widest tensor: the scanned, all directions' ``x_proj``, or the MLP's."""
    projections = config.order.directions * (config.dt_rank + 2 * config.d_state)
    return max(config.d_inner, projections, config.mlp_ratio * config.d_model)
