"""Version 2 of both operators in ONNX Runtime, against the sequential float64 oracles."""

from __future__ import annotations

import kernel_cases as cases
import kernel_v2 as v2
import numpy as np
import pytest
from ort_cases import BOUNDS
from ort_v2 import cross_inputs, run_cross, run_scan, scan_given


@pytest.mark.parametrize(("dtype", "bound"), BOUNDS)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"tables": v2.order_tables("bfs", 9)},
        {"tables": v2.order_tables("global-local", 9), "reset": (17, 9, 0, 5)},
        {"reset": (len(v2.TOUR), 0)},
        {"d_state": 200},
    ],
    ids=["tour", "breadth first", "limbs and resets", "reset", "states"],
)
def test_tables(dtype: type, bound: float, change: dict[str, object]) -> None:
    case = v2.indexed_case(dtype=np.dtype(dtype).name, **change)
    truth = v2.indexed_scan(case)
    assert np.abs(run_cross(case) - truth).max() < bound * np.abs(truth).max()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scan_index", np.full((2, 198), 153, np.int32)),
        ("scan_index", np.zeros((3, 198), np.int32)),
        ("neighbour_index", np.zeros((2, 197), np.int32)),
        ("reset_length", np.array([-1, 0], np.int32)),
        ("reset_length", np.zeros(3, np.int32)),
        ("scan_index", None),
    ],
)
def test_tables_that_do_not_fit_are_refused(name: str, value: np.ndarray | None) -> None:
    case = v2.indexed_case()
    with pytest.raises(Exception, match="posemamba::CrossSelectiveScan"):
        run_cross(case, cross_inputs(case) | {name: value})


@pytest.mark.parametrize(("dtype", "bound"), BOUNDS)
@pytest.mark.parametrize("change", [{}, {"with_z": False}, {"d_state": 100}], ids=str)
def test_states(dtype: type, bound: float, change: dict[str, object]) -> None:
    case = cases.scan_case(dtype=np.dtype(dtype).name, **change)
    start = np.random.default_rng(3).standard_normal((2, *case.A.shape)).astype(np.float32)
    given = scan_given(case, start)
    truth, end = v2.stateful_scan(case, start)
    y, state = run_scan(given, case.u.dtype.name)
    assert np.abs(y - truth).max() < bound * np.abs(truth).max()
    assert np.abs(state - end).max() < 5e-6 * np.abs(end).max()
    if case.z is None:  # another tensor holds its place
        held = run_scan(given | {"z": case.u}, case.u.dtype.name, gated=0)
        assert held[0].tobytes() == y.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("given", [True, False])
def test_a_piece_of_no_steps_keeps_the_state(dtype: str, given: bool) -> None:
    case = cases.scan_case(dtype=dtype, length=0)
    start = np.random.default_rng(3).standard_normal((2, *case.A.shape)).astype(np.float32)
    y, state = run_scan(scan_given(case, start if given else None), dtype)
    assert y.shape == case.u.shape
    assert np.array_equal(state, start if given else np.zeros_like(start))


def test_no_sequences_leave_no_state() -> None:
    case = cases.scan_case(batch=0)
    y, state = run_scan(scan_given(case), "float32")
    assert (y.shape, state.shape) == (case.u.shape, (0, *case.A.shape))


def test_a_state_that_does_not_fit_is_refused() -> None:
    case = cases.scan_case()
    given = scan_given(case, np.zeros((2, 48, 15), np.float32))
    with pytest.raises(Exception, match="initial_state must be"):
        run_scan(given, "float32")
