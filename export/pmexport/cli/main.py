"""``pmexport``: parse, call, print. Heavy imports wait for the command that needs them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pmexport.cli.options import CountOrDynamic, Positive, size_text
from pmexport.cli.trt import trt
from pmexport.format.limits import MAX_BATCH, MAX_FRAMES, MAX_THREADS
from posemamba.cli.tool import CHECK_FAILED, NearChoice, Tool

if TYPE_CHECKING:
    from pmexport.check.run import CheckReport, CheckRequest

VARIANTS = ("auto", "S", "B", "L", "X")
ORDERS = ("auto", "global-local", "bidirectional", "fs-ft", "fs-bt", "bs-ft", "bs-bt")
RUNTIMES = ("ort-cpu", "torch", "ort-cuda", "torch-cuda")
FUSIONS = ("auto", "fused", "composed")
MAX_RUNS = 1_000_000  # each leaves a time in memory

PATH = click.Path(path_type=Path)
THREADS = click.IntRange(1, MAX_THREADS)
CKPT = click.option("--ckpt", required=True, type=PATH, help="Checkpoint file or unpacked folder.")
ORDER = click.option(
    "--scan-order",
    type=NearChoice(ORDERS),
    default="auto",
    show_default=True,
    help="Scan order, where the checkpoint does not tell it.",
)


@click.group(cls=Tool, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pmexport", message="%(prog)s %(version)s")
def cli() -> None:
    """Export PoseMamba checkpoints, and check what was exported.

    Exit codes: 0 success, 1 the check failed, 2 the request or an input was wrong.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names are bytes: they leave as they came
        sys.stdout.reconfigure(errors="surrogateescape")


cli.add_command(trt)


@cli.command()
@CKPT
@click.option("--variant", type=NearChoice(VARIANTS), default="auto", show_default=True,
              help="Refuse a checkpoint of another size.")  # fmt: skip
@ORDER
@click.option("--frames", type=CountOrDynamic(MAX_FRAMES, "PoseMamba takes"), default="dynamic",
              show_default=True, help="Frames of a clip.")  # fmt: skip
@click.option("--batch", type=CountOrDynamic(MAX_BATCH, "keypoints are counted in 32 bits,"),
              default="dynamic", show_default=True, help="Clips at once.")  # fmt: skip
@click.option("--opset", type=int, default=20, show_default=True, help="ONNX operator set.")
@click.option("--ops", type=NearChoice(("fused", "generic", "standard")), default="fused",
              show_default=True,
              help="One scan op a block; the plain Mamba op; or ONNX operators only.")  # fmt: skip
@click.option("--precision", type=NearChoice(("fp32", "fp16")), default="fp32", show_default=True,
              help="Types inside the graph; scan constants and norms stay fp32.")  # fmt: skip
@click.option("-o", "--output", type=PATH, help="ONNX file  [default: as L.fp32.onnx, here]")
@click.option("--no-check", is_flag=True, help="Do not compare the result with PyTorch.")
def onnx(
    ckpt: Path,
    variant: str,
    scan_order: str,
    frames: int | None,
    batch: int | None,
    opset: int,
    ops: Any,  # noqa: ANN401 (a Literal of ExportOptions)
    precision: Any,  # noqa: ANN401
    output: Path | None,
    no_check: bool,
) -> None:
    """Write a checkpoint as one ONNX model, and check it."""
    from pmexport.check.run import CheckRequest
    from pmexport.exporting.export import ExportOptions
    from pmexport.exporting.request import ExportRequest, prepare_export, run_export

    options = ExportOptions(frames=frames, batch=batch, opset=opset, ops=ops, precision=precision)
    request = ExportRequest(
        ckpt, _named(variant), _named(scan_order), options, output, check=not no_check
    )
    job = prepare_export(request)
    click.echo(job.title)
    report = run_export(job, lambda stage, seconds: click.echo(f"  {stage}: {seconds:.1f} s"))
    click.echo(
        f"ONNX: success in {sum(report.seconds.values()):.1f} s, saved as {report.path} "
        f"({size_text(report.size_bytes)}), {report.scan_nodes} scan nodes of {report.node_count}"
    )
    passed = no_check or _check(
        CheckRequest(report.path, ckpt, scan_order=job.checkpoint.config.scan_order)
    )
    click.echo("\n".join(["Next:", *(f"  {command}" for command in job.next_commands())]))
    if not passed:
        sys.exit(CHECK_FAILED)


@cli.command()
@click.argument("model", type=PATH)
@CKPT
@ORDER
@click.option("--inputs", type=PATH, help="Further clips: an .npz, see docs/reference/cli.md.")
@click.option("--runtime", "runtimes", type=NearChoice(RUNTIMES), multiple=True,
              default=("ort-cpu",), show_default=True,
              help="What to hold against PyTorch; may be repeated.")  # fmt: skip
@click.option("--atol", type=Positive(), help="Largest difference of a coordinate, network units.")
@click.option("--mpjpe-mm", type=Positive(), help="Largest mean joint drift of a run, mm.")
@click.option("--mm-per-unit", type=Positive(), default=1000.0, show_default=True,
              help="Millimetres of one network unit.")  # fmt: skip
@click.option("--threads", type=THREADS, help="Threads of both sides.")
@click.option("--any-ckpt", is_flag=True,
              help="Compare even if the model came from another file.")  # fmt: skip
@click.option("--per-joint", is_flag=True, help="Print the drift of every joint.")
@click.option("--json", "json_path", type=PATH, help="Write the report there, ending in .json.")
def check(
    model: Path,
    ckpt: Path,
    scan_order: str,
    inputs: Path | None,
    runtimes: tuple[str, ...],
    atol: float | None,
    mpjpe_mm: float | None,
    mm_per_unit: float,
    threads: int | None,
    any_ckpt: bool,
    per_joint: bool,
    json_path: Path | None,
) -> None:
    """Compare MODEL with its checkpoint in PyTorch, in millimetres, on real clips."""
    from pmexport.check.run import CheckRequest
    from pmexport.format.files import check_target

    if json_path is not None:
        check_target(json_path, ".json")
    request = CheckRequest(
        model=model,
        checkpoint=ckpt,
        runtimes=runtimes,
        inputs=inputs,
        scan_order=_named(scan_order),
        atol=atol,
        mpjpe_mm=mpjpe_mm,
        mm_per_unit=mm_per_unit,
        any_checkpoint=any_ckpt,
        threads=threads,
    )
    if not _check(request, per_joint=per_joint, json_path=json_path):
        sys.exit(CHECK_FAILED)


@cli.command()
@click.argument("model", type=PATH)
@click.option("-o", "--output", type=PATH, help="ONNX file  [default: as M.cuda.onnx, beside it]")
@click.option("--fusion", type=NearChoice(FUSIONS), default="auto", show_default=True,
              help="Two nodes a block; standard products between ours; what fits.")  # fmt: skip
@click.option("--threads", type=THREADS, help="Threads of the check.")
def optimize(
    model: Path,
    output: Path | None,
    fusion: Any,  # noqa: ANN401 (a Literal of optimize_file)
    threads: int | None,
) -> None:
    """Rewrite MODEL for ONNX Runtime on an NVIDIA GPU, and check it."""
    from pmexport.check.optimize import optimize_file, report_lines

    report = optimize_file(model, output, fusion, threads)
    click.echo("\n".join(report_lines(report)))
    if not report.passed:
        sys.exit(CHECK_FAILED)


@cli.command()
@click.argument("model", type=PATH)
@click.option("--ckpt", type=PATH, help="Checkpoint, for the torch runtimes.")
@click.option("--runtime", "runtimes", type=NearChoice(RUNTIMES), multiple=True,
              default=("ort-cpu",), show_default=True,
              help="What to time; may be repeated.")  # fmt: skip
@click.option("--batch", type=click.IntRange(1, MAX_BATCH),
              help="Clips at once  [default: the model's, or 1]")  # fmt: skip
@click.option("--frames", type=click.IntRange(1, MAX_FRAMES),
              help="Frames of a clip  [default: most it takes]")  # fmt: skip
@click.option("--precision", type=NearChoice(("fp32", "fp16")),
              help="Of torch-cuda  [default: the model's]")  # fmt: skip
@click.option("--warmup", type=Positive(), default=0.5, show_default=True, help="Seconds.")
@click.option("--seconds", type=Positive(), default=3.0, show_default=True,
              help="Time to measure each runtime.")  # fmt: skip
@click.option("--runs", type=click.IntRange(1, MAX_RUNS), default=200, show_default=True,
              help="Most runs of each.")  # fmt: skip
@click.option("--threads", type=THREADS, help="Threads on the CPU.")
@click.option("--cuda-graph/--no-cuda-graph", default=True, show_default=True,
              help="Record and replay the work on a GPU.")  # fmt: skip
@click.option("--optimize", type=NearChoice((*FUSIONS, "off")), default="auto", show_default=True,
              help="Rewrite the model in memory for ort-cuda.")  # fmt: skip
@click.option("--tf32", is_flag=True, help="Let float32 products on a GPU round their inputs.")
@click.option("--json", "json_path", type=PATH, help="Write the report there, ending in .json.")
@click.option("--markdown", "markdown_path", type=PATH, help="The same, ending in .md.")
def bench(
    model: Path,
    ckpt: Path | None,
    runtimes: tuple[str, ...],
    batch: int | None,
    frames: int | None,
    precision: Any,  # noqa: ANN401 (a Literal of BenchRequest)
    warmup: float,
    seconds: float,
    runs: int,
    threads: int | None,
    cuda_graph: bool,
    optimize: Any,  # noqa: ANN401
    tf32: bool,
    json_path: Path | None,
    markdown_path: Path | None,
) -> None:
    """Time MODEL in one runtime or several, on real clips."""
    from pmexport.bench.measure import Effort
    from pmexport.bench.report import bench_lines, bench_markdown
    from pmexport.bench.run import BenchRequest, run_bench
    from pmexport.format.files import check_target

    for path, suffix in ((json_path, ".json"), (markdown_path, ".md")):
        if path is not None:
            check_target(path, suffix)
    request = BenchRequest(
        model=model,
        checkpoint=ckpt,
        runtimes=runtimes,
        batch=batch,
        frames=frames,
        precision=precision,
        effort=Effort(warmup_s=warmup, measure_s=seconds, runs=runs),
        threads=threads,
        cuda_graph=cuda_graph,
        optimize=optimize,
        tf32=tf32,
    )
    with _run_counter(runs) as progress:
        report = run_bench(request, progress)
    click.echo("\n".join(bench_lines(report)))
    if json_path is not None:
        _write(json_path, json.dumps(report.to_dict(), indent=2) + "\n")
    if markdown_path is not None:
        _write(markdown_path, bench_markdown(report))


@cli.command()
@click.argument("file", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(file: Path, as_json: bool) -> None:
    """Show what is in an exported FILE: sizes, operators, precision, origin."""
    from pmexport.format.facts import inspect_onnx

    if file.suffix.lower() == ".engine":
        from pmexport.trt.report import inspect_text

        click.echo(inspect_text(file, as_json=as_json))
        return
    found = inspect_onnx(file)
    click.echo(json.dumps(found, indent=2) if as_json else _plain(found))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Show what this machine has and lacks, and try the operators."""
    from pmexport.doctor.diagnose import diagnose, doctor_lines

    diagnosis = diagnose()
    text = json.dumps(diagnosis.to_dict(), indent=2) if as_json else "\n".join(
        doctor_lines(diagnosis)
    )  # fmt: skip
    click.echo(text)
    if not diagnosis.ok:
        sys.exit(CHECK_FAILED)


def _named(choice: str) -> str | None:
    return None if choice == "auto" else choice


def _check(request: CheckRequest, per_joint: bool = False, json_path: Path | None = None) -> bool:
    from pmexport.check.report import check_lines
    from pmexport.check.run import run_check

    report: CheckReport = run_check(request, _progress)
    click.echo("\n".join(check_lines(report, per_joint=per_joint)))
    if json_path is not None:
        _write(json_path, json.dumps(report.to_dict(), indent=2) + "\n")
    return report.passed


def _write(path: Path, text: str) -> None:
    from posemamba.files.output import replacing

    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="replace")  # it may name any file


def _progress(runs: list[Any], side: str) -> Any:  # noqa: ANN401
    """A bar on an interactive terminal, nothing elsewhere."""
    from tqdm import tqdm

    return tqdm(runs, desc=side, unit="run", leave=False, disable=None)


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


def _plain(values: Any, indent: str = "") -> str:  # noqa: ANN401
    """Nested dicts as indented ``name: value`` lines, small ones on one line."""
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            short = ", ".join(f"{key} {_scalar(inner)}" for key, inner in value.items())
            if any(isinstance(inner, dict) for inner in value.values()) or len(short) > 80:
                lines += [f"{indent}{name}:", _plain(value, indent + "  ")]
            else:
                lines.append(f"{indent}{name}: {short or '-'}")
        else:
            lines.append(f"{indent}{name}: {_scalar(value)}")
    return "\n".join(lines)


def _scalar(value: Any) -> str:  # noqa: ANN401
    return value if isinstance(value, str) else json.dumps(value)
