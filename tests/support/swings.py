"""Clip sets of poses that swing."""

from __future__ import annotations

import numpy as np

from posemamba.data.clip_set import ClipSet


def swings(seed: int, count: int, frames: int, origin: str = "") -> ClipSet:
    """Random walks of every joint, seen from the front: a linear map finds x and y."""
    rng = np.random.default_rng(seed)
    poses = rng.normal(size=(count, frames, 17, 3)).cumsum(axis=1) * 0.05
    poses -= poses[:, :, :1]
    return ClipSet(
        keypoints_2d=(poses[..., :2] + 0.1).astype(np.float32),
        poses_3d=poses.astype(np.float32),
        mm_per_unit=np.full(count, 1000.0, dtype=np.float32),
        names=tuple(f"swing/{seed}/{index}" for index in range(count)),
        origin=origin,
    )
