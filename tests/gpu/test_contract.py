"""What a launcher promises its host: refusals, workspace sizes, streams and CUDA graphs."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import oracle
import pytest
import torch
from pmcuda import (
    CHUNKED,
    CUDA_INVALID_VALUE,
    CUDA_NOT_SUPPORTED,
    SERIAL,
    CrossScanParams,
    Op,
    ScanParams,
    Tuning,
)

pytestmark = pytest.mark.gpu


def cross(lib: ctypes.CDLL, tuning: Tuning | None = None) -> Op:
    inputs = oracle.make_cross()
    return Op(lib, inputs, torch.empty_like(inputs.x), tuning)


def half_sums_of_float32(p: CrossScanParams) -> None:
    p.dtype, p.half_sums = 0, 1  # PM_FLOAT32


BREAKS: list[tuple[str, Callable[[CrossScanParams], None], int]] = [
    ("x", lambda p: setattr(p, "x", None), CUDA_INVALID_VALUE),
    ("y", lambda p: setattr(p, "y", None), CUDA_INVALID_VALUE),
    ("batch", lambda p: setattr(p, "batch", 0), CUDA_INVALID_VALUE),
    ("d_state", lambda p: setattr(p, "d_state", 65), CUDA_INVALID_VALUE),
    ("dtype", lambda p: setattr(p, "dtype", 2), CUDA_INVALID_VALUE),
    ("half_sums, float32", half_sums_of_float32, CUDA_INVALID_VALUE),
    ("half_sums", lambda p: setattr(p, "half_sums", 2), CUDA_INVALID_VALUE),
    ("stride", lambda p: setattr(p, "x_stride", 64), CUDA_INVALID_VALUE),
    ("order", lambda p: p.order.__setitem__(0, 4), CUDA_INVALID_VALUE),
    ("limb", lambda p: p.limb_index.__setitem__(3, 17), CUDA_INVALID_VALUE),
    ("width", lambda p: setattr(p, "d_inner", 124), CUDA_NOT_SUPPORTED),
    ("frames", lambda p: setattr(p, "frames", 10**7), CUDA_NOT_SUPPORTED),
]


@pytest.mark.parametrize(
    ("change", "expected"), [b[1:] for b in BREAKS], ids=[b[0] for b in BREAKS]
)
def test_refusals(
    lib: ctypes.CDLL, change: Callable[[CrossScanParams], None], expected: int
) -> None:
    op = cross(lib)
    op.y.fill_(7.0)
    change(op._params)
    assert op.launch() == expected
    torch.cuda.synchronize()
    assert bool((op.y == 7).all())


def test_missing_workspace(lib: ctypes.CDLL) -> None:
    op = cross(lib)
    assert lib.pm_cuda_cross_scan(op._address, None, None, None) == CUDA_INVALID_VALUE


@pytest.mark.parametrize(
    "tuning",
    [(3, 0, 0), (0, -1, 0), (0, 0, -1), (0, 0, 13), (CHUNKED, 0, 6), (0, 2, 10), (3, 0, 6)],
)
def test_bad_tuning(lib: ctypes.CDLL, tuning: tuple[int, int, int]) -> None:
    op = cross(lib, Tuning(*tuning))
    assert op.workspace_bytes == 0
    assert op.launch() == CUDA_INVALID_VALUE


@pytest.mark.parametrize(
    ("config", "change"),
    [
        (6, {"d_state": 8}),
        (6, {"dt_rank": 5}),
        (6, {"x_stride": 132}),
        (6, {"x_dbl_stride": 146}),
        (7, {"dt_rank": 12}),
        (8, {"dt_rank": 4}),
        (10, {"dtype": 0}),
        (10, {"batch": 600}),
        (12, {"dtype": 0}),
        (12, {"x_dbl_stride": 146}),
    ],
)
def test_one_pass_takes_what_it_can(lib: ctypes.CDLL, config: int, change: dict[str, int]) -> None:
    """A forced design refuses a shape that it has no kernel or alignment for; left to itself the
    launcher finds another."""
    op = cross(lib, Tuning(0, 0, config))
    size = lib.pm_cuda_cross_scan_workspace
    rank = {7: 8, 8: 8}.get(config, 4)
    op._params.dt_rank = rank
    op._params.x_dbl_stride = 4 * (rank + 32)
    assert size(op._address, op._tuning_address) > 0
    for field, value in change.items():
        setattr(op._params, field, value)
    op._params.x_dbl_stride = max(op._params.x_dbl_stride, 4 * (op._params.dt_rank + 32))
    assert size(op._address, op._tuning_address) == 0
    assert size(op._address, None) > 0


def test_workspace_limit_covers_every_tuning(lib: ctypes.CDLL) -> None:
    size, limit = lib.pm_cuda_cross_scan_workspace, lib.pm_cuda_cross_scan_workspace_limit
    limit.restype, limit.argtypes = ctypes.c_size_t, [ctypes.c_void_p]
    for d_inner, rank in ((128, 4), (256, 8), (512, 16)):
        op = Op(lib, inputs := oracle.make_cross(d_inner=d_inner, rank=rank, frames=1), inputs.x)
        op._params.batch, op._params.frames = 64, 243
        most = limit(op._address)
        for batch in (1, 2, 4, 8, 16, 32, 64):
            op._params.batch = batch
            for config in range(13):
                tuning = Tuning(0, 0, config)
                assert size(op._address, ctypes.addressof(tuning)) <= most


def test_null_params(lib: ctypes.CDLL) -> None:
    assert lib.pm_cuda_cross_scan_workspace(None, None) == 0
    assert lib.pm_cuda_scan_workspace(None, None) == 0
    assert lib.pm_cuda_cross_scan(None, None, None, None) == CUDA_INVALID_VALUE
    assert lib.pm_cuda_scan(None, None, None, None) == CUDA_INVALID_VALUE


def test_workspace_without_pointers(lib: ctypes.CDLL) -> None:
    """A host asks for sizes before its tensors exist."""
    for inputs, name in ((oracle.make_cross(), "cross_scan"), (oracle.make_scan(), "scan")):
        out = inputs.x if name == "cross_scan" else inputs.u
        params = inputs.params(out)
        sized = getattr(lib, f"pm_cuda_{name}_workspace")
        full = sized(ctypes.addressof(params), None)
        for field, kind in params._fields_:
            if kind is ctypes.c_void_p:
                setattr(params, field, None)
        assert sized(ctypes.addressof(params), None) == full > 0


@pytest.mark.parametrize(
    ("op_name", "variant", "config"),
    [
        *((name, variant, 0) for name in ("cross_scan", "scan") for variant in (CHUNKED, SERIAL)),
        *(("cross_scan", SERIAL, config) for config in (6, 7, 9, 10, 11, 12)),
    ],
)
def test_graph_capture_on_a_side_stream(
    lib: ctypes.CDLL, op_name: str, variant: int, config: int
) -> None:
    """A captured launch (any allocation or synchronisation would fail it) replays on new data."""
    inputs = oracle.make_cross() if op_name == "cross_scan" else oracle.make_scan()
    source = inputs.x if op_name == "cross_scan" else inputs.u
    op = Op(lib, inputs, torch.empty_like(source), Tuning(variant, 0, config))
    stream = torch.cuda.Stream()
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, stream=stream):
        for _ in range(3):
            op()
    source.copy_(torch.randn_like(source))
    op.y.fill_(float("nan"))
    graph.replay()
    torch.cuda.synchronize()
    replayed = op.y.clone()
    assert torch.equal(op(), replayed)


@pytest.mark.parametrize("tuning", [(0, 9, 0), (0, 0, 6), (0, 0, 7), (0, 0, 9), (0, 0, 10)])
def test_launches_back_to_back(lib: ctypes.CDLL, tuning: tuple[int, int, int]) -> None:
    """Overlapping prologues (dependent launches) never read an older call's workspace."""
    inputs = [oracle.make_cross(seed=s) for s in range(4)]
    ops = [Op(lib, i, torch.empty_like(i.x), Tuning(*tuning)) for i in inputs]
    for op in ops[1:]:
        op.workspace = ops[0].workspace
    alone = []
    for op in ops:
        alone.append(op().clone())
        torch.cuda.synchronize()
    for _ in range(20):
        for op in ops:
            op()
    torch.cuda.synchronize()
    assert all(torch.equal(op.y, y) for op, y in zip(ops, alone, strict=True))


def test_struct_sizes() -> None:
    """The mirrors in pmcuda.py have the C layout of scan.h (x86-64 and aarch64 agree)."""
    assert ctypes.sizeof(CrossScanParams) == 7 * 8 + 5 * 8 + 6 * 4 + 3 * 32 + 256 + 2 * 4
    assert ctypes.sizeof(ScanParams) == 9 * 8 + 2 * 8 + 5 * 4 + 32 + 4
