"""``block``, convolution to the next in_proj in one call, on a GPU: against float64, as the ops it
joins are (``test_fused_ops``), and against those two.

On 132 SMs the convolution writes what the scan reads, in one of two designs, where the scan chosen
reads prepared rows: some rows are on either side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from pmcuda import Directions
from test_fused_ops import (
    BIDIRECTIONAL,
    EPSILONS,
    FLIPPED,
    LIMITS,
    NO_LIMBS,
    ROUNDING,
    TailCase,
    draw,
    make_tail,
    poisoned_outputs,
    relative,
)
from torch import Tensor
from torch.nn import functional as F

from posemamba.native import fused_ops, packing, whole_block
from posemamba.native.fused_ops import TailWeights
from posemamba.native.whole_block import launch_block
from posemamba.scan_order import Walk

pytestmark = pytest.mark.gpu
__all__ = ["poisoned_outputs"]  # a fixture of every test here


@dataclass
class BlockCase:
    """Inputs of one ``block`` call."""

    tail: TailCase
    x: Tensor
    conv_weights: list[Tensor]

    def arguments(self, device: str) -> list[object]:
        tail, scan = self.tail, self.tail.scan
        d = scan.directions

        def move(values: list[Tensor]) -> list[Tensor]:
            return [value.to(device) for value in values]

        return [
            move([scan.dt_weight, scan.dt_bias, scan.A, scan.D]),
            tail.vectors.pack().to(device),
            move(tail.matrices),
            move(tail.next_weights),
            None if tail.position is None else tail.position.to(device),
            EPSILONS,
            scan.A.shape[2],
            scan.dt_weight.shape[2],
            d.order,
            d.reverse,
            d.limb_mask,
            d.limb_index,
        ]

    @property
    def poses_shape(self) -> tuple[int, ...] | None:
        """Of the head's, where there is one."""
        return None if len(self.tail.next_weights) == 1 else (*self.x.shape[:-1], 3)

    def inputs(self, device: str) -> tuple[Tensor, Tensor]:
        """Copies of xz and the residual."""
        xz = torch.cat([self.x, self.tail.z], -1).to(device)
        return xz, self.tail.residual.to(device, copy=True)

    def call(self, device: str) -> tuple[Tensor, Tensor]:
        """The stream, and the next xz or the poses."""
        xz, stream = self.inputs(device)
        shape = self.poses_shape
        poses_3d = None if shape is None else torch.full(shape, torch.nan, device=device)
        weights = [weight.to(device) for weight in self.conv_weights]
        whole_block.block(xz, stream, poses_3d, weights, *self.arguments(device))
        return stream, xz if poses_3d is None else poses_3d

    def call_apart(self) -> tuple[Tensor, Tensor]:
        """As ``call``, nothing written over an input."""
        xz, residual = self.inputs("cuda")
        shape = self.poses_shape
        output = torch.empty_like(xz) if shape is None else residual.new_empty(shape)
        stream = torch.empty_like(residual)
        weights = [weight.to("cuda") for weight in self.conv_weights]
        scan_weights, *shared = self.arguments("cuda")
        tail, sizes, walk = TailWeights(*shared[:5]), shared[5:7], Walk(*shared[7:])  # type: ignore[arg-type]
        given = (weights, scan_weights, tail, *sizes, walk)
        launch_block(xz, residual, stream, output, *given)  # type: ignore[arg-type]
        return stream, output

    def exact(self) -> tuple[Tensor, Tensor]:
        """In float64, without any rounding between."""
        taps, bias, projection = self.conv_weights
        channels = bias.shape[0]
        kernel = taps.t().reshape(channels, 1, 3, 3).double()
        grid = self.x.double().permute(0, 3, 1, 2)
        u = F.silu(F.conv2d(grid, kernel, bias.double(), padding=1, groups=channels))
        u = u.permute(0, 2, 3, 1)
        x_dbl = u @ packing.unpack_weight(projection).double().t()
        return replace(self.tail, scan=replace(self.tail.scan, x=u, x_dbl=x_dbl)).exact()


def make_block(**sizes: object) -> BlockCase:
    tail = make_tail(**sizes)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(7)
    channels, columns = tail.scan.x.shape[3], tail.scan.x_dbl.shape[3]
    projection = draw(generator, columns, channels, scale=channels**-0.5)
    weights = [
        draw(generator, 9, channels, scale=0.5),
        draw(generator, channels, scale=0.3),
        packing.pack_weight(projection),
    ]
    return BlockCase(tail, tail.scan.x, weights)


#: Every direction a walk of its own.
FOUR = Directions(order=(3, 0, 2, 1), reverse=(0, 1, 0, 1), limb_mask=(1, 0, 0, 1))
LONG = Directions(limb_index=tuple(range(30, -1, -1)))
WIDE = Directions(limb_index=tuple(range(47, -1, -1)))  # 48 joints, a frame's most


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"frames": 27},
        {"d_model": 256},
        {"frames": 243},
        {"d_model": 64},
        {"d_model": 256, "frames": 243},
        {"d_model": 256, "frames": 81, "directions": FOUR},
        {"frames": 1},  # too short for a preparing design
        {"batch": 2, "frames": 81},
        {"batch": 8, "frames": 27},
        {"batch": 8, "frames": 243},  # all frames of the batch, by a block an SM
        {"d_model": 256, "batch": 3, "frames": 243},  # the tail for batches
        {"d_model": 64, "batch": 12, "frames": 81, "directions": FOUR},
        {"d_model": 256, "batch": 4, "frames": 81},  # too wide: blocks take turns
        {"d_model": 64, "batch": 5, "frames": 27},
        {"d_model": 64, "frames": 81},  # the resident scan, whose exchange the convolution clears
        {"d_model": 64, "frames": 243},
        {"d_model": 64, "frames": 134, "joints": 31, "directions": LONG},  # blocks take turns
        {"frames": 13, "joints": 13, "directions": NO_LIMBS},
        {"frames": 141, "joints": 1, "directions": replace(BIDIRECTIONAL, limb_index=(0,))},
        {"frames": 5, "joints": 48, "directions": WIDE},
        {"frames": 9, "joints": 49, "directions": replace(WIDE, limb_index=(0,) * 49)},
        {"directions": BIDIRECTIONAL},
        {"directions": FLIPPED},
        {"d_model": 128, "directions": FOUR},
        {"frames": 243, "directions": FLIPPED},
        {"position": True, "head": True},
    ],
    ids=str,
)
def test_block(row: dict[str, object]) -> None:
    case = make_block(**({"d_model": 128, "frames": 27} | row))
    expected = case.exact()
    plain = case.call("cpu")
    found = case.call("cuda")
    for ours, theirs, exact in zip(found, plain, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert relative(ours, exact) < LIMITS * relative(theirs, exact) + ROUNDING
    for again in (case.call("cuda"), case.call_apart()):
        assert torch.equal(again[0], found[0])
        assert torch.equal(again[1], found[1])


@pytest.mark.parametrize("d_model", packing.WIDTHS)
def test_block_is_no_further_off_than_its_two_ops(d_model: int) -> None:
    """What is not stored as float16 between them is not rounded."""
    case = make_block(d_model=d_model, frames=27)
    exact = case.exact()
    u, x_dbl = fused_ops.conv_proj(case.x, *case.conv_weights)
    scan = replace(case.tail.scan, x=u, x_dbl=x_dbl)
    apart = replace(case.tail, scan=scan).call("cuda")
    for whole, two, expected in zip(case.call("cuda"), apart, exact, strict=True):
        assert relative(whole, expected) < 1.05 * relative(two, expected)


def test_a_block_whose_parts_do_not_join_is_refused() -> None:
    case = make_block(d_model=64)
    case.conv_weights[2] = case.conv_weights[2][:-1].contiguous()  # 16 columns too few
    with pytest.raises(Exception, match="posemamba::block: CUDA error"):
        case.call("cuda")
