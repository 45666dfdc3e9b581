"""Random problems with the statistics of the model: A = -(1..N), dt from [1e-3, 0.1]."""

from __future__ import annotations

import numpy as np
from kernel_api import H36M_LIMB, MAX_DIRECTIONS, CrossScanCase, ScanCase


def dt_bias(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse softplus of a log-uniform draw from [1e-3, 0.1], the model's initialisation."""
    dt = np.exp(rng.uniform(np.log(1e-3), np.log(0.1), shape))
    return np.log(np.expm1(dt)).astype(np.float32)


def limb_table(joints: int) -> tuple[int, ...]:
    """The model's table for 17 joints, another one with fixed points for other counts."""
    return H36M_LIMB if joints == 17 else tuple(max(0, j - 1 - j % 3) for j in range(joints))


def cross_scan_case(
    seed: int = 0,
    *,
    batch: int = 1,
    frames: int = 9,
    joints: int = 17,
    d_inner: int = 40,
    d_state: int = 16,
    dt_rank: int = 8,
    dtype: str = "float32",
    order: tuple[int, ...] = (0, 1, 0, 1),
    reverse: tuple[int, ...] = (0, 0, 1, 1),
    limb_mask: tuple[int, ...] = (1, 0, 1, 0),
    dt_scale: float = 0.3,
    a_scale: float = 1.0,
) -> CrossScanCase:
    """A contiguous CrossSelectiveScan problem."""
    rng = np.random.default_rng(seed)
    directions = len(order)
    width = directions * (dt_rank + 2 * d_state)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    return CrossScanCase(
        x=normal(batch, frames, joints, d_inner).astype(dtype),
        x_dbl=normal(batch, frames, joints, width).astype(dtype),
        dt_weight=normal(directions, d_inner, dt_rank) * np.float32(dt_scale),
        dt_bias=dt_bias(rng, (directions, d_inner)),
        A=-np.exp(0.2 * normal(directions, d_inner, d_state))
        * np.arange(1, d_state + 1, dtype=np.float32)
        * np.float32(a_scale),
        D=normal(directions, d_inner),
        order=order,
        reverse=reverse,
        limb_mask=limb_mask,
        limb_index=limb_table(joints),
    )


def scan_case(
    seed: int = 0,
    *,
    batch: int = 2,
    groups: int = 2,
    channels: int = 24,
    length: int = 75,
    d_state: int = 16,
    dtype: str = "float32",
    with_d: bool = True,
    with_z: bool = True,
    with_bias: bool = True,
    delta_softplus: bool = True,
    reverse: tuple[int, ...] = (0, 1) + (0,) * (MAX_DIRECTIONS - 2),
    delta_scale: float = 1.0,
) -> ScanCase:
    """A contiguous SelectiveScan problem."""
    rng = np.random.default_rng(seed)
    everything = groups * channels

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    delta = normal(batch, everything, length) * np.float32(delta_scale)
    if not delta_softplus:
        delta = np.abs(delta) * np.float32(0.1)
    return ScanCase(
        u=normal(batch, everything, length).astype(dtype),
        delta=delta.astype(dtype),
        A=-np.exp(0.2 * normal(everything, d_state)) * np.arange(1, d_state + 1, dtype=np.float32),
        B=normal(batch, groups, d_state, length).astype(dtype),
        C=normal(batch, groups, d_state, length).astype(dtype),
        D=normal(everything) if with_d else None,
        z=(3 * normal(batch, everything, length)).astype(dtype) if with_z else None,
        delta_bias=dt_bias(rng, (everything,)) if with_bias else None,
        delta_softplus=delta_softplus,
        reverse=reverse,
    )
