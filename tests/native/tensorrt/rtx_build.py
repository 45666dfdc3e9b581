"""Build a small engine of both operators with TensorRT-RTX, for GPUs this machine does not have.

    python rtx_build.py PLUGIN_LIBRARY float32|float16 [--version-2] [--d-state N] [--carry]

Run by test_rtx.py in a process of its own, since TensorRT ends the process on some errors and its
library path must be set before it starts. Prints one JSON object. ``--d-state`` other than the true
one makes a node that contradicts its inputs; ``--version-2`` builds both operators' version 2;
``--carry`` puts the plugin library into the plan.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorrt_rtx as trt
from onnx import TensorProto, helper, numpy_helper

K, INNER, STATE, RANK, JOINTS = 4, 32, 16, 4, 17
TARGETS = ("SM86", "SM89", "SM120")
FRAMES = 3  # of version 2's tables
NAMESPACE = "posemamba"


class Log(trt.ILogger):  # type: ignore[misc]
    """Keeps what the plugins say, and TensorRT's own errors."""

    def __init__(self) -> None:
        super().__init__()
        self.plugin: list[str] = []
        self.errors: list[str] = []

    def log(self, severity: trt.ILogger.Severity, message: str) -> None:
        if message.startswith("posemamba: "):
            self.plugin.append(f"{severity.name}: {message}")
        elif severity <= trt.ILogger.ERROR:
            self.errors.append(message)


def model(dtype: np.dtype[Any], d_state: int, second: bool) -> bytes:
    """ONNX of one CrossSelectiveScan and one SelectiveScan, side by side; dynamic sizes by name.

    Version 2 walks tables with limb sums and resets, which fix the frames, and takes a state.
    """
    version = {"plugin_version": "2" if second else "1", "plugin_namespace": NAMESPACE}
    rng = np.random.default_rng(0)
    constants: list[onnx.TensorProto] = []

    def constant(name: str, *shape: int, decay: bool = False) -> str:
        values = rng.standard_normal(shape).astype(np.float32)
        values = -np.exp(values) if decay else values
        constants.append(numpy_helper.from_array(values, name))
        return name

    element = helper.np_dtype_to_tensor_dtype(dtype)
    assert element in (TensorProto.FLOAT, TensorProto.FLOAT16)

    def value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, element, shape)

    walk: dict[str, object] = {
        "order": [0, 1, 0, 1],
        "reverse": [0, 0, 1, 1],
        "limb_mask": [1, 0, 1, 0],
        "limb_index": [max(0, j - 1) for j in range(JOINTS)],
    }
    tables = []
    if second:
        walk = {}
        positions = FRAMES * JOINTS
        found = rng.integers(-1, positions, (2, K, positions + 5)).astype(np.int32)
        resets = np.array([0, JOINTS, 1, 7], np.int32)
        arrays = {"scan_index": found[0], "neighbour_index": found[1], "reset_length": resets}
        constants += [numpy_helper.from_array(array, name) for name, array in arrays.items()]
        tables = list(arrays)
    cross = helper.make_node(
        "CrossSelectiveScan",
        [
            "x",
            "x_dbl",
            constant("dt_weight", K, INNER, RANK),
            constant("dt_bias", K, INNER),
            constant("A", K, INNER, STATE, decay=True),
            constant("D", K, INNER),
            *tables,
        ],
        ["y"],
        name="cross",
        domain="posemamba",
        d_state=d_state,
        dt_rank=RANK,
        **walk,
        **version,
    )
    rows = 2 * INNER
    plain = helper.make_node(
        "SelectiveScan",
        [
            "u",
            "delta",
            constant("plain_A", rows, STATE, decay=True),
            "B",
            "C",
            constant("plain_D", rows),
            constant("delta_bias", rows),
            "z",
            *(["initial_state"] if second else []),
        ],
        ["s", "final_state"] if second else ["s"],
        name="plain",
        domain="posemamba",
        delta_softplus=1,
        reverse=[0, 1],
        **version,
    )
    frames = FRAMES if second else "frames"
    inputs = [
        value("x", "batch", frames, JOINTS, INNER),
        value("x_dbl", "batch", frames, JOINTS, K * (RANK + 2 * STATE)),
        *(value(name, "batch", rows, "length") for name in ("u", "delta", "z")),
        *(value(name, "batch", 2, STATE, "length") for name in ("B", "C")),
    ]
    outputs = [
        value("y", "batch", frames, JOINTS, INNER),
        value("s", "batch", rows, "length"),
    ]
    if second:
        state = ("batch", rows, STATE)
        inputs.append(helper.make_tensor_value_info("initial_state", TensorProto.FLOAT, state))
        outputs.append(helper.make_tensor_value_info("final_state", TensorProto.FLOAT, state))
    graph = helper.make_graph([cross, plain], "both", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("posemamba", 2 if second else 1)]
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return made.SerializeToString()


def build(
    library: Path, dtype: np.dtype[Any], d_state: int, carry: bool, second: bool
) -> dict[str, object]:
    """What happened, step by step."""
    log = Log()
    builder = trt.Builder(log)
    registry = trt.get_plugin_registry()
    loaded = registry.load_library(str(library)) is not None
    loaded_again = registry.load_library(str(library)) is not None
    log.errors.clear()  # TensorRT calls the second load an error; it must be harmless
    creators = [
        [c.name, c.plugin_version] for c in registry.all_creators if c.plugin_namespace == NAMESPACE
    ]
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, log)
    parsed = parser.parse(model(dtype, d_state, second))
    config = builder.create_builder_config()
    config.num_compute_capabilities = len(TARGETS)
    for i, target in enumerate(TARGETS):
        config.set_compute_capability(getattr(trt.ComputeCapability, target), i)
    profile = builder.create_optimization_profile()
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        shapes = [[size if d == -1 else d for d in tensor.shape] for size in (1, 2, 8)]
        profile.set_shape(tensor.name, *shapes)
    config.add_optimization_profile(profile)
    if carry:
        config.plugins_to_serialize = [str(library)]
    plan = builder.build_serialized_network(network, config) if parsed else None
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    return {
        "version": trt.__version__,
        "loaded": loaded,
        "loaded_again": loaded_again,
        "creators": sorted(creators),
        "parsed": parsed,
        "plugin_layers": sum(layer.type == trt.LayerType.PLUGIN_V3 for layer in layers),
        "outputs": [
            [network.get_output(i).name, network.get_output(i).dtype.name]
            for i in range(network.num_outputs)
        ],
        "plan_bytes": 0 if plan is None else plan.nbytes,
        "plugin_log": log.plugin,
        "errors": log.errors,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("library", type=Path)
    parser.add_argument("dtype", type=np.dtype)
    parser.add_argument("--d-state", type=int, default=STATE)
    parser.add_argument("--carry", action="store_true")
    parser.add_argument("--version-2", action="store_true")
    asked = parser.parse_args()
    result = build(asked.library, asked.dtype, asked.d_state, asked.carry, asked.version_2)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
