"""What a selective scan passes from each joint, or frame, to each other: maps like attention's.

With its step sizes, B and C held, a scan is linear in its input. Unrolling ``h = exp(dt A) h + dt B
u``, ``y = C h`` (Mamba, arXiv 2312.00752, algorithm 2) gives ``y = M u`` with, for each channel,

    M[t, s] = sum over the states n of  C[t, n] exp(A[n] (dt[s+1] + ... + dt[t])) dt[s] B[s, n]

for s <= t and 0 beyond. The skip term ``D u``, which only adds to the diagonal, is left out. The
rows are computed by that recurrence, started once at every step, so nothing is approximated and no
exponential of a positive number is ever formed.

The whole matrix of a clip has (frames * joints)^2 entries. The maps show its two telling parts: the
entries inside a frame, for directions that run frame by frame, and those inside a joint's track,
for directions that run joint by joint. Magnitudes are averaged over channels and over frames
(spatial) or joints (temporal).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from posemamba.errors import InputError
from posemamba.model.blocks import PoseMambaBlock, SpatioTemporalScan
from posemamba.model.network import PoseMamba
from posemamba.scan.reference import directional_inputs
from posemamba.scan_order import Order, Walk

Map = npt.NDArray[np.float64]
Stack = Literal["STE", "TTE"]

#: Orders that run joint by joint.
JOINT_MAJOR = (Order.JOINT_MAJOR, Order.JOINT_MAJOR_FLIPPED)
_FLIPPED = (Order.FRAME_MAJOR_FLIPPED, Order.JOINT_MAJOR_FLIPPED)


@dataclass(frozen=True)
class ScanMaps:
    """The maps of one block; rows are outputs, columns inputs, both in joint or frame order.

    Attributes:
        walk: the block's scan directions.
        directions: a map for each of them: (joints, joints) where it runs frame by frame,
            (frames, frames) where it runs joint by joint. Not negative.
    """

    walk: Walk
    directions: tuple[Map, ...]

    @property
    def spatial(self) -> Map:
        """(joints, joints): sum of the directions that run frame by frame."""
        return self._total(joint_major=False)

    @property
    def temporal(self) -> Map:
        """(frames, frames): sum of the directions that run joint by joint."""
        return self._total(joint_major=True)

    def _total(self, joint_major: bool) -> Map:
        parts = [
            part
            for part, code in zip(self.directions, self.walk.order, strict=True)
            if (code in JOINT_MAJOR) == joint_major
        ]
        total: Map = np.sum(parts, axis=0)
        return total


def scan_maps(model: PoseMamba, keypoints_2d: Tensor, stack: Stack, index: int) -> ScanMaps:
    """Maps of one block for one clip.

    Args:
        model: in eval mode; its scan backend is used as it is.
        keypoints_2d: (1, frames, joints, 2) normalised, in the model's dtype.
        stack: ``STE`` or ``TTE``; the blocks alternate STE 0, TTE 0, STE 1, ...
        index: which of the ``depth`` blocks of the stack, from 0.

    Raises:
        InputError: a block that the model does not have, several clips, or a shape it refuses.
    """
    if not 0 <= index < model.config.depth:
        raise InputError(
            f"block {stack} {index} does not exist: this model has {stack} 0 to "
            f"{model.config.depth - 1}"
        )
    if len(keypoints_2d) != 1:
        raise InputError(f"scan maps are of one clip, not of {len(keypoints_2d)}")
    if not model.config.order.is_one_walk or model.config.step_bias:
        raise InputError(
            f"scan order {model.config.scan_order}: scan maps show networks whose joints are "
            "visited in ascending order, without a step bias"
        )
    block = (model.STEblocks if stack == "STE" else model.TTEblocks)[index]
    assert isinstance(block, PoseMambaBlock)
    seen: list[Tensor] = []
    hook = block.op.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    try:
        with torch.inference_mode():
            model(keypoints_2d)
            return _maps_of(block.op, seen[0])
    finally:
        hook.remove()


def _maps_of(scan: SpatioTemporalScan, normed: Tensor) -> ScanMaps:
    x, x_dbl, _ = scan.scan_inputs(normed)
    _, frames, joints, channels = x.shape
    walk = scan.walk
    _, raw, B, C = directional_inputs(x, x_dbl, scan.dt_projs_weight, scan.d_state, walk)
    delta = F.softplus(raw + scan.dt_projs_bias.flatten()[:, None])  # (1, K * channels, L)
    rates = -torch.exp(scan.A_logs)  # (K * channels, N)
    limbs = torch.tensor(walk.limb_index)
    maps = []
    for k, code in enumerate(walk.order):
        size = (joints, frames) if code in JOINT_MAJOR else (frames, joints)
        part = slice(k * channels, (k + 1) * channels)
        maps.append(
            _direction_map(
                torch.unflatten(delta[0, part].T, 0, size),  # (outer, inner, channels)
                rates[part],
                torch.unflatten(B[0, k].T, 0, size),  # (outer, inner, N)
                torch.unflatten(C[0, k].T, 0, size),
                # Steps of a reversed direction, and of a flipped order, descend inside a block;
                # both together ascend again.
                descending=bool(walk.reverse[k]) != (code in _FLIPPED),
                reverse=bool(walk.reverse[k]),
                # No order of the table sums limbs along a joint's track.
                limbs=limbs if walk.limb_mask[k] else None,
            )
        )
    return ScanMaps(walk, tuple(maps))


def _direction_map(
    delta: Tensor,
    rates: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    descending: bool,
    reverse: bool,
    limbs: Tensor | None,
) -> Map:
    """Mean magnitude of (outer, inner, inner, channels) over outer and channels: (inner, inner)."""
    if reverse:
        delta, B, C = (tensor.flip(1) for tensor in (delta, B, C))
    inner = delta.shape[1]
    place = torch.arange(inner)  # joint, or frame, of each step
    if descending:
        place = place.flip(0)
    result = np.zeros((inner, inner))
    for step, steps in enumerate(matrix_rows(delta, rates, B, C)):  # (outer, step + 1, channels)
        row = steps.new_zeros(len(steps), inner, steps.shape[2])
        row[:, place[: step + 1]] = steps
        if limbs is not None:  # the scan reads x + x[limbs]: put the gather back on x
            row = row.index_add(1, limbs, row)
        result[int(place[step])] = row.abs().mean(dim=(0, 2)).double().numpy()
    return result


def matrix_rows(delta: Tensor, rates: Tensor, B: Tensor, C: Tensor) -> Iterator[Tensor]:
    """The rows of M, one for each step.

    Args:
        delta: (outer, steps, channels) step sizes, after softplus; ``outer`` scans that each start
            from an empty state.
        rates: (channels, N), the negative A.
        B, C: (outer, steps, N).

    Yields:
        (outer, t + 1, channels) for t = 0, 1, ...: the coefficients of inputs 0 to t in output t.
    """
    outer, steps, channels = delta.shape
    # What is left, at the current step, of a unit input at each step so far.
    state = delta.new_zeros(outer, steps, channels, rates.shape[1])
    for step in range(steps):
        dt = delta[:, step, None, :, None]  # (outer, 1, channels, 1)
        past = state[:, :step]
        past *= torch.exp(dt * rates)
        state[:, step] = (dt * B[:, step, None, None, :])[:, 0]
        yield torch.einsum("oscn,on->osc", state[:, : step + 1], C[:, step])
