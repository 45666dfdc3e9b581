"""The fused inference path on a GPU: each op against float64, and whole networks.

The measure is an op's plain composition in PyTorch with the same float16 roundings (the CPU kernels
of ``posemamba.native.fused_ops``): ours may be at most twice as far from float64, as the scan
kernels' own tests ask.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import oracle
import pytest
import torch
from pmcuda import CrossInputs, Directions
from torch import Tensor
from torch.nn import functional as F

from posemamba import PoseMamba, PoseMambaConfig
from posemamba.model.inference import PoseMambaInference, capture
from posemamba.native import fused_ops, packing

pytestmark = pytest.mark.gpu

EPSILONS = (1e-5, 1e-6, 2e-6, 3e-6)
LIMITS = 2.0
#: float32 results whose float16 error is smaller than this are equal to float32 rounding.
ROUNDING = 1e-6


@pytest.fixture(autouse=True)
def poisoned_outputs() -> Iterator[None]:
    """Every torch.empty starts as NaN, so that an element nobody wrote shows."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(False)


def draw(generator: torch.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    return torch.randn(shape, generator=generator).mul(scale).cuda()


def slice_of(tensor: Tensor) -> Tensor:
    """The same values as a slice of a wider tensor whose other elements are NaN."""
    channels = tensor.shape[-1]
    wide = tensor.new_full((*tensor.shape[:-1], 2 * channels), torch.nan)
    wide[..., channels:] = tensor
    return wide[..., channels:]


def on_cpu(values: Sequence[Tensor]) -> list[Tensor]:
    return [value.cpu() for value in values]


def relative(found: Tensor, expected: Tensor) -> float:
    return oracle.error(found.cpu(), expected.cpu())


@pytest.mark.parametrize(
    ("batch", "frames", "joints", "channels", "columns"),
    [
        (2, 9, 17, 128, 144),
        (1, 1, 17, 128, 144),
        (1, 243, 17, 256, 160),
        (3, 2, 17, 512, 192),
        (1, 33, 1, 128, 16),  # no neighbouring joint
        (1, 4, 3, 256, 80),
        (2, 129, 17, 512, 192),  # more than one thread block an SM: 8 warps each
        # On 132 SMs the designs for batches.
        (9, 243, 17, 256, 160),
        (373, 1, 17, 128, 144),  # no neighbouring frame
        (7001, 1, 1, 256, 16),  # neither
        (33, 13, 17, 128, 48),  # tiles of columns: two and an odd one
        (500, 2, 7, 256, 80),
        (7, 243, 17, 512, 192),
        (1601, 1, 17, 512, 192),  # no neighbouring frame
        (27001, 1, 1, 512, 192),  # neither
        (1501, 3, 7, 512, 192),
        (7, 243, 17, 512, 48),  # not as many columns as the network's: the small design
    ],
)
def test_conv_proj(batch: int, frames: int, joints: int, channels: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(channels + columns)
    x = draw(generator, batch, frames, joints, channels).half()
    taps, bias = draw(generator, 9, channels), draw(generator, channels)
    projection = draw(generator, columns, channels, scale=channels**-0.5).half()
    kernel = taps.t().reshape(channels, 1, 3, 3).double()
    grid = x.double().permute(0, 3, 1, 2)
    expected = F.silu(F.conv2d(grid, kernel, bias.double(), padding=1, groups=channels))
    expected = expected.permute(0, 2, 3, 1)

    u, x_dbl = fused_ops.conv_proj(slice_of(x), taps, bias, packing.pack_weight(projection))

    # Half a unit in the last place of float16 for u; x_dbl sums products of such and rounds again.
    assert relative(u, expected) < 3e-4
    assert relative(x_dbl, expected @ projection.double().t()) < 6e-4
    again = fused_ops.conv_proj(slice_of(x), taps, bias, packing.pack_weight(projection))
    assert torch.equal(again[0], u)
    assert torch.equal(again[1], x_dbl)


@dataclass
class TailCase:
    """Inputs of one ``block_tail`` call."""

    scan: CrossInputs
    z: Tensor
    residual: Tensor
    vectors: packing.TailVectors
    matrices: list[Tensor]
    next_weights: list[Tensor]
    position: Tensor | None

    def call(self, device: str) -> tuple[Tensor, Tensor]:
        move = (lambda values: list(values)) if device == "cuda" else on_cpu
        s = self.scan
        d = s.directions
        scan_weights = [s.dt_weight, s.dt_bias, s.A, s.D]
        z = slice_of(self.z)
        position = None if self.position is None else self.position.to(device)
        stream, out = fused_ops.block_tail(
            *move([s.x, s.x_dbl, z, self.residual]),
            move(scan_weights),
            self.vectors.pack().to(device),
            move(self.matrices),
            move(self.next_weights),
            position,
            EPSILONS,
            s.A.shape[2],
            s.dt_weight.shape[2],
            d.order,
            d.reverse,
            d.limb_mask,
            d.limb_index,
        )
        return stream, out

    def exact(self) -> tuple[Tensor, Tensor]:
        """In float64, without any rounding between."""
        w = packing.TailVectors(*(vector.double() for vector in self.vectors))
        out_proj, fc1, fc2 = (packing.unpack_weight(m).double() for m in self.matrices)
        y = oracle.cross_scan(self.scan, torch.float64)
        normed = F.layer_norm(y, y.shape[-1:], w.out_gamma, w.out_beta, EPSILONS[0])
        stream = self.residual.double() + normed * F.silu(self.z.double()) @ out_proj.t()
        width = stream.shape[-1:]
        normed = F.layer_norm(stream, width, w.norm2_gamma, w.norm2_beta, EPSILONS[1])
        hidden = F.gelu(F.linear(normed, fc1, w.fc1_bias))
        stream = stream + F.linear(hidden, fc2, w.fc2_bias)
        stream = F.layer_norm(stream, width, w.shared_gamma, w.shared_beta, EPSILONS[2])
        if self.position is not None:
            stream = stream + self.position[: stream.shape[1], None].double()
        normed = F.layer_norm(stream, width, w.next_gamma, w.next_beta, EPSILONS[3])
        following = [weight.double() for weight in self.next_weights]
        if len(following) == 1:
            return stream, normed @ packing.unpack_weight(self.next_weights[0]).double().t()
        return stream, F.linear(normed, *following)


def make_tail(
    d_model: int = 64,
    batch: int = 1,
    frames: int = 9,
    joints: int = 17,
    directions: Directions | None = None,
    position: bool = False,
    head: bool = False,
) -> TailCase:
    generator = torch.Generator().manual_seed(d_model + frames)
    scan = oracle.make_cross(
        batch=batch,
        frames=frames,
        joints=joints,
        d_inner=2 * d_model,
        rank=d_model // 16,
        directions=directions,
    )

    def matrix(outputs: int, inputs: int) -> Tensor:
        return packing.pack_weight(draw(generator, outputs, inputs, scale=inputs**-0.5))

    def norm(width: int) -> tuple[Tensor, Tensor]:
        return 1 + draw(generator, width, scale=0.1), draw(generator, width, scale=0.1)

    d = d_model
    masked = torch.tensor(scan.directions.limb_mask).cuda()[:, None]
    vectors = packing.TailVectors(
        *norm(2 * d),
        scan.D.sum(0),
        (scan.D * masked).sum(0),
        *norm(d),
        *norm(d),
        *norm(d),
        draw(generator, 2 * d, scale=0.1),
        draw(generator, d, scale=0.1),
    )
    matrices = [matrix(d, 2 * d), matrix(2 * d, d), matrix(d, 2 * d)]
    following = [draw(generator, 3, d, scale=d**-0.5), draw(generator, 3)]
    if not head:
        following = [matrix(4 * d, d)]
    return TailCase(
        scan,
        draw(generator, batch, frames, joints, 2 * d).half(),
        draw(generator, batch, frames, joints, d),
        vectors,
        matrices,
        following,
        draw(generator, frames + 3, d) if position else None,
    )


BIDIRECTIONAL = Directions(limb_mask=(0, 0, 0, 0))
FLIPPED = Directions(order=(2, 3, 2, 3), reverse=(0, 0, 0, 0), limb_mask=(0, 0, 0, 0))
NO_LIMBS = Directions(limb_mask=(0, 0, 0, 0), limb_index=(0,) * 13)
FIVE = Directions(order=(0, 1, 2, 3, 0), reverse=(0, 1, 0, 1, 1), limb_mask=(1, 0, 1, 0, 0))


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"d_model": 128},
        {"d_model": 256},
        {"frames": 1},
        {"frames": 243},
        {"d_model": 128, "frames": 243, "batch": 1},
        {"batch": 3},
        {"batch": 33, "frames": 33},  # more than one thread block an SM: 8 warps each
        {"d_model": 128, "batch": 9, "frames": 129},
        {"d_model": 256, "batch": 9, "frames": 129},
        {"joints": 1, "directions": replace(BIDIRECTIONAL, limb_index=(0,))},
        {"directions": BIDIRECTIONAL},
        {"directions": FLIPPED},
        {"directions": FIVE},
        {"position": True},
        {"head": True},
        {"head": True, "d_model": 128},
        {"head": True, "d_model": 256},
        # On 132 SMs clusters of four blocks, then of two, of ever more positions; and in rounds.
        {"d_model": 256, "frames": 27},
        {"d_model": 256, "frames": 50},
        {"d_model": 256, "frames": 81, "head": True, "position": True},
        {"d_model": 256, "frames": 150, "directions": FLIPPED},
        {"d_model": 256, "frames": 243, "position": True},
        {"d_model": 256, "batch": 2, "frames": 243, "head": True},
        {"d_model": 256, "batch": 130, "frames": 1},
        {"d_model": 256, "joints": 1, "directions": replace(BIDIRECTIONAL, limb_index=(0,))},
        {"d_model": 256, "frames": 27, "directions": FIVE},  # a block per 16 positions
        # On 132 SMs the design for batches, which five directions do not have.
        {"batch": 4, "frames": 243},
        {"batch": 801, "frames": 1},
        {"batch": 91, "frames": 9, "position": True, "head": True},
        {"batch": 201, "frames": 5, "joints": 13, "directions": NO_LIMBS},
        {"batch": 91, "frames": 9, "directions": FLIPPED},
        {"batch": 91, "frames": 9, "directions": FIVE},
        {"d_model": 128, "batch": 4, "frames": 243},
        {"d_model": 128, "batch": 8, "frames": 243, "position": True},
        {"d_model": 128, "batch": 901, "frames": 1},
        {"d_model": 128, "batch": 101, "frames": 9, "position": True, "head": True},
        {"d_model": 128, "batch": 235, "frames": 5, "joints": 13, "directions": NO_LIMBS},
        {"d_model": 128, "batch": 101, "frames": 9, "directions": FLIPPED},
        {"d_model": 256, "batch": 3, "frames": 243, "position": True},
        {"d_model": 256, "batch": 901, "frames": 1},
        {"d_model": 256, "batch": 67, "frames": 9, "position": True, "head": True},
        {"d_model": 256, "batch": 301, "frames": 5, "joints": 13, "directions": NO_LIMBS},
        {"d_model": 256, "batch": 67, "frames": 9, "directions": FLIPPED},
    ],
    ids=str,
)
def test_block_tail(row: dict[str, object]) -> None:
    case = make_tail(**row)  # type: ignore[arg-type]
    expected = case.exact()
    plain = case.call("cpu")
    found = case.call("cuda")
    for ours, theirs, exact in zip(found, plain, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert relative(ours, exact) < LIMITS * relative(theirs, exact) + ROUNDING
    again = case.call("cuda")
    assert torch.equal(again[0], found[0])
    assert torch.equal(again[1], found[1])


@pytest.mark.parametrize("d_model", packing.WIDTHS)
@pytest.mark.parametrize(("batch", "frames", "joints"), [(1, 1, 17), (3, 9, 17), (2, 243, 17)])
def test_embed(d_model: int, batch: int, frames: int, joints: int) -> None:
    generator = torch.Generator().manual_seed(d_model)
    keypoints = draw(generator, batch, frames, joints, 2)
    weight, bias = draw(generator, d_model, 2), draw(generator, d_model)
    position = draw(generator, joints, d_model)
    norm = torch.stack([1 + draw(generator, d_model, scale=0.1), draw(generator, d_model)])
    in_proj = draw(generator, 4 * d_model, d_model, scale=d_model**-0.5).half()
    following = [packing.pack_weight(in_proj)]
    stream, xz = fused_ops.embed(keypoints, weight, bias, position, norm, following, 1e-6)
    expected = F.linear(keypoints.double(), weight.double(), bias.double()) + position.double()
    normed = F.layer_norm(expected, (d_model,), *norm.double(), 1e-6)
    assert relative(stream, expected) < 2e-7  # float32
    # Rounded to float16 before the product and after it: half a unit in the last place each.
    assert relative(xz, normed @ in_proj.double().t()) < 4e-4


@pytest.mark.parametrize("d_model", packing.WIDTHS)
@pytest.mark.parametrize("scan_order", ["global-local", "bidirectional", "bs_bt"])
def test_whole_network(d_model: int, scan_order: str) -> None:
    torch.manual_seed(0)
    config = PoseMambaConfig(d_model=d_model, depth=3, frames=81, scan_order=scan_order)
    model = PoseMamba(config).eval()
    keypoints = torch.rand(2, 81, 17, 2) * 2 - 1
    with torch.no_grad():
        expected = model(keypoints)
    model.cuda()
    composed = PoseMambaInference(model, torch.float16, fused=False)(keypoints.cuda())
    lift = PoseMambaInference(model, torch.float16)
    found = lift(keypoints.cuda())
    assert relative(found, expected) < LIMITS * relative(composed, expected)
    assert torch.equal(capture(lift, keypoints.cuda())(keypoints.cuda()), found)


def test_widths_without_a_kernel_are_refused() -> None:
    case = make_tail()
    narrow = replace(case, residual=case.residual[..., :32].contiguous())
    with pytest.raises(Exception, match="d_model 64, 128, 256"):
        narrow.call("cuda")


def test_a_recording_keeps_the_weights_that_it_reads() -> None:
    network = PoseMambaInference(PoseMamba(PoseMambaConfig.from_variant("S")).eval().cuda())
    alive = weakref.ref(network)
    replay = capture(network, torch.zeros(1, 3, 17, 2, device="cuda"))
    del network
    gc.collect()
    assert alive() is not None
    del replay
    gc.collect()
    assert alive() is None
