"""The operator tried on a small input, in PyTorch and in ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pmexport.format.names import CPU_PROVIDER, OP_DOMAIN, OP_VERSION, PLUGIN_ATTRIBUTES
from pmexport.format.operators import CROSS_SELECTIVE_SCAN, OPERATORS
from pmexport.libraries import custom_op_library

_SELF_TEST_LIMIT = 1e-5
"""Both sides sum a few dozen fp32 products of order 1: differences stay near 1e-6."""


@dataclass(frozen=True)
class SelfTest:
    """A native operator against the plain scan; ``max_abs`` None if it did not run."""

    name: str
    passed: bool
    max_abs: float | None
    detail: str


def _sample() -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Small inputs of the fused op, its attributes, and the plain scan's answer."""
    import torch

    from posemamba.scan import reference
    from posemamba.scan_order import get_scan_order
    from posemamba.skeleton import LIMB_INDEX, NUM_JOINTS

    table = get_scan_order("global-local")
    batch, frames, inner, state, rank = 2, 3, 32, 16, 2
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    directions = table.directions
    inputs: dict[str, Any] = {
        "x": normal(batch, frames, NUM_JOINTS, inner),
        "x_dbl": normal(batch, frames, NUM_JOINTS, directions * (rank + 2 * state)),
        "dt_weight": normal(directions, inner, rank),
        "dt_bias": normal(directions, inner),
        "A": -torch.exp(normal(directions, inner, state)),
        "D": normal(directions, inner),
    }
    attributes: dict[str, Any] = {
        "d_state": state,
        "dt_rank": rank,
        "order": [int(code) for code in table.order],
        "reverse": list(table.reverse),
        "limb_mask": list(table.limb_mask),
        "limb_index": list(LIMB_INDEX),
    }
    plain = {name: value for name, value in attributes.items() if name != "dt_rank"}
    double = {name: value.double() for name, value in inputs.items()}
    return inputs, attributes, reference.cross_selective_scan(**double, **plain).float()


def _verdict(name: str, got: Any, want: Any, detail: str) -> SelfTest:  # noqa: ANN401
    """Relative to the largest value, which is far above 1 after 51 steps."""
    error = float((got - want).abs().max() / want.abs().max())
    return SelfTest(name, error <= _SELF_TEST_LIMIT, error, detail)


def test_torch_op() -> SelfTest:
    name = "PyTorch op"
    try:
        from posemamba.native import scan_ops as ops

        inputs, attributes, want = _sample()
        got = ops.cross_selective_scan(**inputs, **attributes)
    except Exception as error:  # the doctor reports whatever is wrong, and goes on
        return SelfTest(name, False, None, " ".join(str(error).split()))
    return _verdict(name, got, want, "CrossSelectiveScan against the plain fp64 scan")


def test_onnx_op() -> SelfTest:
    name = "ONNX Runtime op"
    try:
        import onnxruntime as ort
        import torch
        from onnx import TensorProto, helper

        inputs, attributes, want = _sample()
        node = helper.make_node(
            CROSS_SELECTIVE_SCAN,
            OPERATORS[CROSS_SELECTIVE_SCAN].inputs,
            ["y"],
            domain=OP_DOMAIN,
            **PLUGIN_ATTRIBUTES,
            **attributes,
        )
        graph = helper.make_graph(
            [node],
            "doctor",
            [
                helper.make_tensor_value_info(key, TensorProto.FLOAT, list(value.shape))
                for key, value in inputs.items()
            ],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(want.shape))],
        )
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(OP_DOMAIN, OP_VERSION)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.register_custom_ops_library(custom_op_library())
        session = ort.InferenceSession(model.SerializeToString(), options, providers=[CPU_PROVIDER])
        got = session.run(["y"], {key: value.numpy() for key, value in inputs.items()})[0]
    except Exception as error:  # the doctor reports whatever is wrong, and goes on
        return SelfTest(name, False, None, " ".join(str(error).split()))
    return _verdict(name, torch.from_numpy(got), want, "a CrossSelectiveScan model")
