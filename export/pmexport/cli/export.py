"""``pmexport onnx``: parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

import click

from pmexport.cli.check import check_and_print
from pmexport.cli.options import (
    CHECKPOINT,
    KEEP,
    OPSET,
    PATH,
    SCAN_ORDER,
    CountOrDynamic,
    kept,
    named,
    one_precision,
)
from pmexport.format.limits import MAX_BATCH
from pmexport.format.options import OpsMode, Precision
from posemamba.cli.options import WEIGHTS
from posemamba.cli.tool import CHECK_FAILED, NearChoice
from posemamba.config import MAX_FRAMES, VARIANTS
from posemamba.text import pasted


@click.command()
@CHECKPOINT
@click.option("--variant", type=NearChoice(("auto", *VARIANTS)), default="auto", show_default=True,
              help="Refuse a checkpoint of another size.")  # fmt: skip
@WEIGHTS
@SCAN_ORDER
@click.option("--frames", type=CountOrDynamic(MAX_FRAMES, "PoseMamba takes"), default="dynamic",
              show_default=True, help="Frames of a clip.")  # fmt: skip
@click.option("--batch", type=CountOrDynamic(MAX_BATCH, "keypoints are counted in 32 bits,"),
              default="dynamic", show_default=True, help="Clips at once.")  # fmt: skip
@OPSET
@click.option(
    "--ops",
    type=NearChoice(get_args(OpsMode)),
    default="fused",
    show_default=True,
    help="One scan op per block; the plain Mamba op; or ONNX operators only.",
)
@click.option("--precision", type=NearChoice(get_args(Precision)),
              help="Types inside the graph  [default: fp32]; norms stay fp32.")  # fmt: skip
@click.option("--fp16", is_flag=True, help="The same as --precision fp16.")
@KEEP
@click.option("-o", "--output", type=PATH, help="ONNX file  [default: as C.fp32.onnx, here]")
@click.option("--no-check", is_flag=True, help="Do not compare the result with PyTorch.")
def onnx(
    checkpoint: Path,
    variant: str,
    weights: str | None,
    scan_order: str,
    output: Path | None,
    no_check: bool,
    precision: Precision | None,
    fp16: bool,
    keep: Path | None,
    **options: Any,
) -> None:
    """Write a checkpoint as one ONNX model, and check it."""
    from pmexport.check.reference import keep_users_file, reference_path
    from pmexport.check.request import CheckRequest
    from pmexport.exporting.request import ExportRequest, prepare_export, run_export
    from pmexport.format.limits import most_elements
    from pmexport.format.memory import check_fits
    from pmexport.format.options import ExportOptions
    from pmexport.runtimes.session import require_custom_ops

    if not no_check and options["ops"] != "standard":
        require_custom_ops("the check after the export runs the model, or add --no-check")
    chosen = one_precision(precision, fp32=False, fp16=fp16) or "fp32"
    job = prepare_export(
        ExportRequest(
            checkpoint=checkpoint,
            variant=named(variant),
            scan_order=named(scan_order),
            options=ExportOptions(precision=chosen, keep=kept(keep), **options),
            output=output,
            weights=weights,
        )
    )
    if not no_check:
        config, batch, frames = job.checkpoint.config, options["batch"], options["frames"]
        elements = most_elements(config, batch, frames)
        sizes = (batch or 1, frames or config.frames)
        check_fits(elements, *sizes, ("PyTorch",), ", or add --no-check")
        keep_users_file(reference_path(job.output))
    click.echo("\n".join([job.title, *job.notes(job.output)]))
    report = run_export(job, lambda stage, seconds: click.echo(f"  {stage}: {seconds:.1f} s"))
    click.echo(report.line())
    reference = reference_path(report.path)
    passed = no_check or check_and_print(
        CheckRequest(
            report.path,
            checkpoint,
            scan_order=job.checkpoint.config.scan_order,
            weights=weights,
            keep_reference=reference,
        )
    )
    if passed and not no_check:
        click.echo(f"Reference: inputs and PyTorch's poses saved as {reference}")
    click.echo("\n".join(["Next:", *_next_commands(report.path, checkpoint, checked=not no_check)]))
    if not passed:
        sys.exit(CHECK_FAILED)


def _next_commands(model: Path, checkpoint: Path, checked: bool) -> list[str]:
    """What a user would do now, ready to paste."""
    file, weights = pasted(model), pasted(checkpoint)
    first = f"pmexport bench {file}" if checked else f"pmexport check {file} --ckpt {weights}"
    return [f"  {first}", f"  pmexport inspect {file}"]
