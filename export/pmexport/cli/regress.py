"""``pmexport regress``: parse, call, print."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click

from pmexport.cli.options import JSON_REPORT, PATH, THREADS, Positive, write_text
from pmexport.format.options import Precision
from pmexport.runtimes.registry import RUNTIMES
from posemamba.cli.options import WEIGHTS
from posemamba.cli.tool import CHECK_FAILED, NearChoice, Whole
from posemamba.config import MAX_FRAMES
from posemamba.text import json_text


@click.command()
@click.argument("checkpoints", nargs=-1, required=True, type=PATH)
@WEIGHTS
@click.option("--precision", "precisions", type=NearChoice(get_args(Precision)), multiple=True,
              default=("fp32", "fp16"), show_default=True, help="May be repeated.")  # fmt: skip
@click.option("--runtime", "runtimes", type=NearChoice(tuple(RUNTIMES)), multiple=True,
              default=("ort-cpu",), show_default=True, help="May be repeated.")  # fmt: skip
@click.option("--frames", type=Whole(1, MAX_FRAMES),
              help="Frames of a timed clip  [default: most it takes]")  # fmt: skip
@click.option("--seconds", type=Positive(), default=2.0, show_default=True,
              help="Time to measure each.")  # fmt: skip
@click.option("--threads", type=THREADS, help="Threads on the CPU.")
@click.option("--tf32", is_flag=True,
              help="Also fp32 models with TF32 products, in runtimes on a GPU.")  # fmt: skip
@click.option("--compare", type=PATH, help="Older --json report; exit 1 where this is worse.")
@JSON_REPORT
@click.option("--markdown", "markdown_path", type=PATH, help="The same, ending in .md.")
def regress(
    checkpoints: tuple[Path, ...],
    weights: str | None,
    precisions: tuple[Precision, ...],
    runtimes: tuple[str, ...],
    frames: int | None,
    seconds: float,
    threads: int | None,
    tf32: bool,
    compare: Path | None,
    json_path: Path | None,
    markdown_path: Path | None,
) -> None:
    """Export, check and time CHECKPOINTS in every precision and runtime; one report."""
    from pmexport.bench.measure import Effort
    from pmexport.regress.compare import changes, read_cells, refuse_incomparable
    from pmexport.regress.report import regress_lines, regress_markdown
    from pmexport.regress.run import RegressRequest, run_regress
    from posemamba.files.output import check_file

    for path, suffix in ((json_path, ".json"), (markdown_path, ".md")):
        if path is not None:
            check_file(path, suffix=suffix, inputs=checkpoints)
    old = None if compare is None else read_cells(compare)
    effort = Effort(warmup_s=0.2, measure_s=seconds)
    once = dict.fromkeys
    request = RegressRequest(
        checkpoints,
        tuple(once(precisions)),
        tuple(once(runtimes)),
        effort,
        frames,
        threads,
        tf32,
        weights,
    )
    if old is not None:
        refuse_incomparable(old, request)
    report = run_regress(request)
    found = [] if old is None else changes(old, report)
    click.echo("\n".join(regress_lines(report, found)))
    if json_path is not None:
        record = report.to_dict() | {"changes": [asdict(each) for each in found]}
        write_text(json_path, json_text(record) + "\n")
    if markdown_path is not None:
        write_text(markdown_path, regress_markdown(report, found))
    if not report.passed or any(each.worse for each in found):
        sys.exit(CHECK_FAILED)
