"""One-node models of our operators for ONNX Runtime, their inputs, and what they should give."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
from onnx import AttributeProto, TensorProto, helper
from torch.nn import functional as F

from pmexport import custom_op_library
from posemamba.scan import reference
from posemamba.scan.operands import Operands
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
CPU = "CPUExecutionProvider"
EPSILON, SHARED_EPSILON = 1e-5, 1e-6


def session(
    op: str,
    inputs: Arrays,
    attributes: dict[str, object],
    threads: int = 2,
    absent: tuple[str, ...] = (),
    provider: str = CPU,
    profile: str | None = None,
) -> ort.InferenceSession:
    """A session over one node of ours; optional inputs in ``absent`` are left empty."""
    infos = [
        helper.make_tensor_value_info(n, TYPES[a.dtype], [None] * a.ndim) for n, a in inputs.items()
    ]
    names = ["" if n in absent else n for n in (SCAN_INPUTS if op == "SelectiveScan" else inputs)]
    first, second = list(inputs.values())[:2]
    types = {"result": first.dtype}
    if op == "AddNorm":
        types = {"stream": first.dtype, "out": second.dtype}
    outputs = [
        helper.make_tensor_value_info(n, TYPES[dtype], [None] * first.ndim)
        for n, dtype in types.items()
    ]
    node = helper.make_node(op, names, list(types), domain="posemamba")
    for name, value in attributes.items():  # an empty list does not say what it is one of
        kind = AttributeProto.INTS if isinstance(value, list) else None
        node.attribute.append(helper.make_attribute(name, value, attr_type=kind))
    graph = helper.make_graph([node], "one", infos, outputs)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("posemamba", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    options.register_custom_ops_library(custom_op_library())
    return ort.InferenceSession(model.SerializeToString(), options, providers=[provider])


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
        Operands(u, delta, A, B, C, t.get("D"), t.get("z"), t.get("delta_bias"), True, [0, 1])
    )
    return y.numpy()


def conv_silu_inputs(dtype: npt.DTypeLike = np.float32, frames: int = FRAMES) -> Arrays:
    draw = np.random.default_rng(2).standard_normal
    return {
        "xz": draw((BATCH, frames, JOINTS, 2 * INNER)).astype(dtype),
        "weight": draw((9, INNER)).astype(np.float32),
        "bias": draw(INNER).astype(np.float32),
    }


def conv_silu_expected(inputs: Arrays) -> npt.NDArray[np.float64]:
    xz, weight, bias = (torch.from_numpy(a.astype(np.float64)) for a in inputs.values())
    grid = xz[..., :INNER].permute(0, 3, 1, 2)  # (batch, channels, frames, joints)
    kernel = weight.t().reshape(INNER, 1, 3, 3)
    y = F.silu(F.conv2d(grid, kernel, bias, padding=1, groups=INNER))
    return y.permute(0, 2, 3, 1).numpy()


def gated_norm_inputs(dtype: npt.DTypeLike = np.float32) -> Arrays:
    draw = np.random.default_rng(3).standard_normal
    return {
        "y": draw((BATCH, FRAMES, JOINTS, INNER)).astype(dtype),
        "xz": draw((BATCH, FRAMES, JOINTS, 2 * INNER)).astype(dtype),
        "gamma": draw(INNER).astype(np.float32),
        "beta": draw(INNER).astype(np.float32),
    }


def gated_norm_expected(inputs: Arrays) -> npt.NDArray[np.float64]:
    y, xz, gamma, beta = (torch.from_numpy(a.astype(np.float64)) for a in inputs.values())
    return (F.layer_norm(y, (INNER,), gamma, beta, EPSILON) * F.silu(xz[..., INNER:])).numpy()


def add_norm_inputs(dtype: npt.DTypeLike = np.float32, shared: bool = True) -> Arrays:
    draw = np.random.default_rng(4).standard_normal
    inputs = {
        "residual": draw((BATCH, FRAMES, JOINTS, INNER)).astype(np.float32),
        "branch": draw((BATCH, FRAMES, JOINTS, INNER)).astype(dtype),
    }
    names = ("gamma", "beta", "shared_gamma", "shared_beta")[: 4 if shared else 2]
    return inputs | {name: draw(INNER).astype(np.float32) for name in names}


def add_norm_expected(
    inputs: Arrays,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    t = {n: torch.from_numpy(a.astype(np.float64)) for n, a in inputs.items()}
    stream = t["residual"] + t["branch"]
    if "shared_gamma" in t:
        shared = (t["shared_gamma"], t["shared_beta"])
        stream = F.layer_norm(stream, (INNER,), *shared, SHARED_EPSILON)
    out = F.layer_norm(stream, (INNER,), t["gamma"], t["beta"], EPSILON)
    return stream.numpy(), out.numpy()


def relative_error(got: npt.NDArray[np.generic], expected: npt.NDArray[np.float64]) -> np.floating:
    return np.abs(got.astype(np.float64) - expected).max() / np.abs(expected).max()


#: fp32 rounding over 85 to 131 steps; half a unit in the last place of fp16 (2**-11) plus that.
BOUNDS = [(np.float32, 5e-6), (np.float16, 5.2e-4)]
