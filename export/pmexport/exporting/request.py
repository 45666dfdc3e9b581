"""One export from request to files: refused at once if it cannot succeed, then done."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmexport.format.files import check_folder, check_target, printable_name
from pmexport.format.limits import check_elements
from posemamba.errors import InputError

if TYPE_CHECKING:
    from pmexport.exporting.export import ExportOptions, ExportReport
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
        check: whether the model will be run afterwards.
    """

    checkpoint: Path
    variant: str | None
    scan_order: str | None
    options: ExportOptions
    output: Path | None
    check: bool


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

    def next_commands(self) -> list[str]:
        """What a user would do now, ready to paste."""
        model, weights = shlex.quote(str(self.output)), shlex.quote(str(self.checkpoint.path))
        check = f"pmexport check {model} --ckpt {weights}"
        return [
            f"{check} --inputs clips.npz" if self.request.check else check,
            f"pmexport inspect {model}",
        ]


def prepare_export(request: ExportRequest) -> ExportJob:
    """Find out whether an export can succeed, before any work.

    Raises:
        InputError: the output cannot be written, the check could not run, the checkpoint is wrong
            or is not what the request says.
    """
    from posemamba.checkpoint.read import read_checkpoint

    if request.output is None:
        check_folder(Path())
    else:
        check_target(request.output, ".onnx", inputs=[request.checkpoint])
    if request.check and request.options.ops != "standard":
        from pmexport.runtimes.base import require_custom_ops

        require_custom_ops("the check after the export runs the model, or add --no-check")
    checkpoint = read_checkpoint(request.checkpoint, scan_order=request.scan_order)
    config = checkpoint.config
    if request.variant not in (None, config.variant):
        raise InputError(
            f"'{request.checkpoint}' holds size {config.variant} (depth {config.depth}, d_model "
            f"{config.d_model}), not {request.variant}: leave --variant out"
        )
    frames = request.options.frames
    if frames is not None and frames > config.frames:
        raise InputError(
            f"--frames {frames}: '{request.checkpoint}' has position embeddings for "
            f"{config.frames} frames: use 1 to {config.frames}, or dynamic"
        )
    batch = request.options.batch
    if batch is not None:
        check_elements(config, batch, frames or config.frames)
    output = request.output or Path(default_name(checkpoint, request.options.precision))
    check_target(output, ".onnx", inputs=[request.checkpoint])
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
