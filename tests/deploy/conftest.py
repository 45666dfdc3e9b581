"""What the tests of the runtime share: an exported model, and the poses PyTorch gives for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from golden_cases import CHECKPOINT
from onnx import helper, numpy_helper

from pmexport.exporting.export import ExportOptions, export_onnx
from posemamba import load_checkpoint


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network: up to 27 frames, any batch."""
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    export_onnx(load_checkpoint(CHECKPOINT), path, ExportOptions())
    return path


@pytest.fixture(scope="session")
def edge_model(model: Path) -> Path:
    """The same, but NaN for every window with a joint in the left fortieth of the image.

    The root of what x exceeds -0.95 by, times nothing, is added to the poses.
    """
    network = onnx.load(str(model))
    graph = network.graph
    keypoints, poses = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        node.output[:] = ["inner" if name == poses else name for name in node.output]
        node.input[:] = ["inner" if name == poses else name for name in node.input]
    for name, value in (
        ("edge", np.float32(0.95)),
        ("none", np.float32(0)),
        ("axes", np.array([1, 2, 3])),
    ):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    graph.node.extend(
        [
            helper.make_node("ReduceMin", [keypoints, "axes"], ["least"]),
            helper.make_node("Add", ["least", "edge"], ["inside"]),
            helper.make_node("Sqrt", ["inside"], ["root"]),
            helper.make_node("Mul", ["root", "none"], ["nothing"]),
            helper.make_node("Add", ["inner", "nothing"], [poses]),
        ]
    )
    path = model.with_name("edge.onnx")
    onnx.save(network, str(path))
    return path
