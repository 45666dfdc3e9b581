"""Any exported model inside, in ONNX Runtime itself; what is no such model is refused in a sentence
when it is opened, never in the middle of a stream."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from fork_cases import CASES
from fork_cases import TOLERANCE as FORK_TOLERANCE
from onnx import TensorProto, helper
from places import TINY
from policy_oracle import Oracle, Settings
from runtime_api import BAD_MODEL, Lifter, Runtime, RuntimeFailure
from runtime_failures import assert_sentence, fails
from stream_driving import Array, assert_poses, drive, recording, with_holes

from pmexport import custom_op_library
from pmexport.exporting.export import ExportOptions, export_onnx
from pmexport.passes.optimize import optimize_model
from posemamba import load_checkpoint

Open = Callable[[Path], Lifter]


@pytest.fixture(scope="module")
def opened(runtime: Runtime, ort_library: Path) -> Open:
    def run(path: Path) -> Lifter:
        return runtime.open(
            path, runtime_library=ort_library, op_library=custom_op_library(), threads=1
        )

    return run


def tiny_network(clips: Array) -> Array:
    network = load_checkpoint(TINY)
    with torch.inference_mode():
        poses: Array = network(torch.from_numpy(np.ascontiguousarray(clips))).numpy()
    return poses


#: How it is exported, and how far its poses may be: sums in another order; half precision rounds
#: poses of size 1 to 5e-4, layer after layer.
EXPORTED: dict[str, tuple[ExportOptions, float]] = {
    "fp16": (ExportOptions(precision="fp16"), 1e-2),
    "generic": (ExportOptions(ops="generic"), 1e-4),
    "lowest opset": (ExportOptions(opset=18), 1e-4),
    "standard, batch of 4": (ExportOptions(ops="standard", batch=4), 1e-4),
}


def lifts_like_pytorch(lifter: Lifter, atol: float) -> None:
    chosen = Settings(window=9, policy="center", hop=4, flip=1)
    people = {who: with_holes(who, recording(who, 14 + who)) for who in (0, 1)}
    found = drive(lifter, lifter.stream(**chosen.options()), people, [9])
    for who, values in people.items():
        assert_poses(found[who], Oracle(values, tiny_network, chosen).poses(), atol)


@pytest.mark.parametrize("name", EXPORTED)
def test_exported(name: str, opened: Open, tmp_path: Path) -> None:
    options, atol = EXPORTED[name]
    export_onnx(load_checkpoint(TINY), tmp_path / "M.onnx", options)
    lifter = opened(tmp_path / "M.onnx")
    assert (lifter.info["precision"], lifter.info["ops"]) == (options.precision, options.ops)
    lifts_like_pytorch(lifter, atol)


def test_optimised(opened: Open, tmp_path: Path) -> None:
    export_onnx(load_checkpoint(TINY), tmp_path / "M.onnx", ExportOptions())
    model = optimize_model(tmp_path / "M.onnx", "composed")
    (tmp_path / "optimised.onnx").write_bytes(model.serialised())
    lifts_like_pytorch(opened(tmp_path / "optimised.onnx"), 1e-4)


#: Scans of public forks: with tables of indices, nodes of version 2.
FORKS = ("official_4dir_2ch_v31d", "bfs_4dir_3ch_v2_bfs")


@pytest.mark.parametrize("name", FORKS)
def test_forks(name: str, opened: Open, tmp_path: Path) -> None:
    case = CASES[name]
    path = tmp_path / "fork.onnx"
    export_onnx(load_checkpoint(case.checkpoint, scan_order=case.scan), path, ExportOptions())
    with np.load(case.outputs) as golden:
        keypoints, poses = golden["keypoints_2d"], golden["poses_3d"]
    channels = keypoints.shape[-1]
    if channels != 2:
        fails(lambda: opened(path), BAD_MODEL, f"reads {channels} numbers of each joint", str(path))
        return
    np.testing.assert_allclose(opened(path).lift(keypoints), poses, rtol=0, atol=FORK_TOLERANCE)


ANY: tuple[Any, ...] = ("b", "t", 17)


def other_lifter(path: Path, **changed: Any) -> Path:
    """Somebody else's network, x and y and their sum, without a word of metadata."""
    given: dict[str, Any] = {
        "names": ("keypoints_2d", "poses_3d"), "type": TensorProto.FLOAT,
        "input": (*ANY, 2), "output": (*ANY, 3), "inputs": 1, "first": False, **changed,
    }  # fmt: skip
    source, target = given["names"]
    nodes = [
        helper.make_node("ReduceSum", [source, "axis"], ["sum"], keepdims=1),
        helper.make_node("Concat", [source, "sum"], ["all"], axis=-1),
        helper.make_node("Slice", ["all", "starts", "ends", "axes"], [target])
        if given["first"]
        else helper.make_node("Identity", ["all"], [target]),
    ]
    inputs = [helper.make_tensor_value_info(source, given["type"], given["input"])]
    for extra in range(given["inputs"] - 1):
        inputs.append(helper.make_tensor_value_info(f"extra{extra}", TensorProto.FLOAT, (1,)))
        nodes.append(helper.make_node("Identity", [f"extra{extra}"], [f"unused{extra}"]))
    output = helper.make_tensor_value_info(target, given["type"], given["output"])
    numbers = {"axis": [-1], "starts": [0, 0], "ends": [2**31, 1], "axes": [0, 1]}
    constants = [
        helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
        for name, values in numbers.items()
    ]
    graph = helper.make_graph(nodes, "other", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("beside", ['{"passed": true}', "no JSON"])
def test_a_report_beside_a_model_makes_no_engine_of_it(
    beside: str, opened: Open, tmp_path: Path
) -> None:
    """`pmexport check M.onnx --json M.onnx.json` writes one there, where engines have a sidecar."""
    path = other_lifter(tmp_path / "M.onnx")
    path.with_name("M.onnx.json").write_text(beside)
    assert opened(path).info["backend"] == "onnxruntime-cpu"


@pytest.mark.parametrize("sizes", [("b", "t"), (1, "t"), (3, 9)], ids=str)
def test_another_tools_model(sizes: tuple[Any, Any], opened: Open, tmp_path: Path) -> None:
    """It says nothing of frames: the window has to be given."""
    shape = (*sizes, 17)
    path = other_lifter(tmp_path / "other.onnx", input=(*shape, 2), output=(*shape, 3))
    lifter = opened(path)
    assert lifter.info["precision"] is None
    size = {"keypoints": "h36m17", "width": 1920, "height": 1080}
    if sizes[1] == "t":
        fails(lambda: lifter.stream(**size), BAD_MODEL, "does not say how many frames", "window")
    stream = lifter.stream(**size, window=9)
    values = recording(3, 20)
    found = drive(lifter, stream, {0: values}, [6])[0]
    normalised = values / 960 - np.array([1, 1080 / 1920])
    expected = np.concatenate([normalised, normalised.sum(-1, keepdims=True)], axis=-1)
    rooted = expected - expected[:, :1]
    assert_poses(found, dict(enumerate(rooted)), 1e-6)


REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "16 joints": ({"input": ("b", "t", 16, 2), "output": ("b", "t", 16, 3)}, ("joints 16",)),
    "18 joints": ({"input": ("b", "t", 18, 2), "output": ("b", "t", 18, 3)}, ("joints 18",)),
    "channels first": ({"input": ("b", 2, "t", 17), "output": ("b", 3, "t", 17)}, ("reads 17",)),
    "no batch": ({"input": ("t", 17, 2), "output": ("t", 17, 3)}, ("3 dimensions",)),
    "no shape": ({"input": None, "output": None}, ("0 dimensions",)),
    "double": ({"type": TensorProto.DOUBLE}, ("type 11 of ONNX", "expected float32")),
    "half": ({"type": TensorProto.FLOAT16}, ("type float16", "expected float32")),
    "confidence too": ({"input": (*ANY, 3), "output": (*ANY, 4)}, ("reads 3 numbers",)),
    "names": (
        {"names": ("input", "output")}, ("has 1 input, the first named 'input'", "'keypoints_2d'"),
    ),
    "output's name": ({"names": ("keypoints_2d", "pose")}, ("named 'pose'", "'poses_3d'")),
    "two inputs": ({"inputs": 2}, ("has 2 inputs, ",)),
    "a pose per clip": (
        {"first": True, "output": ("b", 1, 17, 3)}, ("takes clips of frames any and gives 1",),
    ),
    "a pose per clip of 27": (
        {"first": True, "input": ("b", 27, 17, 2), "output": ("b", 1, 17, 3)},
        ("takes clips of frames 27 and gives 1",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_model_of_this_kind(name: str, opened: Open, tmp_path: Path) -> None:
    changed, parts = REFUSED[name]
    path = other_lifter(tmp_path / "other.onnx", **changed)
    fails(lambda: opened(path), BAD_MODEL, str(path), *parts)


def test_a_model_newer_than_the_runtime(opened: Open, tmp_path: Path) -> None:
    """ONNX Runtime names its own sources first, at such length that the reason did not fit."""
    model = onnx.load(other_lifter(tmp_path / "other.onnx"))
    model.ir_version = 99
    onnx.save(model, tmp_path / "new.onnx")
    with pytest.raises(RuntimeFailure) as raised:
        opened(tmp_path / "new.onnx")
    assert_sentence(raised.value, BAD_MODEL, "Unsupported model IR version: 99", "new.onnx")
    assert not re.search(r"\.cc:|::|onnxruntime_src", raised.value.sentence)
