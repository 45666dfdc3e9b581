"""CrossSelectiveScan on the GPU against the sequential float64 oracle.

One base case, and rows that vary one parameter. Outputs and workspace are poisoned with NaN, so an
element nobody wrote or a carry nobody saved fails the comparison.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace

import oracle
import pytest
import torch
from pmcuda import CrossInputs, Directions, Op, Tuning

pytestmark = pytest.mark.gpu

CONFIGS = (1, 2, 4, 5)
HALF, SINGLE = torch.float16, torch.float32
#: Configurations of the one-pass designs, with every type and dt rank they have kernels for.
ONE_PASS = [
    *((6, dtype, rank) for dtype in (HALF, SINGLE) for rank in (4, 8, 16)),
    *((7, HALF, rank) for rank in (4, 8, 16)),
    (8, HALF, 8),
    *((config, HALF, rank) for config in (9, 10, 12) for rank in (4, 8, 16)),
    (11, HALF, 4),
]
#: One row of each configuration, where the type and rank do not matter.
ONE_OF_EACH = [
    (6, HALF, 8),
    (6, SINGLE, 4),
    (7, HALF, 8),
    (8, HALF, 8),
    (9, HALF, 16),
    (10, HALF, 4),
    (11, HALF, 4),
    (12, HALF, 4),
    (12, HALF, 8),
]


def check(lib: ctypes.CDLL, inputs: CrossInputs, tuning: Tuning | None = None) -> None:
    """At most twice the error of PyTorch with a float32 interior and outputs in the same type.

    The float32 floor of 4e-6 is that of ex2.approx (2^-22 per decay) accumulated over a state's
    memory of some hundred steps; PyTorch's own float32 error can be ten times smaller.
    """
    expected = oracle.cross_scan(inputs, torch.float64)
    baseline = oracle.cross_scan(inputs, torch.float32).to(inputs.x.dtype)
    y = torch.full_like(inputs.x, float("nan"), memory_format=torch.contiguous_format)
    found = Op(lib, inputs, y, tuning, poison=True)()
    limit = 2 * oracle.error(baseline, expected) + 4e-6
    assert oracle.error(found, expected) <= limit


@pytest.mark.parametrize("dtype", [HALF, SINGLE])
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("chunks", [1, 2, 3, 9])
def test_every_variant(lib: ctypes.CDLL, dtype: torch.dtype, config: int, chunks: int) -> None:
    check(lib, oracle.make_cross(dtype=dtype), Tuning(0, chunks, config))


@pytest.mark.parametrize(
    ("frames", "joints"),
    [(1, 1), (2, 1), (1, 31), (16, 2), (3, 11), (43, 3), (27, 17), (81, 17), (243, 17)],
    ids=["1", "2", "31", "32", "33", "129", "459", "1377", "4131"],
)
@pytest.mark.parametrize("chunks", [0, 5])
def test_length(lib: ctypes.CDLL, frames: int, joints: int, chunks: int) -> None:
    limb = tuple(max(j - 1, 0) for j in range(joints))
    inputs = oracle.make_cross(frames=frames, joints=joints, directions=Directions(limb_index=limb))
    check(lib, inputs, Tuning(0, chunks, 0))


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize(("d_inner", "rank"), [(128, 4), (256, 8), (512, 16)])
def test_published_sizes(lib: ctypes.CDLL, batch: int, d_inner: int, rank: int) -> None:
    check(lib, oracle.make_cross(batch=batch, frames=81, d_inner=d_inner, rank=rank))


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("mask", [0, 1])
def test_walks(lib: ctypes.CDLL, order: int, reverse: int, mask: int) -> None:
    directions = Directions(order=(order,), reverse=(reverse,), limb_mask=(mask,))
    for dtype in (HALF, SINGLE):
        check(lib, oracle.make_cross(directions=directions, dtype=dtype), Tuning(0, 3, 0))


def test_many_directions(lib: ctypes.CDLL) -> None:
    directions = Directions(
        order=(0, 1, 2, 3, 0, 1, 2), reverse=(0, 1, 0, 1, 1, 0, 1), limb_mask=(1, 1, 0, 0, 1, 0, 1)
    )
    check(lib, oracle.make_cross(directions=directions))


@pytest.mark.parametrize("rank", [1, 4, 5, 8, 16, 33])
@pytest.mark.parametrize("dtype", [HALF, SINGLE])
def test_dt_rank(lib: ctypes.CDLL, rank: int, dtype: torch.dtype) -> None:
    check(lib, oracle.make_cross(rank=rank, dtype=dtype))


@pytest.mark.parametrize("n", [1, 8, 15, 16, 17, 40, 64])
@pytest.mark.parametrize("chunks", [1, 4])
def test_d_state(lib: ctypes.CDLL, n: int, chunks: int) -> None:
    for dtype in (HALF, SINGLE):
        check(lib, oracle.make_cross(n=n, dtype=dtype), Tuning(0, chunks, 0))


@pytest.mark.parametrize("d_inner", [8, 24, 40, 72, 136])
@pytest.mark.parametrize("config", CONFIGS)
def test_partial_blocks(lib: ctypes.CDLL, d_inner: int, config: int) -> None:
    check(lib, oracle.make_cross(d_inner=d_inner), Tuning(0, 3, config))


@pytest.mark.parametrize("shift", [-12.0, -6.0, 6.0, 25.0])
def test_extreme_dt(lib: ctypes.CDLL, shift: float) -> None:
    """dt from 1e-8 (log1p must keep its digits) to 25 (softplus is the identity, decay is 0)."""
    inputs = oracle.make_cross(dt_shift=shift, dtype=SINGLE)
    check(lib, inputs, Tuning(0, 5, 0))
    if shift < 20:  # beyond it the outputs leave float16's range
        check(lib, oracle.make_cross(dt_shift=shift), Tuning(0, 5, 0))


@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e4])
def test_large_decay(lib: ctypes.CDLL, scale: float) -> None:
    check(lib, oracle.make_cross(a_scale=scale), Tuning(0, 5, 0))


@pytest.mark.parametrize("dtype", [HALF, SINGLE])
@pytest.mark.parametrize("offset", [1, 2, 8])
def test_slices(lib: ctypes.CDLL, dtype: torch.dtype, offset: int) -> None:
    """Inputs and output are slices of wider tensors, at odd offsets and strides; the rest of the
    output keeps its guard value."""
    inputs = oracle.make_cross(dtype=dtype)
    expected = oracle.cross_scan(inputs, torch.float64)

    def widen(t: torch.Tensor) -> torch.Tensor:
        wide = torch.full((*t.shape[:-1], t.shape[-1] + offset + 5), torch.nan, device="cuda")
        wide = wide.to(dtype)
        wide[..., offset : offset + t.shape[-1]] = t
        return wide[..., offset : offset + t.shape[-1]]

    sliced = replace(inputs, x=widen(inputs.x), x_dbl=widen(inputs.x_dbl))
    guard = torch.full((*inputs.x.shape[:-1], 128 + offset + 5), 7.0, device="cuda").to(dtype)
    Op(lib, sliced, guard[..., offset : offset + 128], poison=True)()
    assert oracle.error(guard[..., offset : offset + 128], expected) < 1e-3  # fp16 output: 2e-4
    assert bool((guard[..., :offset] == 7).all())
    assert bool((guard[..., offset + 128 :] == 7).all())


def test_guard_bands(lib: ctypes.CDLL) -> None:
    """Nothing is written before or after the output and the workspace."""
    inputs = oracle.make_cross(d_inner=40, frames=19)
    flat = torch.full((inputs.x.numel() + 512,), 7.0, dtype=HALF, device="cuda")
    y = flat[256:-256].view(inputs.x.shape)
    op = Op(lib, inputs, y, Tuning(0, 3, 0))
    words = op.workspace_bytes // 4
    arena = torch.full((words + 128,), 7.0, device="cuda")
    op.workspace = arena[64:-64]
    op()
    torch.cuda.synchronize()
    assert bool((flat[:256] == 7).all())
    assert bool((flat[-256:] == 7).all())
    assert bool((arena[:64] == 7).all())
    assert bool((arena[-64:] == 7).all())


@pytest.mark.parametrize("chunks", [1, 9])
@pytest.mark.parametrize("config", CONFIGS)
def test_same_bits_twice(lib: ctypes.CDLL, config: int, chunks: int) -> None:
    inputs = oracle.make_cross(batch=3, frames=81, d_inner=256, rank=8)
    op = Op(lib, inputs, torch.empty_like(inputs.x), Tuning(0, chunks, config))
    first = op().clone()
    for _ in range(5):
        op.workspace.fill_(float("nan"))
        assert torch.equal(op(), first)


@pytest.mark.parametrize(("config", "dtype", "rank"), ONE_PASS)
@pytest.mark.parametrize("d_inner", [128, 136])
def test_one_pass(
    lib: ctypes.CDLL, config: int, dtype: torch.dtype, rank: int, d_inner: int
) -> None:
    inputs = oracle.make_cross(batch=2, d_inner=d_inner, rank=rank, dtype=dtype)
    check(lib, inputs, Tuning(0, 0, config))


@pytest.mark.parametrize("rank", [4, 16])
def test_three_blocks_of_an_sm(lib: ctypes.CDLL, rank: int) -> None:
    """Configuration 12 in tiles of 32; on fewer blocks they are longer."""
    batch = torch.cuda.get_device_properties(0).multi_processor_count // 2 + 1
    inputs = oracle.make_cross(batch=batch, frames=5, d_inner=64, rank=rank, dtype=HALF)
    check(lib, inputs, Tuning(0, 0, 12))


@pytest.mark.parametrize(
    ("frames", "joints"),
    [
        (1, 1),
        (1, 17),
        (2, 1),
        (16, 2),
        (3, 11),
        (13, 5),
        (43, 3),
        (14, 16),
        (15, 15),
        (81, 17),
        (243, 17),
        (96, 4),
    ],
    ids=["1", "17", "2", "32", "33", "65", "129", "224", "225", "1377", "4131", "384"],
)
@pytest.mark.parametrize(("config", "dtype", "rank"), ONE_OF_EACH)
def test_one_pass_length(
    lib: ctypes.CDLL, config: int, dtype: torch.dtype, rank: int, frames: int, joints: int
) -> None:
    limb = tuple(max(j - 1, 0) for j in range(joints))
    inputs = oracle.make_cross(
        frames=frames,
        joints=joints,
        d_inner=64,
        rank=rank,
        dtype=dtype,
        directions=Directions(limb_index=limb),
    )
    check(lib, inputs, Tuning(0, 0, config))


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("mask", [0, 1])
@pytest.mark.parametrize(("config", "dtype", "rank"), ONE_OF_EACH)
def test_one_pass_walks(
    lib: ctypes.CDLL,
    config: int,
    dtype: torch.dtype,
    rank: int,
    order: int,
    reverse: int,
    mask: int,
) -> None:
    directions = Directions(order=(order,), reverse=(reverse,), limb_mask=(mask,))
    inputs = oracle.make_cross(frames=23, d_inner=40, rank=rank, dtype=dtype, directions=directions)
    check(lib, inputs, Tuning(0, 0, config))


@pytest.mark.parametrize(("config", "dtype", "rank"), ONE_OF_EACH)
def test_one_pass_many_directions(
    lib: ctypes.CDLL, config: int, dtype: torch.dtype, rank: int
) -> None:
    """Eight directions, five distinct walks: directions that differ in `reverse` alone share."""
    directions = Directions(
        order=(0, 1, 2, 3, 0, 1, 2, 0),
        reverse=(0, 1, 0, 1, 1, 0, 1, 0),
        limb_mask=(1, 1, 0, 0, 1, 1, 0, 0),
    )
    inputs = oracle.make_cross(
        batch=3, frames=9, d_inner=24, rank=rank, dtype=dtype, directions=directions
    )
    check(lib, inputs, Tuning(0, 0, config))


@pytest.mark.parametrize(("config", "dtype", "rank"), ONE_OF_EACH)
def test_one_pass_nan(lib: ctypes.CDLL, config: int, dtype: torch.dtype, rank: int) -> None:
    """Outputs behind an input that is no number are none, other channels' are, and the launch ends:
    blocks of the resident design wait for each other's states."""
    inputs = oracle.make_cross(frames=31, d_inner=72, rank=rank, dtype=dtype)
    inputs.x[:, 0, 0, 3] = torch.nan
    found = Op(lib, inputs, torch.empty_like(inputs.x), Tuning(0, 0, config))()
    lost = found.isnan().flatten(0, -2)
    assert lost[:, 3].all()
    assert not lost[:, [*range(3), *range(4, 72)]].any()


@pytest.mark.parametrize("d_inner", [8, 24, 72, 264])
@pytest.mark.parametrize(("config", "dtype", "rank"), ONE_OF_EACH)
def test_one_pass_partial_blocks(
    lib: ctypes.CDLL, config: int, dtype: torch.dtype, rank: int, d_inner: int
) -> None:
    inputs = oracle.make_cross(frames=7, d_inner=d_inner, rank=rank, dtype=dtype)
    check(lib, inputs, Tuning(0, 0, config))


@pytest.mark.parametrize("shift", [-12.0, -6.0, 6.0])
@pytest.mark.parametrize(("config", "dtype", "rank"), ONE_OF_EACH)
def test_one_pass_extreme_dt(
    lib: ctypes.CDLL, config: int, dtype: torch.dtype, rank: int, shift: float
) -> None:
    check(
        lib,
        oracle.make_cross(dt_shift=shift, rank=rank, dtype=dtype),
        Tuning(0, 0, config),
    )


@pytest.mark.parametrize(("config", "dtype", "rank"), ONE_OF_EACH)
def test_one_pass_slices_and_guards(
    lib: ctypes.CDLL, config: int, dtype: torch.dtype, rank: int
) -> None:
    """Wide rows, NaN between them; nothing outside the output and the workspace is written."""
    inputs = oracle.make_cross(frames=19, d_inner=40, rank=rank, dtype=dtype)
    expected = oracle.cross_scan(inputs, torch.float64)

    def widen(t: torch.Tensor) -> torch.Tensor:
        wide = torch.full((*t.shape[:-1], t.shape[-1] + 24), torch.nan, device="cuda").to(dtype)
        wide[..., 8 : 8 + t.shape[-1]] = t
        return wide[..., 8 : 8 + t.shape[-1]]

    sliced = replace(inputs, x=widen(inputs.x), x_dbl=widen(inputs.x_dbl))
    flat = torch.full((inputs.x.numel() + 512,), 7.0, dtype=dtype, device="cuda")
    op = Op(lib, sliced, flat[256:-256].view(inputs.x.shape), Tuning(0, 0, config))
    words = op.workspace_bytes // 4
    arena = torch.full((words + 128,), torch.nan, device="cuda")
    arena[:64], arena[-64:] = 7.0, 7.0
    op.workspace = arena[64:-64]
    assert oracle.error(op(), expected) < 1e-3  # fp16 output: 2e-4
    for guard in (flat[:256], flat[-256:], arena[:64], arena[-64:]):
        assert bool((guard == 7).all())


@pytest.mark.parametrize(("config", "dtype", "rank"), ONE_OF_EACH)
def test_one_pass_same_bits_twice(
    lib: ctypes.CDLL, config: int, dtype: torch.dtype, rank: int
) -> None:
    inputs = oracle.make_cross(batch=2, frames=81, d_inner=128, rank=rank, dtype=dtype)
    op = Op(lib, inputs, torch.empty_like(inputs.x), Tuning(0, 0, config))
    first = op().clone()
    for _ in range(5):
        op.workspace.fill_(float("nan"))
        assert torch.equal(op(), first)


@pytest.mark.parametrize("frames", [33, 81, 243])
def test_chunks_that_wait_for_each_other(lib: ctypes.CDLL, frames: int) -> None:
    """The launcher's own choice at d_inner 128, in a graph, again and again: the same bits."""
    inputs = oracle.make_cross(batch=1, frames=frames, d_inner=128, rank=4)
    check(lib, inputs)
    op = Op(lib, inputs, torch.empty_like(inputs.x), poison=True)
    first = op().clone()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(20):
            op()
    for _ in range(50):
        op.y.zero_()
        graph.replay()
        assert torch.equal(op.y, first)


def test_what_has_too_many_steps_for_its_chunks(lib: ctypes.CDLL) -> None:
    inputs = oracle.make_cross(batch=8, frames=243, d_inner=128, rank=4)
    assert Op(lib, inputs, torch.empty_like(inputs.x), Tuning(0, 0, 11)).workspace_bytes == 0


@pytest.mark.parametrize("batch", [1, 2, 4, 8, 32])
@pytest.mark.parametrize("offset", [0, 1])
def test_what_a_launcher_chooses(lib: ctypes.CDLL, batch: int, offset: int) -> None:
    """Shapes that reach every design by themselves. x begins one element late: the same choice and
    workspace, but rows that only the chunked design can read."""
    inputs = oracle.make_cross(batch=batch, frames=27, d_inner=256, rank=8)
    flat = torch.full((inputs.x.numel() + 8,), torch.nan, dtype=HALF, device="cuda")
    late = flat[offset : offset + inputs.x.numel()].view(inputs.x.shape)
    late.copy_(inputs.x)
    check(lib, replace(inputs, x=late))
