"""CrossSelectiveScan, version 2, against the sequential oracle: a base case, rows that vary one."""

from __future__ import annotations

import ctypes
import itertools
from functools import lru_cache

import kernel_api
import kernel_cases as cases
import kernel_v2 as v2
import numpy as np
import pytest
from kernel_api import BAD_DTYPE, BAD_ORDER, BAD_SHAPE, BAD_STRIDE, NULL_POINTER
from kernel_tolerance import check

RNG = np.random.default_rng(7)


ROWS: dict[str, dict[str, object]] = v2.CROSS_ROWS | {
    "reset at every step": {"reset": (1, 33)},
    "reset never met": {"reset": (10_000, 10_000)},
    "one step": {"tables": {"scan_index": np.array([[4]], np.int32)}},
    "all idle": {"tables": {"scan_index": np.full((1, 40), -1, np.int32)}},
    "d_state=256": {"d_state": 256},
    "dt_rank=1": {"dt_rank": 1},
    "dt_rank=128": {"dt_rank": 128},
    "float16": {"dtype": "float16"},
    "float16, odd": {"dtype": "float16", "d_inner": 21, "d_state": 5, "dt_rank": 3},
}  # fmt: skip


@lru_cache(maxsize=4)
def problem(name: str) -> tuple[v2.IndexedCase, np.ndarray, np.ndarray]:
    """The case of a row, its float64 result and what a plain float32 loop makes of it."""
    case = v2.indexed_case(**ROWS[name])
    return case, v2.indexed_scan(case), v2.indexed_scan(case, np.float32)


@pytest.mark.parametrize("name", ROWS)
def test_matches_oracle(lib: ctypes.CDLL, name: str, isa: str) -> None:
    case, truth, plain = problem(name)
    check(v2.run_indexed(lib, case, misalign=case.x.itemsize), truth, plain)


def test_the_largest_sizes(lib: ctypes.CDLL, isa: str) -> None:
    """Sums of 256 and 128 terms one after another, where the plain loop's go by pairs: the bound of
    docs/reference/ops.md (seen: 4e-7)."""
    case = v2.indexed_case(dt_rank=128, d_state=256, d_inner=20)
    truth = v2.indexed_scan(case)
    assert np.abs(v2.run_indexed(lib, case) - truth).max() < 5e-6 * np.abs(truth).max()


@pytest.mark.parametrize("threads", [2, 5, 64])
def test_threads_do_not_change_a_bit(lib: ctypes.CDLL, threads: int, isa: str) -> None:
    case, _, _ = problem("batch=3")
    alone = v2.run_indexed(lib, case)
    assert alone.tobytes() == v2.run_indexed(lib, case, threads=threads).tobytes()


def test_is_version_1_where_that_has_the_order(lib: ctypes.CDLL, isa: str) -> None:
    """The same sums in another order of the directions' steps: a few units of 6e-8."""
    case, _, _ = problem("the paper's")
    shape = (1, 9, 17)
    old = kernel_api.CrossScanCase(
        x=case.x.reshape(*shape, -1),
        x_dbl=case.x_dbl.reshape(*shape, -1),
        **{name: getattr(case, name) for name in ("dt_weight", "dt_bias", "A", "D")},
    )
    want = kernel_api.run_cross_scan(lib, old).reshape(case.x.shape)
    got = v2.run_indexed(lib, case)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6 * np.abs(want).max())


MISTAKES = [
    *[(n, None, NULL_POINTER) for n in ("x", "x_dbl", "dt_weight", "dt_bias", "A", "D", "y")],
    ("scan_index", None, NULL_POINTER),
    *[(n, 0, BAD_SHAPE) for n in ("batch", "positions", "steps", "d_inner", "d_state", "dt_rank")],
    ("directions", 0, BAD_SHAPE),
    ("directions", 9, BAD_SHAPE),
    ("d_state", 257, BAD_SHAPE),
    ("dt_rank", 129, BAD_SHAPE),
    ("steps", 2**31, BAD_SHAPE),
    ("positions", 2**60, BAD_SHAPE),
    ("batch", 2**60, BAD_SHAPE),
    ("x_stride", 39, BAD_STRIDE),
    ("y_stride", 39, BAD_STRIDE),
    ("x_dbl_stride", 2 * 40 - 1, BAD_STRIDE),
    ("dtype", 2, BAD_DTYPE),
]


@pytest.mark.parametrize(("field", "value", "status"), MISTAKES)
def test_mistakes(lib: ctypes.CDLL, field: str, value: int | None, status: int) -> None:
    case = v2.indexed_case()
    params = v2.indexed_params(case)
    y = np.full_like(case.x, 3.0)
    params.y = y.ctypes.data
    setattr(params, field, value)
    workspace = np.empty(1 << 20, np.uint8)
    got = lib.pm_cpu_indexed_scan(
        ctypes.byref(params), ctypes.c_void_p(workspace.ctypes.data), None
    )
    assert got == status
    assert (y == 3.0).all()
    if status != NULL_POINTER:
        assert lib.pm_cpu_indexed_scan_workspace(ctypes.byref(params), 1) == 0


@pytest.mark.parametrize(
    ("table", "value"),
    [("scan_index", -2), ("scan_index", 153), ("neighbour_index", 153), ("neighbour_index", -9),
     ("reset_length", -1)],
)  # fmt: skip
def test_tables_are_looked_at(lib: ctypes.CDLL, table: str, value: int) -> None:
    case = v2.indexed_case(tables=v2.anywhere(2, 50, 153), reset=(3, 4))
    getattr(case, table).flat[-1] = value
    params = v2.indexed_params(case)
    y = np.empty_like(case.x)
    params.y = y.ctypes.data
    workspace = np.empty(1 << 20, np.uint8)
    got = lib.pm_cpu_indexed_scan(
        ctypes.byref(params), ctypes.c_void_p(workspace.ctypes.data), None
    )
    assert got == BAD_ORDER


STATEFUL = {
    "base": {},
    "groups": {"groups": 3, "channels": 5, "reverse": (1, 0, 1)},
    "d_state=65": {"d_state": 65},
    "d_state=256": {"d_state": 256, "channels": 37},
    "bare": {"with_d": False, "with_z": False, "with_bias": False, "delta_softplus": False},
    "float16": {"dtype": "float16"},
    "length=1": {"length": 1},
}


@pytest.mark.parametrize("name", STATEFUL)
@pytest.mark.parametrize("given", [True, False])
def test_state_goes_in_and_out(lib: ctypes.CDLL, name: str, given: bool, isa: str) -> None:
    case = cases.scan_case(**STATEFUL[name])
    shape = (case.u.shape[0], *case.A.shape)
    start = RNG.standard_normal(shape).astype(np.float32) if given else None
    got, state = v2.run_stateful(lib, case, start)
    truth, end = v2.stateful_scan(case, start)
    plain, plain_end = v2.stateful_scan(case, start, np.float32)
    check(got, truth, plain)
    assert state is not None
    check(state, end, plain_end)


@pytest.mark.parametrize("change", [{}, {"d_state": 200}, {"dtype": "float16"}], ids=str)
@pytest.mark.parametrize("given", [True, False])
def test_no_steps_keep_the_state(
    lib: ctypes.CDLL, given: bool, change: dict[str, object], isa: str
) -> None:
    case = cases.scan_case(length=0, **change)
    start = RNG.standard_normal((case.u.shape[0], *case.A.shape)).astype(np.float32)
    y, end = v2.run_stateful(lib, case, start if given else None)
    assert y.shape == case.u.shape
    assert np.array_equal(end, start if given else np.zeros_like(start))


def test_tensors_of_no_steps_may_be_nowhere(lib: ctypes.CDLL) -> None:
    case = cases.scan_case(length=0)
    scan = kernel_api.scan_params(case)
    scan.u = scan.delta = scan.B = scan.C = scan.z = scan.y = None
    end = np.full((case.u.shape[0], *case.A.shape), np.nan, np.float32)
    params = v2.StatefulScanParams(scan, None, end.ctypes.data)
    line = np.empty(128, np.uint8)
    address = ctypes.c_void_p(line.ctypes.data)
    assert lib.pm_cpu_stateful_scan(ctypes.byref(params), address, None) == kernel_api.OK
    assert (end == 0).all()


def test_without_a_state_it_is_version_1_to_the_bit(lib: ctypes.CDLL, isa: str) -> None:
    case = cases.scan_case()
    want = kernel_api.run_scan(lib, case)
    for wanted in (True, False):
        got, _ = v2.run_stateful(lib, case, want_state=wanted)
        assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("states", [16, 21, 200])
def test_pieces_are_one_long_scan_to_the_bit(lib: ctypes.CDLL, states: int, isa: str) -> None:
    """For every cut of 75 steps in two, and for steps one by one."""
    case = cases.scan_case(reverse=(0, 0), d_state=states, channels=19)
    whole, end = v2.run_stateful(lib, case)
    length = case.u.shape[2]
    cuts = [(0, cut, length) for cut in range(1, length)] + [tuple(range(length + 1))]
    cuts += [(0, 0, 7, 7, 7, length, length)]  # pieces of no steps among them
    for cut in cuts:
        state, pieces = None, []
        for begin, stop in itertools.pairwise(cut):
            y, state = v2.run_stateful(lib, v2.piece_of(case, begin, stop), state)
            pieces.append(y)
        assert np.concatenate(pieces, axis=2).tobytes() == whole.tobytes(), cut
        assert state is not None
        assert end is not None
        assert state.tobytes() == end.tobytes(), cut


def test_one_buffer_may_hold_both_states(lib: ctypes.CDLL) -> None:
    case = cases.scan_case()
    start = RNG.standard_normal((case.u.shape[0], *case.A.shape)).astype(np.float32)
    want_y, want = v2.run_stateful(lib, case, start)
    params = kernel_api.scan_params(case)
    y = np.empty_like(case.u)
    params.y = y.ctypes.data
    both = v2.StatefulScanParams(params, start.ctypes.data, start.ctypes.data)
    line = np.empty(128, np.uint8)
    address = ctypes.c_void_p(line.ctypes.data)
    assert lib.pm_cpu_stateful_scan(ctypes.byref(both), address, None) == kernel_api.OK
    assert want is not None
    assert (y.tobytes(), start.tobytes()) == (want_y.tobytes(), want.tobytes())
