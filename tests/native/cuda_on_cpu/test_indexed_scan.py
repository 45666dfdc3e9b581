"""CrossSelectiveScan, version 2, run on the CPU: the chunked scan along tables, its links and its
merge, and the design for any size, against the sequential float64 oracle.

One base case, and rows that vary one parameter, of the tables, the chunks and the configuration.
Shared memory, the workspace and the outputs start as NaN, so a part that nobody wrote fails the
comparison: the workspace and the outputs lie between guard bands.
"""

from __future__ import annotations

import ctypes

import kernel_v2 as v2
import numpy as np
import pytest
from cuda_emulation import KERNELS, SHIM, Tuning, compile_library
from kernel_api import Guarded
from kernel_tolerance import check_directions

CHUNKED = KERNELS / "cuda" / "scan" / "chunked"
SOURCES = (
    KERNELS / "cuda" / "scan" / "indexed_scan.cu",
    KERNELS / "cuda" / "scan" / "indexed" / "launch.cu",
    CHUNKED / "table_kernels_f16.cu",
    CHUNKED / "table_kernels_f32.cu",
    CHUNKED / "plan.cc",
    KERNELS / "common" / "validate.cc",
    SHIM / "emulator.cc",
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    made = ctypes.CDLL(str(compile_library(tmp_path_factory.mktemp("indexed_scan"), SOURCES)))
    made.pm_cuda_indexed_scan_workspace.restype = ctypes.c_size_t
    made.pm_cuda_indexed_scan_workspace_limit.restype = ctypes.c_size_t
    return made


def run(
    library: ctypes.CDLL, case: v2.IndexedCase, tuning: Tuning | None = None, order: int = 0
) -> np.ndarray:
    """y (batch, positions, d_inner)."""
    library.cuda_on_cpu_order(order)
    tuning = tuning or Tuning()
    params, y = v2.indexed_params(case), Guarded(case.x.nbytes)
    params.y = y.pointer
    call = (ctypes.byref(params), ctypes.byref(tuning))
    size = library.pm_cuda_indexed_scan_workspace(*call)
    assert size > 0
    if tuning.chunks == 0:
        assert size <= library.pm_cuda_indexed_scan_workspace_limit(ctypes.byref(params))
    workspace = Guarded(size)
    assert library.pm_cuda_indexed_scan(*call, ctypes.c_void_p(workspace.pointer), None) == 0
    y.check("y")
    workspace.check("the workspace")
    return y.bytes.view(case.x.dtype).reshape(case.x.shape).copy()


def check_case(library: ctypes.CDLL, case: v2.IndexedCase, tuning: Tuning | None = None) -> None:
    found = run(library, case, tuning)
    check_directions(found, v2.indexed_scan(case), v2.indexed_scan(case, np.float32))


ROWS: dict[str, dict[str, object]] = v2.CROSS_ROWS | {
    "reset at every step": {"reset": (1, 33)},
    "one step": {"tables": {"scan_index": np.array([[4]], np.int32)}},
    "a tile": {"tables": v2.anywhere(2, 32, 153)},
    "a step more": {"tables": v2.anywhere(2, 33, 153)},
    "all idle": {"tables": {"scan_index": np.full((1, 40), -1, np.int32)}},
    "dt_rank=4": {"dt_rank": 4},
    "dt_rank=5": {"dt_rank": 5},
    "dt_rank=16": {"dt_rank": 16},
    "d_state=17": {"d_state": 17},
    "d_state=64": {"d_state": 64},
    # So many that a thread of the merge takes eight; in float32 channels come in two parts.
    "many positions": {"tables": v2.anywhere(2, 40, 399), "positions": 399, "batch": 16,
                       "d_inner": 512},
    "d_state=200, any d_inner": {"d_state": 200, "d_inner": 21, "reset": (5, 0)},
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", ROWS)
def test_matches_oracle(library: ctypes.CDLL, name: str, dtype: str) -> None:
    check_case(library, v2.indexed_case(**ROWS[name], dtype=dtype))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(("d_inner", "dt_rank"), [(128, 4), (256, 8)])
@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_the_paper_s_sizes(
    library: ctypes.CDLL, chunks: int, d_inner: int, dt_rank: int, dtype: str
) -> None:
    """The order of version 1 that the networks have, as benchmarks/kernels/version_2.py asks."""
    order = v2.order_tables("global-local", 9)
    sizes = {"d_inner": d_inner, "dt_rank": dt_rank}
    check_case(library, v2.indexed_case(tables=order, **sizes, dtype=dtype), Tuning(0, chunks, 0))


#: 20 is more than 198 steps have: a tile each.
@pytest.mark.parametrize("config", [1, 2, 3, 4])
@pytest.mark.parametrize("chunks", [1, 2, 20])
@pytest.mark.parametrize("name", v2.CHUNK_ROWS)
def test_chunks(library: ctypes.CDLL, name: str, chunks: int, config: int) -> None:
    case = v2.indexed_case(**v2.CHUNK_ROWS[name], d_inner=72, batch=2)
    check_case(library, case, Tuning(0, chunks, config))


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("name", ["anywhere", "one position", "reset inside a tile"])
def test_the_order_of_threads_changes_no_bit(library: ctypes.CDLL, name: str, chunks: int) -> None:
    """Repeats too are summed in the order of their steps."""
    case = v2.indexed_case(**ROWS[name])
    first = run(library, case, Tuning(0, chunks, 0))
    for order in (1, 2, 3):
        np.testing.assert_array_equal(run(library, case, Tuning(0, chunks, 0), order), first)


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_slices(library: ctypes.CDLL, dtype: str, before: int) -> None:
    """Rows of wider tensors, on any element, give the bits of rows beside each other."""
    case = v2.indexed_case(dtype=dtype)
    want = run(library, case)
    wide = {name: v2.widened(getattr(case, name), before) for name in ("x", "x_dbl")}
    params, y = v2.indexed_params(case), Guarded(case.x.nbytes)
    params.y = y.pointer
    for name, whole in wide.items():
        setattr(params, name, whole.ctypes.data + before * whole.itemsize)
        setattr(params, f"{name}_stride", whole.shape[2])
    workspace = Guarded(library.pm_cuda_indexed_scan_workspace(ctypes.byref(params), None))
    call = (ctypes.byref(params), None, ctypes.c_void_p(workspace.pointer), None)
    assert library.pm_cuda_indexed_scan(*call) == 0
    np.testing.assert_array_equal(y.bytes.view(dtype).reshape(want.shape), want)


@pytest.mark.parametrize("d_inner", [40, 21])
def test_what_is_not_visited_is_not_read(library: ctypes.CDLL, d_inner: int) -> None:
    """Neither by idle steps nor for a neighbour there is not."""
    y = run(library, v2.unvisited_case(d_inner))
    assert np.isfinite(y).all()
    assert (y[:, 0] == 0).all()


@pytest.mark.parametrize("d_inner", [40, 21])
@pytest.mark.parametrize("table", ["scan_index", "neighbour_index"])
def test_an_index_beyond_the_positions_is_loud(
    library: ctypes.CDLL, table: str, d_inner: int
) -> None:
    """NaN until the next reset, and nowhere else."""
    tables = v2.tour_tables(9)
    tables["neighbour_index"] = np.full_like(tables["scan_index"], -1)
    case = v2.indexed_case(tables=tables, reset=(0, len(v2.TOUR)), d_inner=d_inner)
    getattr(case, table)[0, 40] = 153
    y = run(library, case)
    later = np.unique(case.scan_index[0, 41:])
    assert np.isnan(y[:, later]).all()
    assert np.isfinite(np.delete(y[:, :34], later[later < 34], axis=1)[:, :17]).all()
    case.reset_length[0] = len(v2.TOUR)
    frames = np.isnan(run(library, case)).any(axis=(0, 2)).reshape(9, 17).any(axis=1)
    assert frames.tolist() == [False, True] + [False] * 7


def test_no_such_tuning(library: ctypes.CDLL) -> None:
    params = v2.indexed_params(v2.indexed_case())
    for tuning in (Tuning(3, 0, 0), Tuning(0, -1, 0), Tuning(0, 0, 6)):
        call = (ctypes.byref(params), ctypes.byref(tuning))
        assert library.pm_cuda_indexed_scan_workspace(*call) == 0


@pytest.mark.parametrize("d_state", [16, 40, 100])
@pytest.mark.parametrize("d_inner", [21, 128, 512])
def test_the_workspace_limit_covers_both_designs(
    library: ctypes.CDLL, d_inner: int, d_state: int
) -> None:
    """Of fewer steps, positions and items too, whatever the configuration."""
    params = v2.indexed_params(v2.indexed_case(d_inner=d_inner, d_state=d_state))
    params.batch, params.positions, params.steps = 64, 4131, 5000
    most = library.pm_cuda_indexed_scan_workspace_limit(ctypes.byref(params))
    for batch in (1, 2, 4, 8, 16, 32, 64):
        for positions, steps in ((17, 5000), (4131, 5000), (4131, 40)):
            params.batch, params.positions, params.steps = batch, positions, steps
            sizes = [
                library.pm_cuda_indexed_scan_workspace(
                    ctypes.byref(params), ctypes.byref(Tuning(0, 0, config))
                )
                for config in range(5)
            ]
            assert sizes[0] > 0
            assert max(sizes) <= most
