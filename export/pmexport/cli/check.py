"""``pmexport check`` and ``pmexport optimize``: parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from pmexport.cli.options import (
    JSON_REPORT,
    MODEL,
    MODEL_OR_ENGINE,
    PATH,
    SCAN_ORDER,
    TF32,
    THREADS,
    Positive,
    named,
    runtime_option,
    write_text,
)
from pmexport.format.options import Fusion
from posemamba.cli.options import WEIGHTS, reading_options
from posemamba.cli.tool import CHECK_FAILED, NearChoice
from posemamba.text import json_text

if TYPE_CHECKING:
    from pmexport.check.request import CheckRequest
    from pmexport.check.run import CheckOutcome
    from pmexport.format.file import ModelFile


@click.command()
@MODEL_OR_ENGINE
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
@TF32
@click.option("--any-ckpt", "any_checkpoint", is_flag=True,
              help="Compare even if the model came from another file.")  # fmt: skip
@click.option("--per-joint", is_flag=True, help="Print the drift of every joint.")
@click.option("--bisect", is_flag=True, help="Name the first module where two sides part.")
@click.option("--max-drift-mm", type=Positive(),
              help="With --bisect: find what to keep fp32 for at most so much drift.")  # fmt: skip
@click.option("--keep-to", type=PATH, help="Where that list goes  [default: keep.yaml]")
@click.option("--report", "html_path", type=PATH, help="Write it as a page, ending in .html.")
@click.option("--load-outputs", type=PATH,
              help="Run nothing: judge what 'polygraphy run --save-outputs' wrote.")  # fmt: skip
@click.option("--save-inputs", type=PATH, help="The clips, for 'polygraphy run --load-inputs'.")
@click.option("--save-outputs", type=PATH,
              help="The expected poses, for 'polygraphy run --load-outputs'.")  # fmt: skip
@JSON_REPORT
def check(
    scan_order: str,
    per_joint: bool,
    keep_to: Path | None,
    html_path: Path | None,
    save_inputs: Path | None,
    save_outputs: Path | None,
    json_path: Path | None,
    **asked: Any,
) -> None:
    """Compare MODEL with its checkpoint in PyTorch, in millimetres, on real clips."""
    from pmexport.check.html import html_report
    from pmexport.check.report import check_lines
    from pmexport.check.request import CheckRequest
    from pmexport.check.run import check as run
    from pmexport.format.file import ModelFile
    from pmexport.format.keep import keep_others
    from pmexport.runtimes.files import open_runnable
    from posemamba.files.output import check_distinct, check_file

    request = CheckRequest(scan_order=named(scan_order), **asked)
    read = (request.model, request.checkpoint, request.reference, request.load_outputs)
    inputs = [path for path in read if path is not None]
    exchanged = {"--save-inputs": save_inputs, "--save-outputs": save_outputs}
    written = {"--json": json_path, **exchanged, "--report": html_path, "--keep-to": keep_to}
    check_distinct(written)
    for option, path in written.items():
        if path is not None and option != "--keep-to":
            suffix = ".html" if option == "--report" else ".json"
            check_file(path, suffix=suffix, inputs=inputs)
    if request.load_outputs is not None or any(exchanged.values()):
        import polygraphy  # noqa: F401 (its absence is told before the work)
    keep = None if request.max_drift_mm is None else keep_to or Path("keep.yaml")
    if keep_to is not None and keep is None:
        raise click.UsageError("--keep-to: there is a list with --bisect --max-drift-mm MM alone")
    if keep is not None:
        check_file(keep, inputs=inputs)
        keep_others(keep)
    model = open_runnable(request.model)
    if isinstance(model, ModelFile) and model.module is not None:
        if request.bisect or html_path is not None or keep is not None:
            raise click.UsageError(
                "--bisect, --max-drift-mm and --report are for PoseMamba models, "
                f"'{model.path}' is {model.module}: leave them out"
            )
        model.refuse_options(exchanged)
        _check_own(request, model, json_path)
        return
    outcome = run(request, check_progress, model)
    _exchange(outcome, save_inputs, save_outputs)
    told = outcome.report.to_dict()
    click.echo("\n".join(check_lines(outcome.report, per_joint=per_joint)))
    found: list[str] = []
    if request.bisect:
        found, further = _look_further(outcome, keep)
        told |= further
    if html_path is not None:
        write_text(html_path, html_report(outcome, found))
    if json_path is not None:
        write_text(json_path, json_text(told) + "\n")
    if not outcome.report.passed:
        sys.exit(CHECK_FAILED)


def _exchange(outcome: CheckOutcome, inputs: Path | None, outputs: Path | None) -> None:
    """Write what 'polygraphy run' reads."""
    from pmexport.check.polygraphy_files import save_inputs, save_poses

    if inputs is not None:
        save_inputs(inputs, outcome.expected.cases)
    if outputs is not None:
        runner = "reference" if outcome.expected.checkpoint is None else "pytorch"
        save_poses(outputs, outcome.expected.poses, runner)


def _look_further(outcome: CheckOutcome, keep: Path | None) -> tuple[list[str], dict[str, Any]]:
    """Print where two sides part, write the keep list; the lines, and both for JSON."""
    from pmexport.check.bisect_report import bisect_lines, keep_lines
    from pmexport.check.diagnosis import diagnose
    from pmexport.check.keep import smallest_keep
    from pmexport.format.keep import write_keep

    with _bar("bisect", "tensor") as bar:
        found = diagnose(outcome, bar)
    lines = bisect_lines(found)
    click.echo("\n".join(lines))
    told: dict[str, Any] = {"bisect": found.to_dict()}
    limit = outcome.request.max_drift_mm
    if keep is None or limit is None:
        return lines, told
    with _bar("keep", "list") as bar:
        kept = smallest_keep(outcome, found, limit, lambda tried: bar(tried, 0))
    if kept.entries:
        write_keep(keep, kept.entries, kept.comment(outcome.model.path.name))
    said = keep_lines(kept, keep)
    click.echo("\n".join(said))
    return [*lines, *said], told | {"keep": kept.to_dict()}


def _check_own(request: CheckRequest, model: ModelFile, json_path: Path | None) -> None:
    """Hold a network of one's own against the outputs that its export kept."""
    from pmexport.check.module import check_kept_outputs

    report = check_kept_outputs(request, model)
    click.echo("\n".join(report.lines()))
    if json_path is not None:
        write_text(json_path, json_text(report.to_dict()) + "\n")
    if not report.passed:
        sys.exit(CHECK_FAILED)


def check_and_print(request: CheckRequest) -> bool:
    """Run a check and print what it found; whether it passed."""
    from pmexport.check.report import check_lines
    from pmexport.check.run import run_check

    report = run_check(request, check_progress)
    click.echo("\n".join(check_lines(report)))
    return report.passed


@contextmanager
def _bar(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on an interactive terminal; told how much is done, of how much (0: nobody knows)."""
    from tqdm import tqdm

    with tqdm(desc=what, unit=unit, leave=False, disable=None) as bar:

        def show(done: int, of: int) -> None:
            bar.total = of or None
            bar.update(done - bar.n)

        yield show


def check_progress(runs: list[Any], side: str) -> Iterable[Any]:
    """A bar on an interactive terminal, nothing elsewhere."""
    from tqdm import tqdm

    return tqdm(runs, desc=side, unit="run", leave=False, disable=None)


@click.command()
@MODEL
@click.option("-o", "--output", type=PATH, help="ONNX file  [default: as M.cuda.onnx, beside it]")
@click.option("--fusion", type=NearChoice(get_args(Fusion)), default="auto", show_default=True,
              help="One node per block; standard products between ours; what fits.")  # fmt: skip
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
