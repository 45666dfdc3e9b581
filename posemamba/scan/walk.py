"""Walking the (frames, joints) grid in the orders of :mod:`posemamba.scan_order`."""

from __future__ import annotations

import torch
from torch import Tensor

from posemamba.scan_order import Order


def arrange(grid: Tensor, order: int) -> Tensor:
    """Lay positions out in visiting order: (batch, frames, joints, c) -> (batch, L, c)."""
    if order in (Order.JOINT_MAJOR, Order.JOINT_MAJOR_FLIPPED):
        grid = grid.transpose(1, 2)  # (batch, joints, frames, c)
    if order in (Order.FRAME_MAJOR_FLIPPED, Order.JOINT_MAJOR_FLIPPED):
        grid = grid.flip(2)
    return grid.flatten(1, 2)


def restore(sequence: Tensor, order: int, frames: int, joints: int) -> Tensor:
    """Undo :func:`arrange`: (batch, L, c) -> (batch, frames, joints, c)."""
    joint_major = order in (Order.JOINT_MAJOR, Order.JOINT_MAJOR_FLIPPED)
    outer, inner = (joints, frames) if joint_major else (frames, joints)
    grid = torch.unflatten(sequence, 1, (outer, inner))
    if order in (Order.FRAME_MAJOR_FLIPPED, Order.JOINT_MAJOR_FLIPPED):
        grid = grid.flip(2)
    return grid.transpose(1, 2) if joint_major else grid


def visiting_positions(order: int, reverse: int, frames: int, joints: int) -> Tensor:
    """Position ``t * joints + j`` visited at each step: int64 (L,)."""
    grid = torch.arange(frames * joints).view(1, frames, joints, 1)
    steps = arrange(grid, order).flatten()
    return steps.flip(0) if reverse else steps
