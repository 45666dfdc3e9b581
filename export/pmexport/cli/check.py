"""``pmexport check`` and ``pmexport optimize``: parse, call, print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from pmexport.cli.options import (
    JSON_REPORT,
    MODEL,
    PATH,
    SCAN_ORDER,
    THREADS,
    WEIGHTS,
    Positive,
    named,
    runtime_option,
    write_text,
)
from pmexport.format.options import Fusion
from posemamba.cli.options import reading_options
from posemamba.cli.tool import CHECK_FAILED, NearChoice

if TYPE_CHECKING:
    from pmexport.check.request import CheckRequest


@click.command()
@MODEL
@click.option("--ckpt", "checkpoint", type=PATH, help="Checkpoint it came from.")
@click.option("--reference", type=PATH, help="Poses to compare with instead of PyTorch's, .npz.")
@WEIGHTS
@SCAN_ORDER
@click.option("--inputs", type=PATH, help="Further clips: keypoints of any format of 'lift'.")
@reading_options
@runtime_option("What to hold against PyTorch; may be repeated.")
@click.option("--atol", type=Positive(), help="Largest difference of a coordinate, network units.")
@click.option("--mpjpe-mm", type=Positive(), help="Largest mean joint drift of a run, mm.")
@click.option("--mm-per-unit", type=Positive(), default=1000.0, show_default=True,
              help="Millimetres of one network unit.")  # fmt: skip
@click.option("--threads", type=THREADS, help="Threads of both sides.")
@click.option("--any-ckpt", "any_checkpoint", is_flag=True,
              help="Compare even if the model came from another file.")  # fmt: skip
@click.option("--per-joint", is_flag=True, help="Print the drift of every joint.")
@JSON_REPORT
def check(
    scan_order: str,
    per_joint: bool,
    json_path: Path | None,
    **asked: Any,  # noqa: ANN401 (fields of CheckRequest)
) -> None:
    """Compare MODEL with its checkpoint in PyTorch, in millimetres, on real clips."""
    from pmexport.check.request import CheckRequest
    from posemamba.files.output import check_file

    if json_path is not None:
        check_file(json_path, suffix=".json")
    request = CheckRequest(scan_order=named(scan_order), **asked)
    if not check_and_print(request, per_joint=per_joint, json_path=json_path):
        sys.exit(CHECK_FAILED)


def check_and_print(
    request: CheckRequest, per_joint: bool = False, json_path: Path | None = None
) -> bool:
    """Run a check and print what it found; whether it passed."""
    from pmexport.check.report import check_lines
    from pmexport.check.run import run_check

    report = run_check(request, _progress)
    click.echo("\n".join(check_lines(report, per_joint=per_joint)))
    if json_path is not None:
        write_text(json_path, json.dumps(report.to_dict(), indent=2) + "\n")
    return report.passed


def _progress(runs: list[Any], side: str) -> Any:  # noqa: ANN401
    """A bar on an interactive terminal, nothing elsewhere."""
    from tqdm import tqdm

    return tqdm(runs, desc=side, unit="run", leave=False, disable=None)


@click.command()
@MODEL
@click.option("-o", "--output", type=PATH, help="ONNX file  [default: as M.cuda.onnx, beside it]")
@click.option("--fusion", type=NearChoice(get_args(Fusion)), default="auto", show_default=True,
              help="Two nodes per block; standard products between ours; what fits.")  # fmt: skip
@click.option("--threads", type=THREADS, help="Threads of the check.")
def optimize(
    model: Path,
    output: Path | None,
    fusion: Fusion,
    threads: int | None,
) -> None:
    """Rewrite MODEL for ONNX Runtime on an NVIDIA GPU, and check it."""
    from pmexport.check.optimized import optimize_file, report_lines

    report = optimize_file(model, output, fusion, threads)
    click.echo("\n".join(report_lines(report)))
    if not report.passed:
        sys.exit(CHECK_FAILED)
