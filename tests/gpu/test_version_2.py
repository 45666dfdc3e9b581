"""Version 2 of both operators on the GPU against the sequential float64 oracles."""

from __future__ import annotations

import kernel_cases as cases
import kernel_v2 as v2
import numpy as np
import pytest
import torch

from posemamba.native.scan_ops_v2 import cross_selective_scan_v2, selective_scan_v2

pytestmark = pytest.mark.gpu

RNG = np.random.default_rng(7)


CROSS: dict[str, dict[str, object]] = v2.CROSS_ROWS | {
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


def check(got: np.ndarray, truth: np.ndarray, plain: np.ndarray) -> None:
    """At most twice the plain loop's error in the same type; the floor is test_cross_scan's."""
    scale = np.abs(truth).max()
    assert np.isfinite(got).all()
    error = np.abs(got.astype(np.float64) - truth).max() / scale
    rounded = np.abs(plain.astype(got.dtype).astype(np.float64) - truth).max() / scale
    assert error <= 2 * rounded + 4e-6
    if got.dtype == np.float32:
        assert error < 1e-5


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
    check(found.cpu().numpy(), v2.indexed_scan(case), v2.indexed_scan(case, np.float32))
    for _ in range(3):
        assert torch.equal(run_cross(case), found), "the same bits each time"


def test_an_index_beyond_the_positions_is_loud() -> None:
    case = v2.indexed_case(tables=v2.tour_tables(9), reset=(0, len(v2.TOUR)))
    case.scan_index[0, 40] = 153
    y = run_cross(case).cpu().numpy()
    later = np.unique(case.scan_index[0, 41:])
    assert np.isnan(y[:, later]).all()
    assert np.isfinite(np.delete(y, later, axis=1)).all()


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
    check(y.cpu().numpy(), truth, plain)
    check(end.cpu().numpy(), state, plain_state)


def test_a_stream_is_one_long_scan() -> None:
    """Also bit for bit: a step's sums do not depend on the tile it is in."""
    case = cases.scan_case(reverse=(0, 0), length=100)
    whole, end = run_scan(case)
    state, pieces = None, []
    for begin, stop in ((0, 7), (7, 8), (8, 64), (64, 100)):
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
