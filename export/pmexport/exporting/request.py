"""One export from request to files: refused at once if it cannot succeed, then done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmexport.format.files import printable_name
from pmexport.format.limits import check_options
from pmexport.format.options import ExportOptions
from posemamba.errors import InputError
from posemamba.files.output import check_file, check_takes_files
from posemamba.text import problem

if TYPE_CHECKING:
    from pmexport.exporting.export import ExportReport
    from posemamba.checkpoint.read import Checkpoint


@dataclass(frozen=True)
class ExportRequest:
    """What ``pmexport onnx`` was asked for.

    Attributes:
        checkpoint: file or unpacked folder.
        variant: ``S``, ``B``, ``L`` or ``X`` that the checkpoint must be; None for any.
        scan_order: overrides the checkpoint's; None to find it out.
        options: sizes, operators and precision of the ONNX model.
        output: None for a name made of the checkpoint's variant and the precision.
    """

    checkpoint: Path
    variant: str | None
    scan_order: str | None
    options: ExportOptions
    output: Path | None


@dataclass(frozen=True)
class ExportJob:
    """A request that nothing stands against."""

    request: ExportRequest
    checkpoint: Checkpoint
    output: Path

    @property
    def title(self) -> str:
        """One line on what is exported."""
        config = self.checkpoint.config
        return (
            f"Checkpoint: {self.checkpoint.path}: {config.variant} ({config.depth} x 2 blocks of "
            f"{config.d_model}), {config.frames} frames, scan order {config.scan_order} "
            f"({self.checkpoint.scan_order_source})"
        )


def prepare_export(request: ExportRequest) -> ExportJob:
    """Find out whether an export can succeed, before any work.

    Raises:
        InputError: the output cannot be written, or the checkpoint is wrong or not what the request
            says.
    """
    from posemamba.checkpoint.read import read_checkpoint

    if request.output is None:
        check_takes_files(Path())
    else:
        check_file(request.output, suffix=".onnx", inputs=[request.checkpoint])
    checkpoint = read_checkpoint(request.checkpoint, scan_order=request.scan_order)
    config = checkpoint.config
    if request.variant not in (None, config.variant):
        raise InputError(
            f"'{request.checkpoint}' holds size {config.variant} (depth {config.depth}, d_model "
            f"{config.d_model}), not {request.variant}: leave --variant out"
        )
    try:
        check_options(request.options, config)
    except InputError as error:
        raise problem(request.checkpoint, str(error)) from None
    output = request.output or Path(default_name(checkpoint, request.options.precision))
    check_file(output, suffix=".onnx", inputs=[request.checkpoint])
    return ExportJob(request, checkpoint, output)


def default_name(checkpoint: Checkpoint, precision: str) -> str:
    """``L.fp16.onnx``; a size without a name takes the checkpoint's."""
    stem = checkpoint.config.variant
    if stem == "custom":
        stem = checkpoint.path.resolve().name.split(".")[0] or "model"
    return f"{stem}.{precision}.onnx"


def run_export(job: ExportJob, on_stage: Callable[[str, float], Any] | None = None) -> ExportReport:
    """Build the network and write the ONNX model.

    Raises:
        InputError: as :func:`pmexport.exporting.export.export_onnx`.
    """
    from pmexport.exporting.export import export_onnx

    source = {
        "checkpoint": printable_name(job.checkpoint.path.name),
        "checkpoint_sha256": job.checkpoint.sha256,
        "scan_order_source": job.checkpoint.scan_order_source,
    }
    network = job.checkpoint.build()
    return export_onnx(network, job.output, job.request.options, source=source, on_stage=on_stage)
