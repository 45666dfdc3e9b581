"""Walking the (frames, joints) grid in the orders of :mod:`posemamba.scan_order`."""

from __future__ import annotations

import torch
from torch import Tensor

from posemamba.scan_order import EACH_ROW, Order, Walk


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


def index_tables(
    walk: Walk, visited: Tensor, neighbours: Tensor, frames: int, joints: int
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """A walk as the tables of ``CrossSelectiveScan``, version 2; int32.

    Args:
        visited, neighbours: (m,) integers, the joints in the order they are visited and their limb
            neighbours; the tables are made on their device.

    Returns:
        ``scan_index`` (K, frames * m); ``neighbour_index`` (K, frames * m) or None;
        ``reset_length`` (K,) or None.
    """
    rows = torch.arange(frames, device=visited.device)[:, None] * joints
    read, added = (rows + joint for joint in (visited, neighbours))  # (frames, m)
    scan, limbs, resets = [], [], []
    for k, order in enumerate(walk.order):
        positions = _visits(read, order, walk.reverse[k])
        scan.append(positions)
        limb = _visits(added, order, walk.reverse[k])
        limbs.append(limb if walk.limb_mask[k] else torch.full_like(limb, -1))
        by_joint = order in (Order.JOINT_MAJOR, Order.JOINT_MAJOR_FLIPPED)
        row = frames if by_joint else visited.shape[0]
        steps = row if walk.reset == EACH_ROW else walk.reset
        resets.append(torch.full((1,), steps, dtype=torch.int32, device=visited.device))
    return (
        torch.stack(scan).to(torch.int32),
        torch.stack(limbs).to(torch.int32) if any(walk.limb_mask) else None,
        torch.cat(resets) if walk.reset else None,
    )


def _visits(grid: Tensor, order: int, reverse: int) -> Tensor:
    """(frames, m) in visiting order."""
    steps = arrange(grid[None, :, :, None], order).flatten()
    return steps.flip(0) if reverse else steps
