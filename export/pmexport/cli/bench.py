"""``pmexport bench``: parse, call, print."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from click.core import ParameterSource

from pmexport.cli.options import (
    JSON_REPORT,
    MODEL_OR_ENGINE,
    PATH,
    TF32,
    THREADS,
    Positive,
    runtime_option,
    write_text,
)
from pmexport.format.limits import MAX_BATCH
from pmexport.format.options import Fusion, Precision
from posemamba.cli.options import WEIGHTS
from posemamba.cli.tool import CHECK_FAILED, NearChoice, Whole
from posemamba.config import MAX_FRAMES
from posemamba.errors import Caution
from posemamba.text import json_text

if TYPE_CHECKING:
    from pmexport.bench.run import BenchRequest
    from pmexport.format.file import ModelFile

_MAX_RUNS = 1_000_000  # each leaves a time in memory
_PREDICTS = ("model", "batch", "frames", "devices", "json_path")


@click.command()
@MODEL_OR_ENGINE
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
@click.option("--runs", type=Whole(1, _MAX_RUNS),
              help="Most runs of each  [default: as many as the time takes]")  # fmt: skip
@click.option("--threads", type=THREADS, help="Threads on the CPU.")
@click.option("--cuda-graph/--no-cuda-graph", default=True, show_default=True,
              help="Record and replay the work on a GPU.")  # fmt: skip
@click.option("--optimize", type=NearChoice((*get_args(Fusion), "off")), default="auto",
              show_default=True, help="Rewrite the model in memory for ort-cuda.")  # fmt: skip
@TF32
@click.option("--gate", metavar="p95=MS,fps=N,jitter=MS,drops=%@RATE",
              help="Limits; exit 1 where one is missed.")  # fmt: skip
@click.option("--compare", type=PATH, help="Older --json report; exit 1 where this is slower.")
@JSON_REPORT
@click.option("--markdown", "markdown_path", type=PATH, help="The same, ending in .md.")
@click.option("--csv", "csv_path", type=PATH, help="A row per runtime, ending in .csv.")
@click.option("--svg", "svg_path", type=PATH, help="One picture, ending in .svg.")
@click.option("--layers", is_flag=True, help="Also the time of each module, by the profiler.")
@click.option("--predict", "devices", metavar="orin-agx|orin-nano|thor|rtx4090", multiple=True,
              help="Run nothing: say what it should take there; may be repeated.")  # fmt: skip
def bench(
    devices: tuple[str, ...],
    gate: str | None,
    compare: Path | None,
    json_path: Path | None,
    markdown_path: Path | None,
    csv_path: Path | None,
    svg_path: Path | None,
    **asked: Any,
) -> None:
    """Time MODEL in one runtime or several, on real clips."""
    from posemamba.files.output import check_file

    outputs = {".json": json_path, ".md": markdown_path, ".csv": csv_path, ".svg": svg_path}
    for suffix, path in outputs.items():
        if path is not None:
            check_file(path, suffix=suffix)
    if devices:
        _predict(devices, asked["model"], asked["batch"], asked["frames"], json_path)
        return
    _measure(asked, gate, compare, outputs)


def _measure(
    asked: dict[str, Any], gate: str | None, compare: Path | None, outputs: dict[str, Path | None]
) -> None:
    from pmexport.bench.compare import another_model, compare_reports, read_report
    from pmexport.bench.draw import bench_csv, bench_svg
    from pmexport.bench.gates import judge, parse_gates
    from pmexport.bench.measure import Effort
    from pmexport.bench.report import bench_lines, bench_markdown
    from pmexport.bench.run import BenchRequest, run_bench
    from pmexport.format.file import ModelFile
    from pmexport.runtimes.files import open_runnable

    gates = () if gate is None else parse_gates(gate)
    old = None if compare is None else read_report(compare)
    warmup, seconds, runs = (asked.pop(name) for name in ("warmup", "seconds", "runs"))
    effort = Effort(warmup, seconds) if runs is None else Effort(warmup, seconds, runs)
    request = BenchRequest(effort=effort, **asked)
    model = open_runnable(request.model)
    if isinstance(model, ModelFile) and model.module is not None:
        unused = (gate, compare, *(path for suffix, path in outputs.items() if suffix != ".json"))
        _bench_own(request, model, outputs[".json"], others=(*unused, request.layers or None))
        return
    with _run_counter(runs) as progress:
        report = run_bench(request, progress, model, old)
    found = report.to_dict()
    judged = judge(gates, report.runtimes)
    compared = [] if old is None else compare_reports(old, found)
    if old is not None and (doubt := another_model(old, found["model"])) is not None:
        warnings.warn(doubt, Caution, stacklevel=2)
    found |= {
        "gates": [asdict(each) for each in judged],
        "comparison": [asdict(each) for each in compared],
    }
    verdicts = [each.line for each in judged] + [each.line for each in compared]
    click.echo("\n".join([*bench_lines(report), *verdicts]))
    texts = {
        ".json": lambda: json_text(found) + "\n",
        ".md": lambda: bench_markdown(report),
        ".csv": lambda: bench_csv(report),
        ".svg": lambda: bench_svg(report),
    }
    for suffix, path in outputs.items():
        if path is not None:
            write_text(path, texts[suffix]())
    if not all(each.met for each in judged) or any(each.verdict == "slower" for each in compared):
        sys.exit(CHECK_FAILED)


def _predict(
    devices: tuple[str, ...],
    model: Path,
    batch: int | None,
    frames: int | None,
    json_path: Path | None,
) -> None:
    """Say what nobody measured; options of measuring are refused beside it."""
    from pmexport.bench.predict import predict, prediction_lines, to_dict
    from pmexport.bench.run import sizes
    from pmexport.runtimes.files import open_runnable

    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(str(parameter.name))
        if given is ParameterSource.COMMANDLINE and parameter.name not in _PREDICTS:
            raise click.UsageError(f"{parameter.opts[0]} is of measuring, --predict runs nothing: "
                                   "leave one of them out")  # fmt: skip
    opened = open_runnable(model)
    clips, length = sizes(opened, batch, frames)
    found = [
        each for device in dict.fromkeys(devices) for each in predict(opened, device, clips, length)
    ]
    click.echo("\n".join(prediction_lines(found)))
    if json_path is not None:
        write_text(json_path, json_text(to_dict(found)) + "\n")


def _bench_own(
    request: BenchRequest, model: ModelFile, json_path: Path | None, others: Sequence[object]
) -> None:
    """Time a network of one's own."""
    from pmexport.bench.module import module_bench_lines, run_module_bench

    if any(other is not None for other in others):
        raise click.UsageError(
            "--gate, --compare, --layers, --markdown, --csv and --svg are for PoseMamba models, "
            f"'{model.path}' is {model.module}: leave them out"
        )
    found = run_module_bench(request, model)
    click.echo("\n".join(module_bench_lines(found)))
    if json_path is not None:
        write_text(json_path, json_text(found) + "\n")


@contextmanager
def _run_counter(runs: int | None) -> Iterator[Callable[[str], Callable[[], None]]]:
    """One bar after the other, of at most ``runs`` runs each; None: nobody knows how many."""
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
