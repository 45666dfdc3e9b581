"""What networks of public forks add to the paper's: joints in another order, bones, a step bias.

All of it stands around the scan's operators, which every runtime has, and changes none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from posemamba.config import PoseMambaConfig
from posemamba.errors import InputError
from posemamba.native import official_scan, scan_ops, scan_ops_v2
from posemamba.native.structs import MAX_JOINTS, SCAN_SIZES
from posemamba.scan.walk import index_tables
from posemamba.scan_order import Order, Walk
from posemamba.skeleton import PARENTS, ROOT
from posemamba.text import plural

_HALF = 0.5


class ScanWeights(NamedTuple):
    """What a scan's directions do not share, K first, in the order of the operator's inputs."""

    dt_weight: Tensor  # (K, d_inner, R)
    dt_bias: Tensor  # (K, d_inner)
    A: Tensor  # (K, d_inner, N)
    D: Tensor  # (K, d_inner)


class Visit(nn.Module):
    """A walk and the joints put in its order; nothing where that is ascending."""

    limbs: Tensor
    joints: Tensor
    places: Tensor
    visited: Tensor
    neighbours: Tensor

    def __init__(self, walk: Walk) -> None:
        super().__init__()
        self.walk = walk
        # Indices live where the parameters do.
        joints = () if walk.joints is None else walk.joints
        places = sorted(range(len(joints)), key=joints.__getitem__)  # of each joint in that order
        visited = joints or range(len(walk.limb_index))
        neighbours = (
            [visited[i] for i in walk.limb_index]
            if walk.on_grid
            else [walk.limb_index[joint] for joint in visited]
        )
        self.register_buffer("visited", torch.tensor(visited), persistent=False)
        self.register_buffer("neighbours", torch.tensor(neighbours), persistent=False)
        self.register_buffer("limbs", torch.tensor(walk.limb_index), persistent=False)
        self.register_buffer("joints", torch.tensor(joints), persistent=False)
        self.register_buffer("places", torch.tensor(places), persistent=False)

    def enter(self, grid: Tensor) -> Tensor:
        """(batch, frames, joints, c) with the joints in the order of the walk."""
        return grid if self.walk.joints is None else grid.index_select(2, self.joints)

    def leave(self, grid: Tensor) -> Tensor:
        """Undo :meth:`enter`, where the walk puts its outputs back."""
        if self.walk.joints is None or not self.walk.put_back:
            return grid
        return grid.index_select(2, self.places)

    def tables(self, grid: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The walk over (batch, frames, joints, c) as tables of positions."""
        return index_tables(self.walk, self.visited, self.neighbours, *grid.shape[1:3])

    def leave_tables(self, grid: Tensor) -> Tensor:
        """What a scan along tables gave, which is at the positions it was read from."""
        return grid if self.walk.put_back else self.enter(grid)


def split_walks(
    visits: Sequence[Visit], x_dbl: Tensor, weights: ScanWeights
) -> Iterator[tuple[Visit, Tensor, ScanWeights]]:
    """Each walk with its own directions of the scan's inputs; all of them where there is one."""
    if len(visits) == 1:
        yield visits[0], x_dbl, weights
        return
    width = x_dbl.shape[-1] // len(weights.dt_bias)
    first = 0
    for visit in visits:
        last = first + visit.walk.directions
        part = x_dbl[..., first * width : last * width]
        yield visit, part, ScanWeights(*(tensor[first:last] for tensor in weights))
        first = last


def fused_scan(
    visit: Visit,
    x: Tensor,
    x_dbl: Tensor,
    weights: ScanWeights,
    d_state: int,
    limb_dbl: Tensor | None = None,
    *,
    half_sums: bool = False,
) -> Tensor:
    """A walk by the native operator: version 1 where that can, which is faster, else version 2.

    Args:
        limb_dbl: for the official limb gradient, ``x_dbl`` again as
            :func:`posemamba.native.official_scan.cross_selective_scan_official` takes it.
        half_sums: of version 1, as :func:`posemamba.native.scan_ops.cross_selective_scan`.

    Raises:
        InputError: ``limb_dbl`` with sizes that version 1 does not take.
    """
    sizes = (d_state, weights.dt_weight.shape[2])
    most_states = SCAN_SIZES["d_state"]
    assert most_states is not None
    if visit.walk.on_grid and d_state <= most_states and x.shape[2] <= MAX_JOINTS:
        given = (x, x_dbl) if limb_dbl is None else (x, x_dbl, limb_dbl)
        inputs = (*(visit.enter(t) for t in given), *weights, *sizes, *visit.walk.lists())
        if limb_dbl is None:
            return visit.leave(scan_ops.cross_selective_scan(*inputs, half_sums))
        return visit.leave(official_scan.cross_selective_scan_official(*inputs))
    if limb_dbl is not None:
        raise InputError(
            f"the official limb gradient of scan='fused' takes d_state up to {most_states} and "
            f"{plural(MAX_JOINTS, 'joint')}: choose scan='chunked'"
        )
    y = scan_ops_v2.cross_selective_scan_v2(x, x_dbl, *weights, *visit.tables(x), *sizes)
    return visit.leave_tables(y)


def bone_means() -> Tensor:
    """(joints, joints): from joints to the mean, over the bones at each, of (child - parent)."""
    matrix = torch.zeros(len(PARENTS), len(PARENTS))
    for child, parent in enumerate(PARENTS):
        if child != ROOT:
            for end in (child, parent):
                matrix[end, child] += 1
                matrix[end, parent] -= 1
    ends = torch.bincount(torch.tensor([*range(1, len(PARENTS)), *PARENTS[1:]]))
    return matrix / ends[:, None]


class Bones(nn.Module):
    """Two channels more: the mean bone at each joint, in x and y."""

    means: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("means", bone_means(), persistent=False)

    def forward(self, keypoints_2d: Tensor) -> Tensor:
        """(batch, frames, joints, c) to (batch, frames, joints, c + 2)."""
        return torch.cat([keypoints_2d, self.means @ keypoints_2d[..., :2]], dim=-1)


class StepBias(nn.Module):
    """A bias of the raw step size that depends on the number of the step, modulo the joints.

    The scan takes it as further columns of the raw step size, one of which is 1 at each step, and
    of its weight. A direction that reads limb sums gets columns whose sum is 1 there.

    Raises:
        InputError: an order of repeats, omissions or resets, or of limbs whose sums cannot be
            undone: in a circle of two joints both sums are the same.
    """

    bias: Tensor
    unsummed: Tensor

    def __init__(self, config: PoseMambaConfig) -> None:
        super().__init__()
        self.walks = config.walks
        if not all(walk.on_grid for walk in self.walks):
            raise InputError(
                f"scan order {config.scan_order}: a step bias is for orders that visit every joint "
                "once, without resets"
            )
        self.joints = config.joints
        shape = (1, config.order.directions, config.d_inner, 1, config.joints)
        self.bias = nn.Parameter(torch.zeros(shape))
        by_walk = torch.from_numpy(np.stack([self._of_places(walk) for walk in self.walks]))
        self.register_buffer("unsummed", by_walk.float(), persistent=False)

    def _of_places(self, walk: Walk) -> npt.NDArray[np.float64]:
        """(2, joints, joints): from columns by place in a walk to those by joint.

        The first for directions without limb sums, the second, which undoes them, for the others.
        """
        eye = np.eye(self.joints)
        sums = eye + eye[list(walk.limb_index)]
        if any(walk.limb_mask) and abs(np.linalg.det(sums)) < _HALF:  # it is a whole number
            raise InputError(
                f"limb_index {list(walk.limb_index)} goes round a circle of an even number of "
                "joints: with a step bias such limb sums cannot be computed"
            )
        undone = np.linalg.inv(sums) if any(walk.limb_mask) else eye
        places = np.argsort(walk.joints) if walk.joints is not None else np.arange(self.joints)
        return np.stack([eye, undone])[:, places]

    def columns(self, frames: int) -> Tensor:
        """(frames, joints, K, joints): what is added to the raw step sizes."""
        device, joints = self.bias.device, self.joints
        t = torch.arange(frames, device=device)[:, None]
        j = torch.arange(joints, device=device)  # places on the grid of a walk
        residues = torch.arange(joints, device=device)
        found = []
        for unsummed, walk in zip(self.unsummed, self.walks, strict=True):
            for order, reverse, limbs in zip(*walk.lists()[:3], strict=True):
                inner = joints - 1 - j if order == Order.FRAME_MAJOR_FLIPPED else j
                frame = frames - 1 - t if order == Order.JOINT_MAJOR_FLIPPED else t
                frame_major = order in (Order.FRAME_MAJOR, Order.FRAME_MAJOR_FLIPPED)
                step = frame * joints + inner if frame_major else j * frames + frame
                if reverse:
                    step = frames * joints - 1 - step
                one = (step[..., None] % joints == residues).to(self.bias.dtype)
                found.append(unsummed[limbs] @ one)  # over the places
        return torch.stack(found, dim=2)

    def extend(self, x_dbl: Tensor, dt_weight: Tensor) -> tuple[Tensor, Tensor]:
        """The scan's ``x_dbl`` and ``dt_weight`` with a rank that is ``joints`` larger."""
        parts = torch.unflatten(x_dbl, -1, (self.bias.shape[1], -1))
        columns = self.columns(x_dbl.shape[1]).to(x_dbl.dtype)
        wide = torch.cat([columns.expand(x_dbl.shape[0], -1, -1, -1, -1), parts], dim=-1)
        return wide.flatten(-2), torch.cat([self.bias[0, :, :, 0], dt_weight], dim=-1)
