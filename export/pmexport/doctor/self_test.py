"""The operator tried on its first test vector, in PyTorch and in ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pmexport.doctor.vectors import Vector, vectors
from pmexport.format.failures import reason
from pmexport.format.names import CPU_PROVIDER, OP_DOMAIN, OP_VERSION, PLUGIN_ATTRIBUTES
from pmexport.format.operators import CROSS_SELECTIVE_SCAN
from pmexport.format.options import DEFAULT_OPSET
from pmexport.libraries import custom_op_library

_SELF_TEST_LIMIT = 1e-5
"""Both sides sum a few dozen fp32 products of order 1: differences stay near 1e-6."""


@dataclass(frozen=True)
class SelfTest:
    """A native operator against the float64 oracle; ``max_abs`` None if it did not run."""

    name: str
    passed: bool
    max_abs: float | None
    detail: str


def _verdict(name: str, got: npt.ArrayLike, vector: Vector, detail: str) -> SelfTest:
    """Relative to the largest value, which is above 1 after 51 steps."""
    error = float(np.abs(np.asarray(got, np.float64) - vector.y).max() / np.abs(vector.y).max())
    return SelfTest(name, error <= _SELF_TEST_LIMIT, error, detail)


def try_torch_op() -> SelfTest:
    name = "PyTorch op"
    try:
        import torch

        from posemamba.native import scan_ops as ops

        vector = vectors(CROSS_SELECTIVE_SCAN)[0]
        inputs = {key: torch.from_numpy(value) for key, value in vector.inputs.items()}
        got = ops.cross_selective_scan(**inputs, **vector.attributes).numpy()
    except Exception as error:  # the doctor reports whatever is wrong, and goes on
        return SelfTest(name, False, None, reason(error))
    return _verdict(name, got, vector, "CrossSelectiveScan against the step-by-step fp64 scan")


def try_onnx_op() -> SelfTest:
    """ONNX Runtime runs our operator on a bundled vector, on the CPU."""
    name = "ONNX Runtime op"
    try:
        import onnxruntime as ort
        from onnx import TensorProto, helper

        vector = vectors(CROSS_SELECTIVE_SCAN)[0]
        node = helper.make_node(
            CROSS_SELECTIVE_SCAN,
            list(vector.inputs),
            ["y"],
            domain=OP_DOMAIN,
            **PLUGIN_ATTRIBUTES,
            **vector.attributes,
        )
        graph = helper.make_graph(
            [node],
            "doctor",
            [
                helper.make_tensor_value_info(key, TensorProto.FLOAT, list(value.shape))
                for key, value in vector.inputs.items()
            ],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(vector.y.shape))],
        )
        opsets = [
            helper.make_opsetid("", DEFAULT_OPSET),
            helper.make_opsetid(OP_DOMAIN, OP_VERSION),
        ]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.register_custom_ops_library(custom_op_library())
        session = ort.InferenceSession(model.SerializeToString(), options, providers=[CPU_PROVIDER])
        got = session.run(["y"], dict(vector.inputs))[0]
    except Exception as error:  # the doctor reports whatever is wrong, and goes on
        return SelfTest(name, False, None, reason(error))
    return _verdict(name, got, vector, "a CrossSelectiveScan model")
