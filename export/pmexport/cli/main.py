"""``pmexport``: one group of commands. Heavy imports wait for the command that needs them."""

from __future__ import annotations

import io
import sys

import click

from pmexport.cli.bench import bench
from pmexport.cli.check import check, optimize
from pmexport.cli.export import onnx
from pmexport.cli.export_module import export_module
from pmexport.cli.inspect import doctor, inspect
from pmexport.cli.lift import lift, serve
from pmexport.cli.regress import regress
from pmexport.cli.triton import triton
from pmexport.cli.trt import trt
from posemamba.cli.tool import Tool


@click.group(cls=Tool, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pmexport", message="%(prog)s %(version)s")
def cli() -> None:
    """Export PoseMamba checkpoints, and check what was exported.

    Exit codes: 0 success, 1 the check failed, 2 the request or an input was wrong.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names are bytes: they leave as they came
        sys.stdout.reconfigure(errors="surrogateescape")


for _command in (
    *(onnx, export_module, check, bench, regress, optimize, inspect, doctor),
    *(trt, triton, lift, serve),
):
    cli.add_command(_command)
