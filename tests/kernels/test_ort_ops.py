"""The ONNX Runtime custom-op library: every input type, optional inputs, threads, error lines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from pmexport import custom_op_library
from posemamba import reference
from posemamba.scan_order import get_scan_order
from posemamba.skeleton import LIMB_INDEX

Arrays = dict[str, npt.NDArray[np.generic]]
BATCH, FRAMES, JOINTS, INNER, STATE, RANK, K = 2, 5, 17, 24, 16, 3, 4
TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float16): TensorProto.FLOAT16}
TABLE = get_scan_order("global-local")
CROSS_ATTRIBUTES = {
    "d_state": STATE,
    "dt_rank": RANK,
    "order": [int(v) for v in TABLE.order],
    "reverse": list(TABLE.reverse),
    "limb_mask": list(TABLE.limb_mask),
    "limb_index": list(LIMB_INDEX),
    # What TensorRT's parser wants; ONNX Runtime must accept nodes that carry it.
    "plugin_version": "1",
    "plugin_namespace": "posemamba",
}
SCAN_INPUTS = ("u", "delta", "A", "B", "C", "D", "delta_bias", "z")
SCAN_ATTRIBUTES: dict[str, object] = {"delta_softplus": 1, "reverse": [0, 1]}


def session(
    op: str,
    inputs: Arrays,
    attributes: dict[str, object],
    threads: int = 2,
    absent: tuple[str, ...] = (),
) -> ort.InferenceSession:
    """A session over one node of ours; optional inputs in ``absent`` are left empty."""
    infos = [
        helper.make_tensor_value_info(n, TYPES[a.dtype], [None] * a.ndim) for n, a in inputs.items()
    ]
    names = ["" if n in absent else n for n in (SCAN_INPUTS if op == "SelectiveScan" else inputs)]
    node = helper.make_node(op, names, ["y"], domain="posemamba", **attributes)
    first = next(iter(inputs.values()))
    output = helper.make_tensor_value_info("y", TYPES[first.dtype], [None] * first.ndim)
    graph = helper.make_graph([node], "one", infos, [output])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("posemamba", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.register_custom_ops_library(custom_op_library())
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def cross_inputs(dtype: npt.DTypeLike = np.float32, frames: int = FRAMES) -> Arrays:
    rng = np.random.default_rng(0)
    draw = rng.standard_normal
    return {
        "x": draw((BATCH, frames, JOINTS, INNER)).astype(dtype),
        "x_dbl": draw((BATCH, frames, JOINTS, K * (RANK + 2 * STATE))).astype(dtype),
        "dt_weight": draw((K, INNER, RANK)).astype(np.float32),
        "dt_bias": draw((K, INNER)).astype(np.float32),
        "A": -np.exp(draw((K, INNER, STATE))).astype(np.float32),
        "D": draw((K, INNER)).astype(np.float32),
    }


def cross_expected(inputs: Arrays) -> npt.NDArray[np.float64]:
    tensors = [torch.from_numpy(a.astype(np.float64)) for a in inputs.values()]
    y = reference.cross_selective_scan(
        *tensors, STATE, TABLE.order, TABLE.reverse, TABLE.limb_mask, LIMB_INDEX
    )
    return y.numpy()


def scan_inputs(dtype: npt.DTypeLike = np.float32) -> Arrays:
    rng = np.random.default_rng(1)
    draw = rng.standard_normal
    rows, length = 2 * INNER, 131
    return {
        "u": draw((BATCH, rows, length)).astype(dtype),
        "delta": draw((BATCH, rows, length)).astype(dtype),
        "A": -np.exp(draw((rows, STATE))).astype(np.float32),
        "B": draw((BATCH, 2, STATE, length)).astype(dtype),
        "C": draw((BATCH, 2, STATE, length)).astype(dtype),
        "D": draw(rows).astype(np.float32),
        "delta_bias": draw(rows).astype(np.float32),
        "z": draw((BATCH, rows, length)).astype(dtype),
    }


def scan_expected(inputs: Arrays) -> npt.NDArray[np.float64]:
    t = {n: torch.from_numpy(a.astype(np.float64)) for n, a in inputs.items()}
    u, delta, A, B, C = (t[n] for n in SCAN_INPUTS[:5])
    y = reference.selective_scan(
        u, delta, A, B, C, t.get("D"), t.get("z"), t.get("delta_bias"), True, [0, 1]
    )
    return y.numpy()


def relative_error(got: npt.NDArray[np.generic], expected: npt.NDArray[np.float64]) -> np.floating:
    return np.abs(got.astype(np.float64) - expected).max() / np.abs(expected).max()


#: fp32 rounding over 85 to 131 steps; half a unit in the last place of fp16 (2**-11) plus that.
BOUNDS = [(np.float32, 5e-6), (np.float16, 5.2e-4)]


@pytest.mark.parametrize(("dtype", "bound"), BOUNDS)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_cross_selective_scan(dtype: type, bound: float, threads: int) -> None:
    inputs = cross_inputs(dtype)
    (got,) = session("CrossSelectiveScan", inputs, CROSS_ATTRIBUTES, threads).run(None, inputs)
    assert got.dtype == dtype
    assert relative_error(got, cross_expected(inputs)) < bound


@pytest.mark.parametrize(("dtype", "bound"), BOUNDS)
@pytest.mark.parametrize(
    "absent", [(), ("z",), ("D", "delta_bias", "z"), ("D",), ("delta_bias",)], ids=str
)
def test_selective_scan(dtype: type, bound: float, absent: tuple[str, ...]) -> None:
    inputs = {n: a for n, a in scan_inputs(dtype).items() if n not in absent}
    (got,) = session("SelectiveScan", inputs, SCAN_ATTRIBUTES, absent=absent).run(None, inputs)
    assert got.dtype == dtype
    assert relative_error(got, scan_expected(inputs)) < bound


def test_one_session_serves_several_threads_and_lengths() -> None:
    lengths = [1, 2, 7, 27] * 4
    cases = {f: cross_inputs(frames=f) for f in set(lengths)}
    expected = {f: cross_expected(c) for f, c in cases.items()}
    run = session("CrossSelectiveScan", cases[1], CROSS_ATTRIBUTES)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda f: run.run(None, cases[f])[0], lengths))
    for frames, got in zip(lengths, results, strict=True):
        assert relative_error(got, expected[frames]) < 5e-6


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("x_dbl", (BATCH, FRAMES, JOINTS, 7)),
        ("x_dbl", (BATCH, FRAMES + 1, JOINTS, K * (RANK + 2 * STATE))),
        ("dt_weight", (K, INNER, RANK + 1)),
        ("dt_bias", (K, INNER + 1)),
        ("A", (K, INNER, STATE + 1)),
        ("D", (K - 1, INNER)),
        ("x", (BATCH, FRAMES, JOINTS - 1, INNER)),
        ("x", (BATCH, FRAMES * JOINTS, INNER)),
    ],
)
def test_mismatched_inputs_are_refused_by_name(name: str, shape: tuple[int, ...]) -> None:
    inputs = cross_inputs()
    inputs[name] = np.zeros(shape, np.float32)
    with pytest.raises(Exception, match="posemamba::CrossSelectiveScan"):
        session("CrossSelectiveScan", inputs, CROSS_ATTRIBUTES).run(None, inputs)


@pytest.mark.parametrize(
    "change",
    [
        {"order": [0, 1, 0, 9]},
        {"reverse": [0, 1]},
        {"limb_mask": [0, 0, 0, 3]},
        {"limb_index": [0] * 16},
        {"limb_index": [99] * 17},
        {"d_state": 65},
        {"dt_rank": -1},
    ],
    ids=str,
)
def test_bad_attributes_are_refused(change: dict[str, object]) -> None:
    inputs = cross_inputs()
    with pytest.raises(Exception, match="posemamba::"):
        session("CrossSelectiveScan", inputs, CROSS_ATTRIBUTES | change).run(None, inputs)
