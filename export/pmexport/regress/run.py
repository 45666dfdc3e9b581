"""Every checkpoint in every precision through every runtime: the same poses, and how fast.

A cell is exported, checked against PyTorch and timed, one after the other, so that nothing runs
beside it. One that fails is a row that says why; the others are done all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pmexport.bench.measure import Effort
from pmexport.bench.run import BenchRequest, run_bench
from pmexport.bench.verdict import Sample
from pmexport.check.request import CheckRequest
from pmexport.check.run import CheckReport, run_check
from pmexport.exporting.export import export_onnx
from pmexport.format.environment import environment
from pmexport.format.failures import reason
from pmexport.format.limits import check_frames
from pmexport.format.metadata import guess_told_here
from pmexport.format.options import ExportOptions, Precision
from pmexport.format.paths import NamesFiles
from pmexport.runtimes.base import DEFAULT_OPTIONS
from pmexport.runtimes.registry import RUNTIMES, usable_runtime
from pmexport.runtimes.tf32 import TF32_RUNTIMES, require_float32_products
from posemamba.checkpoint.read import Checkpoint, read_checkpoint
from posemamba.errors import InputError
from posemamba.text import problem

SCHEMA = 1


@dataclass(frozen=True)
class RegressRequest(NamesFiles):
    """What to go through.

    Attributes:
        checkpoints: each exported once per precision.
        frames: of a timed clip; None for the model's most.
        threads: of runtimes on the CPU.
        tf32: also fp32 models with TF32 products, in the runtimes that have them.
        weights: which set, of checkpoints that hold several.
    """

    checkpoints: tuple[Path, ...]
    precisions: tuple[Precision, ...]
    runtimes: tuple[str, ...]
    effort: Effort
    frames: int | None = None
    threads: int | None = None
    tf32: bool = False
    weights: str | None = None


def cell_key(checkpoint: str, precision: str, runtime: str) -> str:
    """What names a cell in every report, whatever folder the checkpoint lay in."""
    return f"{checkpoint} {precision} {runtime}"


@dataclass(frozen=True)
class Cell:
    """One checkpoint, precision and runtime.

    Attributes:
        precision: the model's, or ``tf32`` for an fp32 model with TF32 products.
        passed: the poses are PyTorch's, within the tolerances of ``check``.
        mpjpe_mm, max_abs: the drift, None where it was not found out.
        sample: whole calls, None where they were not timed.
        failure: why one of them is None, or why it did not pass; empty if it did.
    """

    checkpoint: str
    variant: str
    precision: str
    runtime: str
    passed: bool
    mpjpe_mm: float | None = None
    max_abs: float | None = None
    sample: Sample | None = None
    p95_ms: float | None = None
    frames_per_s: float | None = None
    failure: str = ""

    @property
    def key(self) -> str:
        """As :func:`cell_key`."""
        return cell_key(self.checkpoint, self.precision, self.runtime)


@dataclass(frozen=True)
class RegressReport:
    """All cells; ``to_dict`` is what ``--json`` writes."""

    cells: list[Cell]
    frames: int | None
    environment: dict[str, Any]

    @property
    def passed(self) -> bool:
        return all(cell.passed for cell in self.cells)

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "passed": self.passed, **asdict(self)}


def run_regress(request: RegressRequest) -> RegressReport:
    """Go through all of it.

    Raises:
        InputError: a checkpoint cannot be read, two have one name, or a runtime cannot work here.
    """
    _refuse_runtimes(request.runtimes)
    if request.tf32:
        require_float32_products(request.runtimes, request.precisions)
    _refuse_doubles(request.checkpoints)
    with guess_told_here():
        checkpoints = [
            read_checkpoint(path, weights=request.weights) for path in request.checkpoints
        ]
    for path, checkpoint in zip(request.checkpoints, checkpoints, strict=True):
        try:
            check_frames(request.frames, checkpoint.config.frames)
        except InputError as error:
            raise problem(path, str(error)) from None
    cells = [
        cell
        for path, checkpoint in zip(request.checkpoints, checkpoints, strict=True)
        for precision in request.precisions
        for cell in _cells(request, path, checkpoint, precision)
    ]
    return RegressReport(cells, request.frames, environment(request.threads))


def _refuse_runtimes(names: Sequence[str]) -> None:
    for name in names:
        if RUNTIMES[name](DEFAULT_OPTIONS).reads == "engine":
            raise InputError(
                f"--runtime {name} takes engines, and regress exports ONNX models: build one with "
                "'pmexport trt', then 'pmexport check' and 'bench' it"
            )
        usable_runtime(name, DEFAULT_OPTIONS)


def _refuse_doubles(paths: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in paths:
        if path.name in seen:
            raise InputError(
                f"'{path}' and '{seen[path.name]}' have one name: rename one of them, rows are "
                "named after files"
            )
        seen[path.name] = path


def _cells(
    request: RegressRequest, path: Path, checkpoint: Checkpoint, precision: Precision
) -> Iterable[Cell]:
    """The runtimes of one export."""

    runs = [(name, False) for name in request.runtimes]
    if request.tf32 and precision == "fp32":
        runs += [(name, True) for name in request.runtimes if name in TF32_RUNTIMES]

    def failed(runtime: str, tf32: bool, error: Exception) -> Cell:
        kind = "tf32" if tf32 else precision
        return Cell(
            path.name, checkpoint.config.variant, kind, runtime, False, failure=reason(error)
        )

    with TemporaryDirectory() as folder:
        model = Path(folder) / f"{path.name}.{precision}.onnx"
        try:
            source = {
                "checkpoint": path.name,
                "checkpoint_sha256": checkpoint.sha256,
                "scan_order_source": checkpoint.scan_order_source,
            }
            if request.weights is not None:
                source["weights"] = request.weights
            options = ExportOptions(precision=precision)
            export_onnx(checkpoint.build(), model, options, source=source)
        except (InputError, RuntimeError) as error:
            yield from (failed(name, tf32, error) for name, tf32 in runs)
            return
        for name, tf32 in runs:
            try:
                with guess_told_here():
                    yield _measured(request, model, path, name, tf32)
            except (InputError, RuntimeError) as error:
                yield failed(name, tf32, error)


def _measured(request: RegressRequest, model: Path, path: Path, name: str, tf32: bool) -> Cell:
    report = run_check(CheckRequest(model, path, (name,), threads=request.threads, tf32=tf32))
    reads = RUNTIMES[name](DEFAULT_OPTIONS).reads
    timed = run_bench(
        BenchRequest(
            model, path if reads == "checkpoint" else None, (name,), frames=request.frames,
            effort=request.effort, threads=None if name == "torch-cuda" else request.threads,
            tf32=tf32, weights=request.weights if reads == "checkpoint" else None,
        )
    ).runtimes[name]  # fmt: skip
    total, drift = timed.total, report.runtimes[name]
    return Cell(
        checkpoint=path.name,
        variant=str(report.model["variant"]),
        precision="tf32" if tf32 else str(report.model["precision"]),
        runtime=name,
        passed=report.passed,
        mpjpe_mm=drift.mpjpe_mm,
        max_abs=drift.max_abs,
        sample=timed.sample,
        p95_ms=total.p95,
        frames_per_s=timed.frames_per_s,
        failure=_why(report, name),
    )


def _why(report: CheckReport, name: str) -> str:
    if report.passed:
        return ""
    return report.failure or report.runtimes[name].failure or "other poses than the checkpoint's"
