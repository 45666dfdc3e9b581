"""Version 2 of both operators in ONNX Runtime, against the sequential float64 oracles."""

from __future__ import annotations

import kernel_cases as cases
import kernel_v2 as v2
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from ort_cases import BOUNDS, CPU

from pmexport import custom_op_library

TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "int32": TensorProto.INT32,
}
CROSS_INPUTS = ("x", "x_dbl", "dt_weight", "dt_bias", "A", "D",
                "scan_index", "neighbour_index", "reset_length")  # fmt: skip
SCAN_INPUTS = ("u", "delta", "A", "B", "C", "D", "delta_bias", "z", "initial_state")
Given = dict[str, np.ndarray | None]


def run(
    op: str, names: tuple[str, ...], given: Given, outputs: dict[str, str], **attributes: object
) -> list[np.ndarray]:
    """The outputs of one node; inputs that are None are left empty."""
    present = {n: a for n, a in given.items() if a is not None}
    infos = [
        helper.make_tensor_value_info(n, TYPES[a.dtype.name], [None] * a.ndim)
        for n, a in present.items()
    ]
    made = [helper.make_tensor_value_info(n, TYPES[kind], None) for n, kind in outputs.items()]
    inputs = [n if n in present else "" for n in names]
    node = helper.make_node(op, inputs, list(outputs), domain="posemamba", **attributes)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("posemamba", 2)]
    graph = helper.make_graph([node], "one", infos, made)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.register_custom_ops_library(custom_op_library())
    session = ort.InferenceSession(model.SerializeToString(), options, providers=[CPU])
    found: list[np.ndarray] = session.run(None, present)
    return found


def cross_inputs(case: v2.IndexedCase) -> Given:
    given = {name: getattr(case, name) for name in CROSS_INPUTS}
    given["x"], given["x_dbl"] = case.x[:, :, None], case.x_dbl[:, :, None]
    return given


def run_cross(case: v2.IndexedCase, given: Given | None = None) -> np.ndarray:
    sizes = {"d_state": case.A.shape[2], "dt_rank": case.dt_weight.shape[2]}
    inputs = cross_inputs(case) if given is None else given
    outputs = {"y": case.x.dtype.name}
    return run("CrossSelectiveScan", CROSS_INPUTS, inputs, outputs, **sizes)[0][:, :, 0]


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


def run_scan(given: Given, dtype: str, **attributes: object) -> list[np.ndarray]:
    outputs = {"y": dtype, "final_state": "float32"}
    return run(
        "SelectiveScan", SCAN_INPUTS, given, outputs, delta_softplus=1, reverse=[0, 1], **attributes
    )


@pytest.mark.parametrize(("dtype", "bound"), BOUNDS)
@pytest.mark.parametrize("change", [{}, {"with_z": False}, {"d_state": 100}], ids=str)
def test_states(dtype: type, bound: float, change: dict[str, object]) -> None:
    case = cases.scan_case(dtype=np.dtype(dtype).name, **change)
    start = np.random.default_rng(3).standard_normal((2, *case.A.shape)).astype(np.float32)
    given = {name: getattr(case, name, None) for name in SCAN_INPUTS} | {"initial_state": start}
    truth, end = v2.stateful_scan(case, start)
    y, state = run_scan(given, case.u.dtype.name)
    assert np.abs(y - truth).max() < bound * np.abs(truth).max()
    assert np.abs(state - end).max() < 5e-6 * np.abs(end).max()
    if case.z is None:  # another tensor holds its place
        held = run_scan(given | {"z": case.u}, case.u.dtype.name, gated=0)
        assert held[0].tobytes() == y.tobytes()


def test_a_state_that_does_not_fit_is_refused() -> None:
    case = cases.scan_case()
    given = {name: getattr(case, name, None) for name in SCAN_INPUTS}
    given["initial_state"] = np.zeros((2, 48, 15), np.float32)
    with pytest.raises(Exception, match="initial_state must be"):
        run_scan(given, "float32")
