"""One node of version 2 of our operators in ONNX Runtime, on either provider."""

from __future__ import annotations

import kernel_v2 as v2
import numpy as np
import onnxruntime as ort
from kernel_api import ScanCase
from onnx import TensorProto, helper
from ort_cases import CPU

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
    op: str,
    names: tuple[str, ...],
    given: Given,
    outputs: dict[str, str],
    provider: str = CPU,
    **attributes: object,
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
    session = ort.InferenceSession(model.SerializeToString(), options, providers=[provider])
    found: list[np.ndarray] = session.run(None, present)
    return found


def cross_inputs(case: v2.IndexedCase) -> Given:
    given = {name: getattr(case, name) for name in CROSS_INPUTS}
    given["x"], given["x_dbl"] = case.x[:, :, None], case.x_dbl[:, :, None]
    return given


def run_cross(case: v2.IndexedCase, given: Given | None = None, provider: str = CPU) -> np.ndarray:
    """y [batch, positions, d_inner]."""
    sizes = {"d_state": case.A.shape[2], "dt_rank": case.dt_weight.shape[2]}
    inputs = cross_inputs(case) if given is None else given
    outputs = {"y": case.x.dtype.name}
    return run("CrossSelectiveScan", CROSS_INPUTS, inputs, outputs, provider, **sizes)[0][:, :, 0]


def run_scan(
    given: Given, dtype: str, provider: str = CPU, **attributes: object
) -> list[np.ndarray]:
    """y and the state after it."""
    outputs = {"y": dtype, "final_state": "float32"}
    flags = {"delta_softplus": 1, "reverse": [0, 1]} | attributes
    return run("SelectiveScan", SCAN_INPUTS, given, outputs, provider, **flags)


def scan_given(case: ScanCase, initial_state: np.ndarray | None = None) -> Given:
    given = {name: getattr(case, name, None) for name in SCAN_INPUTS}
    return given | {"initial_state": initial_state}
