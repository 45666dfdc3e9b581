"""``pmexport bench``: parse, call, print."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from pmexport.cli.options import (
    JSON_REPORT,
    MODEL,
    PATH,
    THREADS,
    WEIGHTS,
    Positive,
    runtime_option,
    write_text,
)
from pmexport.format.limits import MAX_BATCH
from pmexport.format.options import Fusion, Precision
from posemamba.cli.tool import CHECK_FAILED, NearChoice, Whole
from posemamba.config import MAX_FRAMES

_MAX_RUNS = 1_000_000  # each leaves a time in memory


@click.command()
@MODEL
@click.option("--ckpt", "checkpoint", type=PATH, help="Checkpoint, for the torch runtimes.")
@WEIGHTS
@runtime_option("What to time; may be repeated.")
@click.option("--batch", type=Whole(1, MAX_BATCH),
              help="Clips at once  [default: the model's, or 1]")  # fmt: skip
@click.option("--frames", type=Whole(1, MAX_FRAMES),
              help="Frames of a clip  [default: most it takes]")  # fmt: skip
@click.option("--precision", type=NearChoice(get_args(Precision)),
              help="Of torch-cuda  [default: the model's]")  # fmt: skip
@click.option("--warmup", type=Positive(), default=0.5, show_default=True, help="Seconds.")
@click.option("--seconds", type=Positive(), default=3.0, show_default=True,
              help="Time to measure each runtime.")  # fmt: skip
@click.option("--runs", type=Whole(1, _MAX_RUNS), default=200, show_default=True,
              help="Most runs of each.")  # fmt: skip
@click.option("--threads", type=THREADS, help="Threads on the CPU.")
@click.option("--cuda-graph/--no-cuda-graph", default=True, show_default=True,
              help="Record and replay the work on a GPU.")  # fmt: skip
@click.option("--optimize", type=NearChoice((*get_args(Fusion), "off")), default="auto",
              show_default=True, help="Rewrite the model in memory for ort-cuda.")  # fmt: skip
@click.option("--tf32", is_flag=True, help="Let float32 products on a GPU round their inputs.")
@click.option("--gate", metavar="p95=MS,fps=N,jitter=MS,drops=%@RATE",
              help="Limits; exit 1 where one is missed.")  # fmt: skip
@click.option("--compare", type=PATH, help="Older --json report; exit 1 where this is slower.")
@JSON_REPORT
@click.option("--markdown", "markdown_path", type=PATH, help="The same, ending in .md.")
def bench(
    warmup: float,
    seconds: float,
    runs: int,
    gate: str | None,
    compare: Path | None,
    json_path: Path | None,
    markdown_path: Path | None,
    **asked: Any,  # noqa: ANN401 (fields of BenchRequest)
) -> None:
    """Time MODEL in one runtime or several, on real clips."""
    from pmexport.bench.compare import compare_reports, read_report
    from pmexport.bench.gates import judge, parse_gates
    from pmexport.bench.measure import Effort
    from pmexport.bench.report import bench_lines, bench_markdown
    from pmexport.bench.run import BenchRequest, run_bench
    from posemamba.files.output import check_file

    for path, suffix in ((json_path, ".json"), (markdown_path, ".md")):
        if path is not None:
            check_file(path, suffix=suffix)
    gates = () if gate is None else parse_gates(gate)
    old = None if compare is None else read_report(compare)
    request = BenchRequest(effort=Effort(warmup, seconds, runs), **asked)
    with _run_counter(runs) as progress:
        report = run_bench(request, progress)
    found = report.to_dict()
    judged = judge(gates, report.runtimes)
    compared = [] if old is None else compare_reports(old, found)
    verdicts = [each.line for each in judged] + [each.line for each in compared]
    click.echo("\n".join([*bench_lines(report), *verdicts]))
    if json_path is not None:
        found |= {
            "gates": [asdict(each) for each in judged],
            "comparison": [asdict(each) for each in compared],
        }
        write_text(json_path, json.dumps(found, indent=2) + "\n")
    if markdown_path is not None:
        write_text(markdown_path, bench_markdown(report))
    if not all(each.met for each in judged) or any(each.verdict == "slower" for each in compared):
        sys.exit(CHECK_FAILED)


@contextmanager
def _run_counter(runs: int) -> Iterator[Callable[[str], Callable[[], None]]]:
    """One bar after the other, of at most ``runs`` runs each."""
    from tqdm import tqdm

    bars: list[Any] = []

    def start(runtime: str) -> Callable[[], None]:
        if bars:
            bars.pop().close()
        bars.append(tqdm(total=runs, desc=runtime, unit="run", leave=False, disable=None))
        bar = bars[-1]
        return lambda: bar.update() and None

    try:
        yield start
    finally:
        for bar in bars:
            bar.close()
