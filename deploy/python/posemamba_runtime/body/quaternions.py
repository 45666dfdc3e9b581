"""Unit quaternions w, x, y, z in arrays (..., 4); functions broadcast."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_OPPOSITE = 1e-12
"""1 + cos of an angle within 2e-6 of a half turn, whose axis nothing decides."""


def multiply(first: Array, second: Array) -> Array:
    """Hamilton's product: the rotation ``second``, then ``first``."""
    w, v = first[..., :1], first[..., 1:]
    u, t = second[..., :1], second[..., 1:]
    real = w * u - (v * t).sum(-1, keepdims=True)
    return np.concatenate([real, w * t + u * v + np.cross(v, t)], axis=-1)


def conjugate(quaternion: Array) -> Array:
    """The rotation back."""
    back: Array = quaternion * np.array([1.0, -1.0, -1.0, -1.0])
    return back


def rotate(quaternion: Array, vector: Array) -> Array:
    """Turn vectors (..., 3)."""
    w, v = quaternion[..., :1], quaternion[..., 1:]
    across = 2.0 * np.cross(v, vector)
    turned: Array = vector + w * across + np.cross(v, across)
    return turned


def shortest_arc(start: Array, end: Array) -> Array:
    """The rotation without twist that takes one unit vector (..., 3) to another.

    Opposite vectors are joined by a half turn about an axis that depends on ``start`` alone.
    """
    start, end = np.broadcast_arrays(start, end)
    real = 1.0 + (start * end).sum(-1, keepdims=True)
    arc = np.concatenate([real, np.cross(start, end)], axis=-1)
    # The coordinate axis least along `start` is never parallel to it.
    across = np.cross(start, np.eye(3)[np.abs(start).argmin(-1)])
    half_turn = np.concatenate([np.zeros_like(real), across], axis=-1)
    return _normalised(np.where(real < _OPPOSITE, half_turn, arc))


def from_axes(x: Array, y: Array, z: Array) -> Array:
    """The rotation that takes the coordinate axes to right-handed unit vectors (n, 3).

    Shepperd's method (1978): of four equal expressions the one that divides by most.
    """
    (a, d, g), (b, e, h), (c, f, i) = x.T, y.T, z.T  # the matrix's rows are a b c, d e f, g h i
    one = np.ones_like(a)
    candidates = np.array(
        [
            [one + a + e + i, h - f, c - g, d - b],
            [h - f, one + a - e - i, b + d, c + g],
            [c - g, b + d, one - a + e - i, f + h],
            [d - b, c + g, f + h, one - a - e + i],
        ]
    )  # (4, 4, n)
    best = np.array([a + e + i, a, e, i]).argmax(0)
    return _normalised(candidates[best, :, np.arange(len(best))])


def to_matrices(quaternion: Array) -> Array:
    """(..., 4) to rotation matrices (..., 3, 3)."""
    return np.stack([rotate(quaternion, axis) for axis in np.eye(3)], axis=-1)


def continuous(quaternion: Array) -> Array:
    """(n, ..., 4) without jumps between the two signs that mean one rotation; the first stays."""
    steps = (quaternion[1:] * quaternion[:-1]).sum(-1, keepdims=True)
    signs = np.cumprod(np.where(steps < 0, -1.0, 1.0), axis=0)
    return np.concatenate([quaternion[:1], quaternion[1:] * signs])


def _normalised(quaternion: Array) -> Array:
    unit: Array = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return unit
