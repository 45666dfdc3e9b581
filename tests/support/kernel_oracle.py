"""Sequential NumPy oracles of both operators: a loop over the steps, vectors over the rest.

In float64 they are the truth; in float32 they are "a plain implementation", whose error is the
yardstick for the kernels'. Written from the equations (Gu & Dao 2023, algorithm 2; PoseMamba,
arXiv 2408.03540, section 3), not from the kernels.
"""

from __future__ import annotations

import numpy as np
from kernel_api import (
    FRAME_MAJOR_FLIPPED,
    JOINT_MAJOR,
    JOINT_MAJOR_FLIPPED,
    CrossScanCase,
    ScanCase,
)


def softplus(v: np.ndarray) -> np.ndarray:
    """log(1 + e^v), the identity above 20, any shape."""
    return np.where(v > 20, v, np.maximum(v, 0) + np.log1p(np.exp(-np.abs(v))))


def step_positions(frames: int, joints: int, order: int, reverse: int) -> np.ndarray:
    """Position t * joints + j of every step of a direction, int64 [frames * joints]."""
    grid = np.arange(frames * joints).reshape(frames, joints)
    if order == FRAME_MAJOR_FLIPPED:
        grid = grid[:, ::-1]
    if order in (JOINT_MAJOR, JOINT_MAJOR_FLIPPED):
        grid = grid.T
        if order == JOINT_MAJOR_FLIPPED:
            grid = grid[:, ::-1]
    steps = grid.reshape(-1)
    return steps[::-1] if reverse else steps


def scan_steps(
    u: np.ndarray, dt: np.ndarray, A: np.ndarray, B: np.ndarray, C: np.ndarray
) -> np.ndarray:
    """h <- exp(dt A) h + dt B u; y = C . h.

    u, dt [batch, length, channels]; A [channels, d_state]; B, C [batch, length, d_state].
    """
    h = np.zeros((u.shape[0], *A.shape), u.dtype)  # [batch, channels, d_state]
    y = np.empty_like(u)
    for s in range(u.shape[1]):
        decay = np.exp(dt[:, s, :, None] * A)  # [batch, channels, d_state]
        h = decay * h + (dt[:, s] * u[:, s])[:, :, None] * B[:, s, None, :]
        y[:, s] = (h @ C[:, s, :, None])[..., 0]
    return y


def cross_scan(case: CrossScanCase, dtype: type = np.float64) -> np.ndarray:
    """y [batch, frames, joints, d_inner] of CrossSelectiveScan, in `dtype`."""
    batch, frames, joints, d_inner = case.x.shape
    directions, _, dt_rank = case.dt_weight.shape
    d_state = case.A.shape[2]
    length = frames * joints
    x = case.x.astype(dtype)
    x_dbl = case.x_dbl.astype(dtype)
    limb = np.asarray(case.limb_index[:joints])
    y = np.zeros((batch, length, d_inner), dtype)
    for k in range(directions):
        width = dt_rank + 2 * d_state
        row = x_dbl[..., k * width : (k + 1) * width]
        u = x
        if case.limb_mask[k]:
            u, row = u + u[:, :, limb], row + row[:, :, limb]
        at = step_positions(frames, joints, case.order[k], case.reverse[k])
        u = u.reshape(batch, length, d_inner)[:, at]
        row = row.reshape(batch, length, width)[:, at]
        raw, B, C = np.split(row, [dt_rank, dt_rank + d_state], axis=2)
        dt = softplus(raw @ case.dt_weight[k].astype(dtype).T + case.dt_bias[k].astype(dtype))
        out = scan_steps(u, dt, case.A[k].astype(dtype), B, C) + case.D[k].astype(dtype) * u
        y[:, at] += out
    return y.reshape(case.x.shape)


def direction_terms(case: CrossScanCase) -> np.ndarray:
    """The terms C_n h_n of every direction's outputs without D, float64, in step order.

    [batch, directions, frames * joints, d_inner, d_state]; the last axis sums to the outputs.
    """
    batch, frames, joints, d_inner = case.x.shape
    steps, rank, n = frames * joints, case.dt_weight.shape[2], case.A.shape[2]
    x = case.x.reshape(batch, steps, d_inner).astype(np.float64)
    rows = case.x_dbl.reshape(batch, steps, len(case.order), rank + 2 * n).astype(np.float64)
    token = np.arange(steps)
    limb = token // joints * joints + np.array(case.limb_index)[token % joints]
    terms = np.empty((batch, len(case.order), steps, d_inner, n))
    for k, masked in enumerate(case.limb_mask):
        walk = step_positions(frames, joints, case.order[k], case.reverse[k])
        u, row = x[:, walk], rows[:, walk, k]
        if masked:
            u, row = u + x[:, limb[walk]], row + rows[:, limb[walk], k]
        dt = softplus(row[..., :rank] @ case.dt_weight[k].T + case.dt_bias[k])
        B, C = row[..., rank : rank + n], row[..., rank + n :]
        alone = (C * np.eye(n)[:, None, None, :]).reshape(-1, steps, n)  # a state at a time
        u, dt, B = (np.tile(values, (n, 1, 1)) for values in (u, dt, B))
        y = scan_steps(u, dt, case.A[k].astype(np.float64), B, alone)
        terms[:, k] = np.moveaxis(y.reshape(n, batch, steps, d_inner), 0, -1)
    return terms


def scan(case: ScanCase, dtype: type = np.float64) -> np.ndarray:
    """y [batch, groups * channels, length] of SelectiveScan, in `dtype`."""
    groups = case.B.shape[1]
    channels = case.u.shape[1] // groups
    u = case.u.astype(dtype)
    delta = case.delta.astype(dtype)
    if case.delta_bias is not None:
        delta = delta + case.delta_bias.astype(dtype)[:, None]
    if case.delta_softplus:
        delta = softplus(delta)
    y = np.empty_like(u)
    for g in range(groups):
        of = slice(g * channels, (g + 1) * channels)
        way = -1 if case.reverse[g] else 1
        steps = [
            np.moveaxis(v.astype(dtype), 1, 2)[:, ::way]
            for v in (u[:, of], delta[:, of], case.B[:, g], case.C[:, g])
        ]  # [batch, length, channels or d_state]
        out = scan_steps(steps[0], steps[1], case.A[of].astype(dtype), steps[2], steps[3])
        y[:, of] = np.moveaxis(out[:, ::way], 1, 2)
    if case.D is not None:
        y += case.D.astype(dtype)[:, None] * u
    if case.z is not None:
        z = case.z.astype(dtype)
        with np.errstate(over="ignore"):  # e^-z of a large negative z: z / inf is the right 0
            y *= z / (1 + np.exp(-z))
    return y
