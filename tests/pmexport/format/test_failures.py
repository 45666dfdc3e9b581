"""Other libraries' words as a part of our line."""

from __future__ import annotations

import pytest

from pmexport.format.failures import reason

TOLD = {
    "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Unexpected input data type": (
        "Unexpected input data type"
    ),
    "Load model from m.onnx failed:/src/onnxruntime/core/graph/model.cc:256 "
    "onnxruntime::Model::Model(onnx::ModelProto&&, const std::function<void()>&) "
    "Unsupported model IR version: 99": (
        "Load model from m.onnx failed:Unsupported model IR version: 99"
    ),
    "failed.tensorprotoutils.cc:2201 GetExtData External initializer: w (in part)": (
        "External initializer: w (in part)"
    ),
    "Status Message: /s/ops.h:583 void onnxruntime::Iterator::Append(ptrdiff_t) const axis == 1": (
        "Status Message: axis == 1"
    ),
    "shape\n  (1, 2)\n": "shape (1, 2)",
    "no place: model.cc is a file (of a::b)": "no place: model.cc is a file (of a::b)",
    "x" * 400: "x" * 300,
}


@pytest.mark.parametrize("message", TOLD, ids=range(len(TOLD)))
def test_what_is_wrong_stays(message: str) -> None:
    assert reason(RuntimeError(message)) == TOLD[message]
