"""``pmexport export-module``: parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from pmexport.cli.options import JSON_REPORT, OPSET, PATH, Positive, write_text
from pmexport.format.options import OpsMode
from posemamba.cli.tool import CHECK_FAILED, NearChoice
from posemamba.errors import InputError
from posemamba.text import json_text, pasted, plural

if TYPE_CHECKING:
    from torch import nn

    from pmexport.check.module import ModuleCase
    from pmexport.exporting.module_request import FreeSize, InputSpec


@click.command(name="export-module")
@click.argument("factory")
@click.option("--input", "inputs", multiple=True, metavar="NAME=SHAPE[:TYPE]",
              help="An input, such as x=2x48x32 or tokens=1x16:int64; once for each.")  # fmt: skip
@click.option("--dynamic", multiple=True, metavar="NAME[:MOST]=INPUT:AXIS,...",
              help="A size left open, such as batch=x:0; may be repeated.")  # fmt: skip
@click.option("-o", "--output", type=PATH, required=True, help="ONNX file.")
@click.option("--ops", type=NearChoice(get_args(OpsMode)), default="generic", show_default=True,
              help="SelectiveScan nodes; one node per SS2D; or ONNX operators only.")  # fmt: skip
@OPSET
@click.option("--atol", type=Positive(), help="Largest difference, of the larger of 1 and the "
              "largest output  [default: 1e-4].")  # fmt: skip
@click.option("--no-check", is_flag=True, help="Do not compare the result with PyTorch.")
@JSON_REPORT
def export_module(
    factory: str,
    inputs: tuple[str, ...],
    dynamic: tuple[str, ...],
    output: Path,
    ops: OpsMode,
    opset: int,
    atol: float | None,
    no_check: bool,
    json_path: Path | None,
) -> None:
    """Write a Mamba-1 network of your own as ONNX, and check it.

    FACTORY is MODULE:NAME or FILE.py:NAME of a function or class that gives a torch.nn.Module.
    Imports of mamba-ssm and causal-conv1d give stand-ins: neither need be installed.
    """
    from pmexport.check.module import run_module_check, write_module_reference
    from pmexport.check.reference import keep_users_file, reference_path
    from pmexport.exporting import module
    from pmexport.exporting.module_request import (
        build_network,
        importable_here,
        parse_dynamic,
        parse_inputs,
    )
    from pmexport.format.file import open_model
    from pmexport.format.options import ExportOptions
    from pmexport.ops import adopt, left_alone, stand_ins
    from pmexport.runtimes.session import require_custom_ops
    from posemamba.files.output import check_file

    specs = parse_inputs(inputs)
    free = parse_dynamic(dynamic, specs)
    check_file(output, suffix=".onnx")
    if json_path is not None:
        check_file(json_path, suffix=".json")
    reference = reference_path(output)
    if not no_check:
        keep_users_file(reference)
        if ops != "standard":
            require_custom_ops("the check after the export runs the model, or add --no-check")
    with stand_ins(), importable_here():
        network = build_network(factory).eval()
        ours, taken = adopt(network)
        click.echo(f"Network: {factory}")
        if taken:
            names = ", ".join(f"'{name}'" for name in taken[:3]) + (", ..." * (len(taken) > 3))
            click.echo(f"  {plural(len(taken), 'block')} replaced by ours: {names}")
        for sentence in left_alone(network):
            click.echo(f"  {sentence}")
        cases = [] if no_check else _expected(network, ours, specs, free)
        report = module.export_module(
            ours,
            specs,
            output,
            ExportOptions(ops=ops, opset=opset),
            dynamic=free,
            origin=factory,
            on_stage=lambda stage, seconds: click.echo(f"  {stage}: {seconds:.1f} s"),
        )
    click.echo(report.line())
    if no_check:
        return
    found = run_module_check(open_model(output), cases, atol)
    click.echo("\n".join(found.lines()))
    if json_path is not None:
        write_text(json_path, json_text(found.to_dict()) + "\n")
    if not found.passed:
        sys.exit(CHECK_FAILED)
    write_module_reference(reference, output, cases)
    file = pasted(output)
    click.echo(
        f"Reference: inputs and PyTorch's outputs saved as {reference}\nNext:\n"
        f"  pmexport check {file} --reference {pasted(reference)}\n"
        f"  pmexport inspect {file}"
    )


def _expected(
    network: nn.Module,
    ours: nn.Module,
    specs: Sequence[InputSpec],
    free: Sequence[FreeSize],
) -> list[ModuleCase]:
    """What the network gives as it came; where it cannot run here, with its blocks replaced."""
    from pmexport.check.module_cases import pytorch_cases

    try:
        return pytorch_cases(network, specs, free)
    except InputError as error:
        if ours is network:
            raise
        click.echo(
            "WARNING: the network's own blocks cannot run here, so the check compares with ours: "
            f"{error}"
        )
        return pytorch_cases(ours, specs, free)
