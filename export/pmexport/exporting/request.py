"""One export from request to files: refused at once if it cannot succeed, then done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmexport.format.file import open_model
from pmexport.format.files import printable_name
from pmexport.format.limits import check_options
from pmexport.format.metadata import guess_told_here, guess_warning
from pmexport.format.options import ExportOptions
from pmexport.format.paths import NamesFiles
from posemamba.checkpoint.bundled import bundled_checkpoint
from posemamba.errors import InputError
from posemamba.files.output import check_file, check_takes_files
from posemamba.text import plural, problem

if TYPE_CHECKING:
    from pmexport.exporting.export import ExportReport
    from posemamba.checkpoint.read import Checkpoint

#: What checkpoints and archives of them end in.
CHECKPOINT_SUFFIXES = (".bin", ".pth", ".tr", ".pt", ".ckpt", ".safetensors", ".zip", ".tar",
                       ".gz", ".tgz")  # fmt: skip
_ENDINGS = (*CHECKPOINT_SUFFIXES, ".index.json")


@dataclass(frozen=True)
class ExportRequest(NamesFiles):
    """What ``pmexport onnx`` was asked for.

    Attributes:
        checkpoint: file or unpacked folder.
        variant: ``S``, ``B``, ``L`` or ``X`` that the checkpoint must be; None for any.
        scan_order: overrides the checkpoint's; None to find it out.
        options: sizes, operators and precision of the ONNX model.
        output: None for a name made of the checkpoint's and the precision.
        weights: which set of a checkpoint that holds several; None for its usual one.
    """

    checkpoint: Path
    variant: str | None
    scan_order: str | None
    options: ExportOptions
    output: Path | None
    weights: str | None = None


@dataclass(frozen=True)
class ExportJob:
    """A request that nothing stands against.

    Attributes:
        replaces: what is at ``output``, where it is another checkpoint's.
    """

    request: ExportRequest
    checkpoint: Checkpoint
    output: Path
    replaces: str | None = None

    @property
    def title(self) -> str:
        """One line on what is exported."""
        config = self.checkpoint.config
        return (
            f"Checkpoint: {self.checkpoint.path}: {config.variant} ({config.depth} x 2 blocks of "
            f"{config.d_model}), {plural(config.frames, 'frame')}, scan order {config.scan_order} "
            f"({self.checkpoint.scan_order_source})"
        )

    def notes(self, model: object) -> list[str]:
        """What a user has to know of the export.

        Args:
            model: how messages call the ONNX model.
        """
        notes = [] if self.replaces is None else [f"  '{model}' {self.replaces}: it is replaced"]
        if self.checkpoint.scan_order_guessed:
            notes.append(guess_warning(self.checkpoint.config.scan_order, model))
        return notes


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
    with guess_told_here():
        checkpoint = read_checkpoint(
            request.checkpoint, scan_order=request.scan_order, weights=request.weights
        )
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
    output = request.output or Path(default_name(request.checkpoint, request.options.precision))
    check_file(output, suffix=".onnx", inputs=[request.checkpoint])
    replaces = _other_export(output, checkpoint.sha256, request.weights)
    if replaces is not None and request.output is None:  # a name nobody chose
        raise problem(output, f"{replaces}: name another file with -o, or remove it")
    return ExportJob(request, checkpoint, output, replaces)


def default_name(checkpoint: Path, precision: str) -> str:
    """``best_epoch.fp16.onnx`` for ``best_epoch.pth.tr``: two checkpoints of a size keep apart."""
    if bundled_checkpoint(checkpoint) is not None:
        return f"{checkpoint}.{precision}.onnx"
    stem = checkpoint.resolve().name
    while ending := next((e for e in _ENDINGS if stem.lower().endswith(e)), None):
        stem = stem[: -len(ending)]
    return f"{stem.strip('.') or 'model'}.{precision}.onnx"


def _other_export(output: Path, sha256: str, weights: str | None) -> str | None:
    """What is at a path, where it is no export of the same weights; None where nothing is lost."""
    if not output.is_file():
        return None
    try:
        found = open_model(output).metadata
    except InputError:
        return "is no model of this tool"
    source = found.get("checkpoint_sha256")
    if (source, found.get("weights")) == (sha256, weights):
        return None
    if source is None:
        return "does not say which checkpoint it came from"
    held = f" (its weights '{found['weights']}')" if "weights" in found else ""
    return f"came from other weights: '{found.get('checkpoint')}'{held}, SHA-256 {source[:12]}"


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
    if job.request.weights is not None:  # absent otherwise: equal exports are equal bytes
        source["weights"] = job.request.weights
    network = job.checkpoint.build()
    return export_onnx(network, job.output, job.request.options, source=source, on_stage=on_stage)
