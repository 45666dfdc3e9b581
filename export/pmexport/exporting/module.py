"""Any Mamba-1 network as one ONNX file: trace, translate, clean, lower, write."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from onnxscript import ir
from torch import nn

from pmexport.exporting.export import (
    ExportReport,
    StageCallback,
    Stages,
    check_weights,
    onnx_of,
    quiet_exporter,
    write_export,
)
from pmexport.exporting.module_inputs import positions, random_inputs, traced_sizes
from pmexport.exporting.module_request import FreeSize, InputSpec
from pmexport.format.limits import check_opset
from pmexport.format.metadata import build_module_metadata
from pmexport.format.names import OP_DOMAIN, SECOND_PLUGIN_VERSION
from pmexport.format.operators import CROSS_SELECTIVE_SCAN, inputs_by_name
from pmexport.format.options import ExportOptions
from pmexport.passes.graph import new_node
from pmexport.passes.pipeline import export_stages
from posemamba.errors import InputError
from posemamba.files.output import check_file
from posemamba.native.structs import SCAN_SIZES, SCAN_V2_SIZES
from posemamba.text import one_line


def export_module(
    network: nn.Module,
    inputs: Sequence[InputSpec],
    output: str | os.PathLike[str],
    options: ExportOptions = ExportOptions(ops="generic"),  # noqa: B008 (frozen)
    *,
    dynamic: Sequence[FreeSize] = (),
    origin: str = "",
    on_stage: StageCallback | None = None,
) -> ExportReport:
    """Write a network that calls our scans as an ONNX model.

    Args:
        network: in eval mode; left as it is.
        inputs: what its ``forward`` takes, by parameter name or in order.
        output: ends in ``.onnx``.
        options: ``ops`` and ``opset``; the precision is float32.
        dynamic: sizes that are left open.
        origin: where the network came from, for the metadata.

    Raises:
        InputError: the network cannot be traced or translated, is larger than the kernels take, or
            the output cannot be written; nothing is written.
    """
    output = Path(output)
    check_opset(options.opset)
    if options.precision != "fp32":
        raise InputError(f"a network of your own is written as fp32, not {options.precision}")
    check_weights(network)
    check_file(output, suffix=".onnx")
    order = [inputs[place] for place in _argument_order(network, inputs)]
    stages = Stages(on_stage)
    with quiet_exporter():
        with stages("trace"):
            program = _trace(network, order, dynamic)
        with stages("translate"):
            model = _translated(program, options, [spec.name for spec in order])
    _check_types(model.graph)
    axes = {i: _symbols(spec, dynamic) for i, spec in enumerate(order)}
    for stage, passes in export_stages(options, axes):
        with stages(stage):
            for apply in passes:
                apply(model)
    _name_outputs(model.graph)
    _check_kernels(model.graph)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    described = {
        spec.name: {
            "dtype": spec.dtype,
            "shape": list(spec.shape),
            "dynamic": {
                str(axis): {"name": size.symbol, "most": size.most}
                for size in dynamic
                for name, axis in size.places
                if name == spec.name
            },
        }
        for spec in inputs
    }
    properties = build_module_metadata(origin, options, parameters, described)
    return write_export(model, output, properties, stages)


def _argument_order(network: nn.Module, inputs: Sequence[InputSpec]) -> list[int]:
    """Indices of the inputs in the order of ``forward``'s arguments."""
    places = positions(network, inputs)
    return sorted(range(len(places)), key=places.__getitem__)


def _symbols(spec: InputSpec, dynamic: Sequence[FreeSize]) -> dict[int, str]:
    """Names of an input's free sizes, by axis."""
    return {
        axis: size.symbol for size in dynamic for name, axis in size.places if name == spec.name
    }


def _trace(
    network: nn.Module, order: Sequence[InputSpec], dynamic: Sequence[FreeSize]
) -> torch.export.ExportedProgram:
    sizes = traced_sizes(order, dynamic)
    given = random_inputs(network, order, dynamic, sizes)
    dims = {size.symbol: torch.export.Dim(size.symbol, min=1, max=size.most) for size in dynamic}
    shapes = [
        {axis: dims[symbol] for axis, symbol in _symbols(spec, dynamic).items()} for spec in order
    ]
    try:
        # On failure PyTorch prints the graph so far there.
        with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
            return torch.export.export(
                network,
                tuple(given[spec.name] for spec in order),
                dynamic_shapes=_as_signature(network, shapes),
                strict=False,
            )
    except InputError:
        raise
    except Exception as error:  # PyTorch has many, with pages of text
        raise InputError(
            f"PyTorch cannot trace the network: {type(error).__name__}: {_gist(error)}"
        ) from None


def _as_signature(network: nn.Module, shapes: list[Any]) -> tuple[Any, ...]:
    """One entry a parameter of ``forward``; those of ``*inputs`` share one."""
    parameters = list(inspect.signature(network.forward).parameters.values())
    if parameters and parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return (tuple(shapes),)
    return tuple(shapes)


def _translated(
    program: torch.export.ExportedProgram, options: ExportOptions, names: Sequence[str]
) -> ir.Model:
    try:
        return onnx_of(program, options, names, None, "network")
    except Exception as error:  # of the exporter, which names the operator it has no rule for
        raise InputError(
            f"the network cannot be translated to ONNX: {_gist(error.__cause__ or error)}"
        ) from None


def _gist(error: BaseException) -> str:
    """The first telling lines of a long message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(" ".join(lines[:3]))[:300]


def _name_outputs(graph: ir.Graph) -> None:
    """``output``, or ``output_0`` and so on, each a value of its own.

    A network may give an input or a weight back, or one tensor twice: those get an Identity.
    """
    taken = {value.name for value in graph.inputs}
    stem = "output" if "output" not in taken else "result"
    seen: set[int] = set()
    for index, value in enumerate(graph.outputs):
        name = stem if len(graph.outputs) == 1 else f"{stem}_{index}"
        if id(value) in seen or value.producer() is None:
            copied = new_node("Identity", [value], {}, name, [(value.dtype, value.shape)])
            graph.append(copied)
            graph.outputs[index] = value = copied.outputs[0]
        seen.add(id(value))
        value.name = name


def _check_types(graph: ir.Graph) -> None:
    """Make sure that ONNX Runtime has the types that the network computes in.

    Raises:
        InputError: something is bfloat16, as autocast makes it.
    """
    for node in graph:
        if any(value.dtype == ir.DataType.BFLOAT16 for value in node.outputs):
            raise InputError(
                f"node '{node.name}' computes in bfloat16, which ONNX Runtime lacks on a CPU: "
                "leave autocast and casts to bfloat16 out of forward"
            )


def _check_kernels(graph: ir.Graph) -> None:
    """Make sure that the kernels take the sizes of every scan that is a node of ours.

    Raises:
        InputError: they do not; the line names the size, the limit and what has no limits.
    """
    for node in graph:
        if node.domain != OP_DOMAIN:
            continue
        given = inputs_by_name(node.op_type, node.inputs)
        second = node.attributes["plugin_version"].value == SECOND_PLUGIN_VERSION
        limits = SCAN_V2_SIZES if second else SCAN_SIZES
        sizes = {"d_state": given["A"].shape[-1]}
        if node.op_type == CROSS_SELECTIVE_SCAN:
            weight = given["dt_weight"]
            sizes |= {"directions": weight.shape[0], "dt_rank": weight.shape[2]}
            if not second:  # which walks tables, and knows no joints
                sizes["joints"] = len(node.attributes["limb_index"].value)
        else:
            sizes["groups"] = len(node.attributes["reverse"].value)
        for name, size in sizes.items():
            most = limits[name]
            if most is not None and int(size) > most:
                raise InputError(
                    f"node '{node.name}': {name} is {size}, the kernels take at most {most}: use "
                    "--ops standard, for ONNX Runtime alone"
                )
