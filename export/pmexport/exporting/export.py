"""A PoseMamba network as one ONNX file: trace, translate, clean, lower, type, write."""

from __future__ import annotations

import copy
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from onnxscript import ir

from pmexport.format.environment import tool_version
from pmexport.format.limits import check_options
from pmexport.format.metadata import build_metadata
from pmexport.format.names import INPUT_NAME, OP_DOMAIN, OUTPUT_NAME, PRODUCER
from pmexport.format.options import ExportOptions
from pmexport.ops.translation import translation_table
from pmexport.passes.pipeline import export_stages
from posemamba.errors import InputError
from posemamba.files.output import check_file
from posemamba.model.network import PoseMamba
from posemamba.text import plural, size_text

EXTERNAL_DATA_BYTES = 2**31 - 2**24
"""Weights beyond this go beside the model: a protobuf file ends at 2 GiB."""
_IR_VERSION = 10  # read by ONNX Runtime 1.18, the oldest that our library takes, and TensorRT 10.3
#: Of a file of standard operators alone, by its opset: what older runtimes can still read.
_STANDARD_IR_VERSION = {18: 8, 19: 9, 20: 9, 21: 10, 22: 10}

StageCallback = Callable[[str, float], None]
"""Called with a stage's name and its seconds when it is done."""


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        path: the model.
        seconds: of each stage, in order.
        node_count: nodes of the main graph.
        scan_nodes: those that are a scan.
        size_bytes: of the model and its external data.
        external_data: whether weights are in a second file, ``path`` with ``.data`` appended.
    """

    path: Path
    seconds: dict[str, float]
    node_count: int
    scan_nodes: int
    size_bytes: int
    opset: int
    external_data: bool

    def line(self) -> str:
        """What a command says of it."""
        return (
            f"ONNX: success in {sum(self.seconds.values()):.1f} s, saved as {self.path} "
            f"({size_text(self.size_bytes)}), {plural(self.scan_nodes, 'scan node')} "
            f"of {self.node_count}"
        )


@dataclass
class Stages:
    """Times the parts of an export."""

    on_stage: StageCallback | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        if self.on_stage is not None:
            self.on_stage(name, self.seconds[name])


def export_onnx(
    model: PoseMamba,
    output: str | os.PathLike[str],
    options: ExportOptions = ExportOptions(),  # noqa: B008 (frozen)
    *,
    source: Mapping[str, str] | None = None,
    on_stage: StageCallback | None = None,
) -> ExportReport:
    """Write a network as an ONNX model; what is at ``output`` stays until the new one is whole.

    Args:
        model: left as it is: weights, scan backend, training mode.
        output: ends in ``.onnx``.
        source: where the weights came from (``checkpoint``, ``checkpoint_sha256``,
            ``scan_order_source``, ...), for the metadata.
        on_stage: told of every stage when it is done.

    Raises:
        InputError: an option, the network or the output is wrong; nothing is written.
    """
    check_options(options, model.config)
    check_weights(model)
    output = Path(output)
    check_file(output, suffix=".onnx")
    stages = Stages(on_stage)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    properties = build_metadata(model.config, options, parameters, source)
    with quiet_exporter():
        with stages("trace"):
            program = _trace(model, options)
        with stages("translate"):
            onnx_model = onnx_of(program, options, [INPUT_NAME], [OUTPUT_NAME], "PoseMamba")
    for name, passes in export_stages(options):
        with stages(name):
            for apply in passes:
                apply(onnx_model)
    return write_export(onnx_model, output, properties, stages)


def write_export(
    model: ir.Model,
    output: str | os.PathLike[str],
    properties: Mapping[str, str],
    stages: Stages,
) -> ExportReport:
    """The last stage: the finished graph, with what is known of it, as a file."""
    output = Path(output)
    model.metadata_props.clear()
    model.metadata_props.update(properties)
    with stages("write"):
        size_bytes, external = _write_model(model, output)
    return ExportReport(
        path=output,
        seconds=stages.seconds,
        node_count=len(model.graph),
        scan_nodes=sum(_is_scan(node) for node in model.graph),
        size_bytes=size_bytes,
        opset=model.opset_imports[""],
        external_data=external,
    )


def _is_scan(node: ir.Node) -> bool:
    """Whether a node is a scan in any of the three modes."""
    return bool(node.domain == OP_DOMAIN or node.op_type == "Scan")


def check_weights(model: torch.nn.Module) -> None:
    """Make sure that every parameter is a finite float32.

    Raises:
        InputError: one is not.
    """
    for name, parameter in model.named_parameters():
        if parameter.dtype != torch.float32:
            raise InputError(
                f"parameter '{name}' is {parameter.dtype}: export a float32 model (model.float())"
            )
        if not bool(torch.isfinite(parameter).all()):
            raise InputError(
                f"parameter '{name}' has values that are not finite: use sound weights"
            )


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep PyTorch's notes on its own ways from the user's terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.fx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _trace(model: PoseMamba, options: ExportOptions) -> torch.export.ExportedProgram:
    """The fused network with symbolic sizes where they are free."""
    network = copy.deepcopy(model).cpu().eval().set_scan("fused")
    config = model.config
    dynamic: dict[int, Any] = {}
    batch, frames = options.batch, options.frames
    if batch is None:
        batch = 2  # a size of 1 would be taken for a constant
        dynamic[0] = torch.export.Dim("batch", min=1)
    if frames is None:
        frames = min(config.frames, 3)
        if config.frames > 1:
            dynamic[1] = torch.export.Dim("frames", min=1, max=config.frames)
    example = torch.zeros(batch, frames, config.joints, config.channels)
    with torch.no_grad():
        return torch.export.export(network, (example,), dynamic_shapes=(dynamic,), strict=False)


def onnx_of(
    program: torch.export.ExportedProgram,
    options: ExportOptions,
    inputs: Sequence[str],
    outputs: Sequence[str] | None,
    name: str,
) -> ir.Model:
    """A traced network in ONNX, before any pass.

    Args:
        inputs, outputs: names of the graph's, in order; None for the exporter's own.
        name: of the graph.

    Raises:
        RuntimeError: PyTorch's exporter gave nothing.
    """
    exported = torch.onnx.export(
        program,
        dynamo=True,
        custom_translation_table=translation_table(),
        opset_version=options.opset,
        input_names=inputs,
        output_names=outputs,
        optimize=False,  # pmexport.passes.clean.clean does what is needed, in a tenth of the time
        verbose=False,
    )
    if exported is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = exported.model
    standard = options.ops == "standard"
    model.ir_version = _STANDARD_IR_VERSION[options.opset] if standard else _IR_VERSION
    model.producer_name, model.producer_version = PRODUCER, tool_version()
    model.domain = model.doc_string = None
    model.graph.name = name
    return model


def _write_model(model: ir.Model, output: Path) -> tuple[int, bool]:
    """Write in a hidden folder beside the target, then move; returns bytes and external data."""
    weights = sum(value.const_value.nbytes for value in model.graph.initializers.values())
    data = f"{output.name}.data" if weights > EXTERNAL_DATA_BYTES else None
    try:
        with TemporaryDirectory(prefix=f".{output.name[:40]}.", dir=output.parent) as folder:
            ir.save(model, Path(folder, output.name), external_data=data)
            names = [output.name] if data is None else [data, output.name]  # the model last
            size = sum(Path(folder, name).stat().st_size for name in names)
            for name in names:
                Path(folder, name).replace(output.with_name(name))
    except OSError as error:
        raise InputError(
            f"'{output}' cannot be written ({error.strerror or error}): choose another place"
        ) from None
    return size, data is not None
