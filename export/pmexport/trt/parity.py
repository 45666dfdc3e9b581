"""Whether a new engine gives its checkpoint's poses: run here where that is possible, else its
ONNX model is, and the report says that the engine was not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pmexport.check.compare import Progress
from pmexport.check.reference import reference_path
from pmexport.check.report import check_lines
from pmexport.check.request import CheckRequest
from pmexport.check.run import CheckReport, run_check
from pmexport.check.tolerance import TOLERANCES
from pmexport.engine.file import open_engine
from pmexport.format.environment import has_module
from pmexport.format.file import open_model
from pmexport.runtimes.base import RuntimeOptions
from pmexport.runtimes.registry import RUNTIMES
from pmexport.trt.graph import Graph
from pmexport.trt.request import TrtJob
from posemamba.errors import InputError


@dataclass(frozen=True)
class Rewritten:
    """A graph that TensorRT was given for a model, held against the model on the CPU.

    Attributes:
        apart: largest difference of a coordinate, network units; None where it was not compared.
        why: why not.
    """

    form: str
    limit: float
    apart: float | None
    why: str = ""

    @property
    def passed(self) -> bool:
        return self.apart is None or self.apart <= self.limit

    def __str__(self) -> str:
        if self.apart is None:
            return f"{self.form} graph not compared with the model: {self.why}"
        return (
            f"{self.form} graph on the CPU: {'passed' if self.passed else 'FAILED'}, max-abs "
            f"{self.apart:.1e} from the model (tolerance {self.limit:g})"
        )


@dataclass(frozen=True)
class Parity:
    """What was compared.

    Attributes:
        report: None where there is nothing to compare with.
        not_run: why the engine was not run here; None if it was.
        rewrite: what an engine that was not run was rewritten to, and how that compares with the
            model itself; None where it was not rewritten.
        nothing: why there is nothing to compare with.
    """

    report: CheckReport | None
    not_run: str | None
    engine: Path
    rewrite: Rewritten | None = None
    nothing: str = "no reference lies beside the ONNX model"

    @property
    def passed(self) -> bool:
        whole = self.report is None or self.report.passed
        return whole and (self.rewrite is None or self.rewrite.passed)

    def lines(self) -> list[str]:
        """For people: what was run, and the parity table."""
        lines = []
        if self.not_run is not None:
            lines.append(f"Parity: engine not run here: {self.not_run}")
        if self.rewrite is not None:
            lines.append(f"Parity: {self.rewrite}")
        if self.report is None:
            lines.append(
                f"Parity: not compared: {self.nothing}; where the checkpoint is, 'pmexport check "
                f"{self.engine} --ckpt C'"
            )
            return lines
        if self.not_run is not None:
            lines.append("Parity: of the ONNX model it was built from, instead:")
        return [*lines, *check_lines(self.report)]


def check_built(job: TrtJob, graph: Graph, progress: Progress | None = None) -> Parity:
    """Hold an engine that was just written against its checkpoint, or a reference.

    Raises:
        InputError: the checkpoint cannot be read again, or no ONNX Runtime is here for the model.
    """
    engine, not_run = job.output, why_not_run(job.output, job.backend.name)
    onnx = _onnx(job)
    checkpoint = job.request.checkpoint
    reference = None if checkpoint is not None else reference_path(onnx)
    rewrite = None if not_run is None else _rewrite(onnx, graph)
    if reference is not None and not reference.is_file():
        return Parity(None, not_run, engine, rewrite)
    if not_run is not None and graph.form == "fused" and job.source is graph.model:
        return Parity(None, not_run, engine, None, "the nodes of a fused file run on a GPU alone")
    report = run_check(
        CheckRequest(
            model=engine if not_run is None else onnx,
            checkpoint=checkpoint,
            reference=reference,
            scan_order=None if checkpoint is None else _order(job),
            weights=job.request.weights,
        ),
        progress,
    )
    if not_run is not None and job.source is None:  # its file goes with the scratch folder
        said = f"{engine.with_suffix('.onnx')} (as exported for the engine)"
        report = replace(report, model={**report.model, "path": said})
    return Parity(report, not_run, engine, rewrite)


def _rewrite(onnx: Path, graph: Graph) -> Rewritten | None:
    """How a rewritten graph compares with its model; a rewrite is of no use where both are one."""
    model = open_model(onnx)
    if graph.form == "as exported" or model.is_optimized:
        return None
    limit = TOLERANCES[model.precision].max_abs
    for module in ("onnxruntime", *(("torch",) if graph.form == "fused" else ())):
        if not has_module(module):
            return Rewritten(graph.form, limit, None, f"{module} is not installed")
    from onnxscript import ir

    from pmexport.check.optimized import rewrite_apart
    from pmexport.passes.optimize import Optimized

    made = Optimized(ir.from_proto(graph.model.proto), graph.form)
    return Rewritten(graph.form, limit, rewrite_apart(model, made))


def why_not_run(engine: Path, runtime: str) -> str | None:
    """Why an engine cannot be run on this machine; None where it can."""
    one = RUNTIMES[runtime](RuntimeOptions())
    problem = one.available()
    if problem is not None:
        return problem
    try:
        one.load(open_engine(engine))
    except InputError as error:
        return str(error)
    return None


def _onnx(job: TrtJob) -> Path:
    if job.source is not None:
        return job.source.path
    assert job.export is not None
    return job.export.output


def _order(job: TrtJob) -> str:
    assert job.export is not None
    return job.export.checkpoint.config.scan_order
