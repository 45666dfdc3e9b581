"""AddNorm's stream may lie over its residual: ONNX Runtime does it, and only where nobody minds.

Block says the same of its two inputs, and runs on a GPU alone; the planner is the same.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from pmexport import custom_op_library

SIZES = (2, 9, 17, 32)
EPSILON = 1e-5


def chain(
    length: int, shape: list[object], *, keep: bool = False, before: bool = False
) -> ort.InferenceSession:
    """``length`` AddNorms, each of what the last one gave.

    Args:
        keep: the first stream is read once more after all of them.
        before: each stream is read by another node first, as a gate would read it.
    """
    node = helper.make_node
    nodes = [node("Neg", ["residual"], ["s0"]), node("Neg", ["branch"], ["o0"])]
    for i in range(length):
        if before:
            nodes.append(node("Sin", [f"s{i}"], [f"n{i}"]))
        branch = f"n{i}" if before else f"o{i}"
        nodes.append(
            node("AddNorm", [f"s{i}", branch, "gamma", "beta"], [f"s{i + 1}", f"o{i + 1}"],
                 domain="posemamba", epsilon=EPSILON, shared_epsilon=EPSILON)
        )  # fmt: skip
    last = f"s{length}"
    if keep:
        nodes.append(node("Add", [last, "s0"], ["both"]))
        last = "both"
    nodes.append(node("ReduceSum", [last], ["sum"], keepdims=0))
    value = helper.make_tensor_value_info
    channels = shape[-1]
    assert isinstance(channels, int)
    graph = helper.make_graph(
        nodes, "chain", [value(n, TensorProto.FLOAT, shape) for n in ("residual", "branch")],
        [value("sum", TensorProto.FLOAT, [])],
        [helper.make_tensor("gamma", TensorProto.FLOAT, [channels], [1.0] * channels),
         helper.make_tensor("beta", TensorProto.FLOAT, [channels], [0.1] * channels)],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("posemamba", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = ort.SessionOptions()
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.register_custom_ops_library(custom_op_library())
    return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


@pytest.mark.parametrize("shape", [list(SIZES), ["batch", "frames", 17, 32]], ids=str)
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("length", [1, 3])
def test_a_stream_that_is_still_read_stays(length: int, keep: bool, shape: list[object]) -> None:
    draw = np.random.default_rng(0).standard_normal
    given = {name: draw(SIZES).astype(np.float32) for name in ("residual", "branch")}
    first = stream = -given["residual"].astype(np.float64)
    out = -given["branch"].astype(np.float64)
    for _ in range(length):
        stream = stream + out
        centred = stream - stream.mean(-1, keepdims=True)
        out = centred / np.sqrt(centred.var(-1, keepdims=True) + EPSILON) + 0.1
    expected = (stream + first if keep else stream).sum()
    (got,) = chain(length, shape, keep=keep).run(None, given)
    # 10,000 values of size 1 in float32: their rounding adds up to about 1e-5 of their number.
    assert abs(got - expected) < 1e-5 * stream.size


LARGE = (4, 243, 17, 512)  # 34 MB


def grown(before: bool) -> float:
    """By how many tensors the process grows while a chain runs."""
    given = {name: np.full(LARGE, 0.5, np.float32) for name in ("residual", "branch")}
    session = chain(4, ["batch", "frames", 17, LARGE[3]], before=before)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    session.run(None, given)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (after - held) * 1024 / given["residual"].nbytes


@pytest.mark.parametrize("before", [False, True])
def test_a_chain_needs_three_tensors_and_not_four(before: bool) -> None:
    """A stream and two branches; with a stream of its own for every node a fourth, and half a
    tensor is far more than anything else that grows."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_in_place; "
    code += f"print(test_in_place.grown({before}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 3.5, done.stdout
