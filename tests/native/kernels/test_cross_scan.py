"""CrossSelectiveScan against the sequential oracle: a base case, rows that vary one parameter."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from functools import lru_cache

import kernel_api
import kernel_cases as cases
import kernel_oracle as oracle
import numpy as np
import pytest
from kernel_tolerance import check

ROWS: dict[str, dict[str, object]] = {
    "base": {},
    # L = 1, 2, 31, 33, 129, 459, 4131: below, at and beyond tiles of 32 steps
    "L=1": {"frames": 1, "joints": 1},
    "L=2": {"frames": 2, "joints": 1},
    "L=2, one frame": {"frames": 1, "joints": 2},
    "L=31": {"frames": 31, "joints": 1},
    "L=33": {"frames": 11, "joints": 3},
    "L=129": {"frames": 3, "joints": 43},
    "L=459": {"frames": 27},
    "L=4131": {"frames": 243, "d_inner": 16},
    "joints=64": {"frames": 3, "joints": 64},
    "batch=3": {"batch": 3},
    "d_inner=1": {"d_inner": 1},
    "d_inner=8": {"d_inner": 8},
    "d_inner=24": {"d_inner": 24},
    "d_inner=37": {"d_inner": 37},
    "d_inner=128": {"d_inner": 128},
    "d_inner=256": {"d_inner": 256},
    "d_inner=512": {"d_inner": 512},
    "d_state=1": {"d_state": 1},
    "d_state=7": {"d_state": 7},
    "d_state=8": {"d_state": 8},
    "d_state=24": {"d_state": 24},
    "d_state=64": {"d_state": 64},
    "d_state=64, wide": {"d_state": 64, "d_inner": 128},
    "dt_rank=1": {"dt_rank": 1},
    "dt_rank=2": {"dt_rank": 2},
    "dt_rank=4": {"dt_rank": 4},
    "dt_rank=16": {"dt_rank": 16},
    "dt_rank=128": {"dt_rank": 128, "dt_scale": 0.05, "d_inner": 64},
    "float16": {"dtype": "float16"},
    "float16, odd row": {"dtype": "float16", "d_inner": 21, "d_state": 5, "dt_rank": 3},
    "float16, long": {"dtype": "float16", "frames": 81, "d_inner": 64},
    "one direction": {"order": (0,), "reverse": (0,), "limb_mask": (0,)},
    "eight directions": {
        "order": (0, 1, 2, 3, 0, 1, 2, 3),
        "reverse": (0, 0, 0, 0, 1, 1, 1, 1),
        "limb_mask": (1, 0, 0, 1, 0, 1, 1, 0),
    },
    # Table 4 of the paper: fs_bt, bs_ft, bs_bt run directions 2 and 3 as 0 and 1 again
    "bs_bt": {"order": (2, 3, 2, 3), "reverse": (0, 0, 0, 0), "limb_mask": (1, 0, 1, 0)},
    "limb everywhere": {"limb_mask": (1, 1, 1, 1)},
    "limb nowhere": {"limb_mask": (0, 0, 0, 0)},
    "large A": {"a_scale": 1e4},
    "small A": {"a_scale": 1e-3},
}
for _order in range(4):
    for _reverse in range(2):
        for _limb in range(2):
            ROWS[f"order={_order}, reverse={_reverse}, limb={_limb}"] = {
                "order": (_order,),
                "reverse": (_reverse,),
                "limb_mask": (_limb,),
                "frames": 5,
            }


@lru_cache(maxsize=4)  # the instruction sets of one row run in turn
def problem(name: str) -> tuple[kernel_api.CrossScanCase, np.ndarray, np.ndarray]:
    """The case of a row, its float64 result and what a plain float32 loop makes of it."""
    case = cases.cross_scan_case(**ROWS[name])
    return case, oracle.cross_scan(case), oracle.cross_scan(case, np.float32)


@pytest.mark.parametrize("name", ROWS)
def test_matches_oracle(lib: ctypes.CDLL, name: str, isa: str) -> None:
    case, truth, plain = problem(name)
    check(kernel_api.run_cross_scan(lib, case), truth, plain)


@pytest.mark.parametrize("name", ["base", "batch=3", "d_inner=8", "d_inner=256", "float16"])
@pytest.mark.parametrize("threads", [2, 5, 64])
def test_threads_do_not_change_a_bit(lib: ctypes.CDLL, name: str, threads: int, isa: str) -> None:
    case, _, _ = problem(name)
    alone = kernel_api.run_cross_scan(lib, case)
    together = kernel_api.run_cross_scan(lib, case, threads=threads)
    assert alone.tobytes() == together.tobytes()
    assert together.tobytes() == kernel_api.run_cross_scan(lib, case, threads=threads).tobytes()


def test_a_batch_item_does_not_depend_on_its_neighbours(lib: ctypes.CDLL, isa: str) -> None:
    case = cases.cross_scan_case(batch=5, d_inner=8)
    every = kernel_api.run_cross_scan(lib, case, threads=2)
    for b in range(5):
        one = replace(case, x=case.x[b : b + 1], x_dbl=case.x_dbl[b : b + 1])
        assert every[b].tobytes() == kernel_api.run_cross_scan(lib, one)[0].tobytes()


def test_half_sums_are_an_offer(lib: ctypes.CDLL, isa: str) -> None:
    """The CPU sums in float32 either way."""
    case, _, _ = problem("float16")
    offered = kernel_api.run_cross_scan(lib, replace(case, half_sums=1))
    assert offered.tobytes() == kernel_api.run_cross_scan(lib, case).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_slices_need_no_copy(lib: ctypes.CDLL, dtype: str, isa: str) -> None:
    """x and x_dbl as slices of a wider last axis, y with a gap after every row."""
    case = cases.cross_scan_case(batch=2, d_inner=24, dtype=dtype)
    want = kernel_api.run_cross_scan(lib, case)

    def inside(array: np.ndarray, before: int, after: int) -> np.ndarray:
        wide = np.full((*array.shape[:3], before + array.shape[3] + after), np.nan, dtype)
        wide[..., before : before + array.shape[3]] = array
        return wide[..., before : before + array.shape[3]]

    sliced = replace(case, x=inside(case.x, 3, 24), x_dbl=inside(case.x_dbl, 1, 5))
    for threads in (1, 2):
        got = kernel_api.run_cross_scan(lib, sliced, threads=threads, y_extra=7)
        assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_unaligned_pointers(lib: ctypes.CDLL, dtype: str, isa: str) -> None:
    """Every array one element off its alignment."""
    case = cases.cross_scan_case(dtype=dtype)
    want = kernel_api.run_cross_scan(lib, case)

    def shifted(array: np.ndarray) -> np.ndarray:
        raw = np.full(array.nbytes + 64 + array.itemsize, 0xFF, np.uint8)
        start = -raw.ctypes.data % 64 + array.itemsize
        view = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        view[...] = array
        return view

    names = ("x", "x_dbl", "dt_weight", "dt_bias", "A", "D")
    moved = replace(case, **{name: shifted(getattr(case, name)) for name in names})
    got = kernel_api.run_cross_scan(lib, moved, misalign=case.x.itemsize)
    assert got.tobytes() == want.tobytes()


def test_reads_nothing_outside_the_rows(lib: ctypes.CDLL, isa: str) -> None:
    """Inputs that end where a page without access begins: one lane too far is a crash."""
    case = cases.cross_scan_case(frames=3, d_inner=21, d_state=5, dt_rank=3, dtype="float16")
    want = kernel_api.run_cross_scan(lib, case)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    libc.mprotect.argtypes = libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    page, size = 65536, 1 << 20  # 64 KiB: the largest page size of the platforms we build for
    maps: list[int] = []

    def at_the_end(array: np.ndarray) -> np.ndarray:
        base = libc.mmap(None, size, 3, 0x22, -1, 0)  # read and write, private and anonymous
        maps.append(base)
        assert libc.mprotect(base + size - page, page, 0) == 0
        raw = (ctypes.c_char * (size - page)).from_address(base)
        view = np.frombuffer(raw, np.uint8)[-array.nbytes :].view(array.dtype)
        view = view.reshape(array.shape)
        view[...] = array
        return view

    names = ("x", "x_dbl", "dt_weight", "dt_bias", "A", "D")
    moved = replace(case, **{name: at_the_end(getattr(case, name)) for name in names})
    try:
        got = kernel_api.run_cross_scan(lib, moved)
    finally:
        for base in maps:
            libc.munmap(base, size)
    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("bias", [-30.0, -20.0, -5.0, 0.0, 5.0, 19.9, 20.1, 30.0])
def test_extreme_dt(lib: ctypes.CDLL, bias: float, isa: str) -> None:
    """Softplus inputs around -30 to 30: dt from 1e-13 (all decay 1) to 30 (all decay 0)."""
    case = cases.cross_scan_case(dt_scale=0.05)
    case = replace(case, dt_bias=np.full_like(case.dt_bias, bias))
    check(
        kernel_api.run_cross_scan(lib, case),
        oracle.cross_scan(case),
        oracle.cross_scan(case, np.float32),
    )


def test_denormal_states_neither_stall_nor_change_the_callers_mode(
    lib: ctypes.CDLL, isa: str
) -> None:
    """One impulse, then silence: the state decays into denormals, which count as zero inside."""
    case = cases.cross_scan_case(frames=40, limb_mask=(0, 0, 0, 0))
    case.x[:, 1:] = 0
    case = replace(case, dt_bias=np.full_like(case.dt_bias, 1.0))
    check(
        kernel_api.run_cross_scan(lib, case),
        oracle.cross_scan(case),
        oracle.cross_scan(case, np.float32),
    )
    tiny = np.full(4, 1e-40, np.float32)
    assert (tiny * np.float32(1) != 0).all(), "the launcher left denormals flushed"


def test_nan_in_one_position_stays_in_its_batch_item(lib: ctypes.CDLL, isa: str) -> None:
    case = cases.cross_scan_case(batch=2)
    case.x[0, 4, 3, 5] = np.nan
    y = kernel_api.run_cross_scan(lib, case)
    assert np.isnan(y[0, ..., 5]).any(), "a NaN must not vanish"
    assert np.isfinite(np.delete(y[0], 5, axis=-1)).all()
    assert np.isfinite(y[1]).all()
