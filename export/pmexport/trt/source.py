"""Which ONNX models TensorRT is given: ours, whole, and of operators it has."""

from __future__ import annotations

import os

from pmexport.format.file import ModelFile, open_model
from pmexport.format.names import INPUT_NAME, OP_DOMAIN, OUTPUT_NAME, PLUGIN_VERSIONS, PRODUCER
from pmexport.format.operators import OPERATORS
from pmexport.passes.fp16_rules import RULES
from posemamba.errors import InputError

_REQUIRED = ("config", "joint_names", "max_frames", "normalisation", "ops", "precision", "units")


def read_source(file: str | os.PathLike[str] | ModelFile) -> ModelFile:
    """Open and judge an ONNX model.

    Raises:
        InputError: no ONNX model, not written by this tool, damaged, or of standard operators only.
    """
    model = open_model(file)
    _check_origin(model)
    for name in (INPUT_NAME, OUTPUT_NAME):
        if name not in model.values:
            raise InputError(f"'{model.path}' has no tensor '{name}': export it again")
    unknown = [name for node in model.nodes for name in node.outputs if name not in model.values]
    if unknown:
        raise InputError(
            f"'{model.path}' does not say the type of '{unknown[0]}': it was changed after its "
            "export; export it again with 'pmexport onnx'"
        )
    return model


def _check_origin(model: ModelFile) -> None:
    producer = model.proto.producer_name
    if producer != PRODUCER:
        raise InputError(
            f"'{model.path}' was written by '{producer or 'nobody known'}', not by 'pmexport "
            "onnx': what its poses mean is unknown; export the checkpoint with 'pmexport onnx'"
        )
    for key in _REQUIRED:
        if key not in model.metadata:
            raise InputError(
                f"'{model.path}' has no metadata '{key}': another tool dropped it; export the "
                "model again with 'pmexport onnx'"
            )
    if model.metadata["ops"] == "standard":
        raise InputError(
            f"'{model.path}' was exported with --ops standard, whose scan takes one step at a "
            "time: it is for checking; export with --ops fused (the default) for TensorRT"
        )


def check_operators(model: ModelFile, precision: str) -> None:
    """Make sure every node is one this tool writes.

    Raises:
        InputError: it is not, or wants another plugin version than ours.
    """
    for node in model.nodes:
        known = OPERATORS if node.domain == OP_DOMAIN else RULES if node.domain == "" else {}
        if node.op_type not in known:
            raise InputError(
                f"'{model.path}': node '{node.name}' has type {node.kind}, which 'pmexport onnx' "
                f"does not write and {precision} has no rule for: export the checkpoint again"
            )
        if node.domain == OP_DOMAIN and node.plugin_version not in PLUGIN_VERSIONS:
            raise InputError(
                f"'{model.path}': node '{node.name}' wants version '{node.plugin_version}' of the "
                f"plugin, this pmexport has versions {' and '.join(PLUGIN_VERSIONS)}: export the "
                "checkpoint again"
            )


def plugin_version(model: ModelFile) -> str:
    """The newest version of the plugin that a model's nodes want."""
    ours = (node.plugin_version for node in model.nodes if node.domain == OP_DOMAIN)
    return max(ours, default=PLUGIN_VERSIONS[0])
