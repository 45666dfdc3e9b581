"""The selective scan in NumPy and float64, from its formula; it shares no code with the package.

Many scans over the same steps are done at once, so that a grid of cases costs one loop each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def silu(x: Array) -> Array:
    return x / (1.0 + np.exp(-x))


def scan(u: Array, dt: Array, A: Array, B: Array, C: Array) -> tuple[Array, Array]:
    """``h = exp(dt A) h + dt u B``, ``y = C h``, real or complex.

    Args:
        u, dt: (..., d, L); A: (d, N); B, C: (..., d, N, L), each channel's own.

    Returns:
        ``C h`` (..., d, L) and the last h (..., d, N).
    """
    kind = np.result_type(A, B, np.float64)
    shape = np.broadcast_shapes(u.shape[:-1], dt.shape[:-1], B.shape[:-2])
    state = np.zeros((*shape, A.shape[-1]), kind)
    steps = []
    for t in range(u.shape[-1]):
        now = dt[..., t, None]
        state = np.exp(now * A) * state + now * u[..., t, None] * B[..., t]
        steps.append((state * C[..., t]).sum(-1))
    return np.stack(steps, -1), state


def own_projection(value: Array, channels: int, length: int, is_complex: bool = False) -> Array:
    """B or C as mamba-ssm takes them, to (batch or 1, d, N, L)."""
    if value.ndim == 2:
        return np.repeat(value[None, :, :, None], length, -1)
    if is_complex:
        value = value[..., 0::2] + 1j * value[..., 1::2]
    if value.ndim == 3:
        value = value[:, None]
    return np.repeat(value, channels // value.shape[1], 1)


def selective_scan(
    u: Array,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    delta_softplus: bool = False,
) -> tuple[Array, Array]:
    """What mamba-ssm's ``selective_scan_fn`` is to give: the output and the last state."""
    is_complex = np.iscomplexobj(A)
    dt = delta if delta_bias is None else delta + delta_bias[:, None]
    dt = softplus(dt) if delta_softplus else dt
    channels, length = u.shape[1:]
    b, c = (own_projection(value, channels, length, is_complex) for value in (B, C))
    y, state = scan(u, dt, A, b, c)
    y = 2 * y.real if is_complex else y
    y = y if D is None else y + D[:, None] * u
    return (y if z is None else y * silu(z)), state
