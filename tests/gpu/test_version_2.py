"""Version 2 of both operators on the GPU against the sequential float64 oracles."""

from __future__ import annotations

import ctypes

import kernel_cases as cases
import kernel_v2 as v2
import numpy as np
import oracle
import pytest
import torch
from kernel_tolerance import check_directions
from pmcuda import AUTO, IndexedInputs, Op, Tuning

from posemamba.native.scan_ops_v2 import cross_selective_scan_v2, selective_scan_v2

pytestmark = pytest.mark.gpu

RNG = np.random.default_rng(7)


CROSS: dict[str, dict[str, object]] = v2.CROSS_ROWS | {
    "dt_rank=4": {"dt_rank": 4},
    "dt_rank=5": {"dt_rank": 5},
    "dt_rank=16": {"dt_rank": 16, "d_inner": 72},
    "d_state=17": {"d_state": 17},
    "d_state=64": {"d_state": 64},
    "d_state=256, dt_rank=128": {"d_state": 256, "dt_rank": 128, "d_inner": 20},
}
SCAN: dict[str, dict[str, object]] = {
    "base": {},
    "length=1": {"length": 1},
    "groups": {"groups": 3, "channels": 5, "reverse": (1, 0, 1)},
    "d_state=1": {"d_state": 1},
    "d_state=40": {"d_state": 40},
    "d_state=65": {"d_state": 65},
    "d_state=256": {"d_state": 256, "channels": 37},
    "bare": {"with_d": False, "with_z": False, "with_bias": False, "delta_softplus": False},
}


def on_gpu(array: np.ndarray | None) -> torch.Tensor | None:
    return None if array is None else torch.from_numpy(array).cuda()


def run_cross(case: v2.IndexedCase) -> torch.Tensor:
    """y (batch, positions, d_inner)."""
    x, x_dbl = (torch.from_numpy(a)[:, :, None].cuda() for a in (case.x, case.x_dbl))
    rest = [on_gpu(getattr(case, name)) for name in ("dt_weight", "dt_bias", "A", "D")]
    tables = [on_gpu(getattr(case, n)) for n in ("scan_index", "neighbour_index", "reset_length")]
    sizes = (case.A.shape[2], case.dt_weight.shape[2])
    y: torch.Tensor = cross_selective_scan_v2(x, x_dbl, *rest, *tables, *sizes)
    return y[:, :, 0]


def run_scan(case: object, state: np.ndarray | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    given = [
        on_gpu(getattr(case, n)) for n in ("u", "delta", "A", "B", "C", "D", "delta_bias", "z")
    ]
    groups = case.B.shape[1]
    flags = (case.delta_softplus, list(case.reverse[:groups]))
    y, end = selective_scan_v2(*given, on_gpu(state), *flags)
    return y, end


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", CROSS)
def test_tables(name: str, dtype: str) -> None:
    case = v2.indexed_case(**CROSS[name], dtype=dtype)
    found = run_cross(case)
    check_directions(found.cpu().numpy(), v2.indexed_scan(case), v2.indexed_scan(case, np.float32))
    for _ in range(3):
        assert torch.equal(run_cross(case), found), "the same bits each time"


def run_tuned(lib: ctypes.CDLL, case: v2.IndexedCase, tuning: Tuning) -> np.ndarray:
    """y (batch, positions, d_inner) of a plan; the workspace is NaN before."""
    inputs = IndexedInputs(**{name: on_gpu(getattr(case, name)) for name in vars(case)})
    y = Op(lib, inputs, torch.full_like(inputs.x, torch.nan), tuning, poison=True)()
    found: np.ndarray = y.cpu().numpy()
    return found


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("config", [1, 2, 3, 4])
@pytest.mark.parametrize("chunks", [1, 3, 20])
@pytest.mark.parametrize("name", v2.CHUNK_ROWS)
def test_chunks(lib: ctypes.CDLL, name: str, chunks: int, config: int, dtype: str) -> None:
    case = v2.indexed_case(**v2.CHUNK_ROWS[name], d_inner=72, batch=2, dtype=dtype)
    found = run_tuned(lib, case, Tuning(AUTO, chunks, config))
    check_directions(found, v2.indexed_scan(case), v2.indexed_scan(case, np.float32))


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize(("d_inner", "rank"), [(128, 4), (256, 8), (512, 16)])
def test_is_version_1_where_that_has_the_order(
    lib: ctypes.CDLL, d_inner: int, rank: int, batch: int
) -> None:
    """The published sizes, four directions, whatever design version 1 takes for them."""
    first = oracle.make_cross(batch, 81, d_inner=d_inner, rank=rank)
    second = oracle.indexed_inputs(first, *oracle.tables_of(first))
    want = Op(lib, first, torch.empty_like(first.x), poison=True)().view_as(second.x)
    found = Op(lib, second, torch.empty_like(second.x), poison=True)()
    # Both are within 2.5e-4 of float64, relative (docs/design/kernels.md).
    assert oracle.error(found, want.double()) < 5e-4


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_slices(offset: int) -> None:
    """Rows of wider tensors, on any element, give the bits of rows beside each other."""
    case = v2.indexed_case(d_inner=72, dtype="float16")
    want = run_cross(case)

    def wide(array: np.ndarray) -> torch.Tensor:
        whole = torch.from_numpy(v2.widened(array, offset)).cuda()
        return whole[:, :, None, offset : offset + array.shape[2]]

    rest = [on_gpu(getattr(case, name)) for name in ("dt_weight", "dt_bias", "A", "D")]
    sizes = (case.A.shape[2], case.dt_weight.shape[2])
    found = cross_selective_scan_v2(
        wide(case.x), wide(case.x_dbl), *rest, on_gpu(case.scan_index), None, None, *sizes
    )
    assert torch.equal(found[:, :, 0], want)


@pytest.mark.parametrize("d_inner", [72, 21])
def test_what_is_not_visited_is_not_read(d_inner: int) -> None:
    """Neither by idle steps nor for a neighbour there is not."""
    y = run_cross(v2.unvisited_case(d_inner)).cpu().numpy()
    assert np.isfinite(y).all()
    assert (y[:, 0] == 0).all()


@pytest.mark.parametrize("chunks", [0, 1, 9])
def test_an_index_beyond_the_positions_is_loud(lib: ctypes.CDLL, chunks: int) -> None:
    case = v2.indexed_case(tables=v2.tour_tables(9), reset=(0, len(v2.TOUR)))
    case.scan_index[0, 40] = 153
    tuning = Tuning(AUTO, chunks, 0)
    y = run_tuned(lib, case, tuning)
    later = np.unique(case.scan_index[0, 41:])
    assert np.isnan(y[:, later]).all()
    assert np.isfinite(np.delete(y, later, axis=1)).all()
    case.reset_length[0] = len(v2.TOUR)  # until the next reset
    frames = np.isnan(run_tuned(lib, case, tuning)).any(axis=(0, 2)).reshape(9, 17).any(axis=1)
    assert frames.tolist() == [False, True] + [False] * 7


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("name", SCAN)
def test_states(name: str, given: bool, dtype: str) -> None:
    case = cases.scan_case(**SCAN[name], dtype=dtype)
    shape = (case.u.shape[0], *case.A.shape)
    start = RNG.standard_normal(shape).astype(np.float32) if given else None
    y, end = run_scan(case, start)
    truth, state = v2.stateful_scan(case, start)
    plain, plain_state = v2.stateful_scan(case, start, np.float32)
    check_directions(y.cpu().numpy(), truth, plain)
    check_directions(end.cpu().numpy(), state, plain_state)


@pytest.mark.parametrize("given", [True, False])
def test_no_steps_keep_the_state(given: bool) -> None:
    case = cases.scan_case(length=0)
    start = RNG.standard_normal((case.u.shape[0], *case.A.shape)).astype(np.float32)
    y, end = run_scan(case, start if given else None)
    assert y.shape == case.u.shape
    assert np.array_equal(end.cpu().numpy(), start if given else np.zeros_like(start))


def test_a_stream_is_one_long_scan() -> None:
    """Also bit for bit: a step's sums do not depend on the tile it is in."""
    case = cases.scan_case(reverse=(0, 0), length=100)
    whole, end = run_scan(case)
    state, pieces = None, []
    for begin, stop in ((0, 7), (7, 8), (8, 64), (64, 64), (64, 100)):
        y, last = run_scan(v2.piece_of(case, begin, stop), state)
        state = last.cpu().numpy()
        pieces.append(y)
    assert torch.equal(torch.cat(pieces, dim=2), whole)
    assert torch.equal(last, end)


def test_both_can_be_captured() -> None:
    case, scan = v2.indexed_case(batch=2), cases.scan_case()
    want, (want_y, want_end) = run_cross(case), run_scan(scan)
    x, x_dbl = (torch.from_numpy(a)[:, :, None].cuda() for a in (case.x, case.x_dbl))
    rest = [on_gpu(getattr(case, name)) for name in ("dt_weight", "dt_bias", "A", "D")]
    index = on_gpu(case.scan_index)
    given = [
        on_gpu(getattr(scan, n)) for n in ("u", "delta", "A", "B", "C", "D", "delta_bias", "z")
    ]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        sizes = (case.A.shape[2], case.dt_weight.shape[2])
        y = cross_selective_scan_v2(x, x_dbl, *rest, index, None, None, *sizes)
        scanned, end = selective_scan_v2(*given, None, True, list(scan.reverse[:2]))
    for _ in range(2):
        for output in (y, scanned, end):
            output.fill_(float("nan"))
        graph.replay()
        assert torch.equal(y[:, :, 0], want)
        assert torch.equal(scanned, want_y)
        assert torch.equal(end, want_end)
