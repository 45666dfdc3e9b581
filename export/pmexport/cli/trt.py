"""``pmexport trt``: parse, call, print."""

from __future__ import annotations

import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from pmexport.cli.check import check_progress
from pmexport.cli.options import (
    KEEP,
    PATH,
    SCAN_ORDER,
    TF32,
    OnnxPath,
    kept,
    named,
    one_precision,
)
from pmexport.format.names import TENSORRT, TENSORRT_RTX
from pmexport.format.options import Fusion, Precision
from pmexport.trt.options import HARDWARE_LEVELS, Options
from posemamba.cli.options import WEIGHTS
from posemamba.cli.tool import CHECK_FAILED, NearChoice, OptionType, Whole
from posemamba.text import one_line, pasted

if TYPE_CHECKING:
    from pmexport.format.file import ModelFile
    from pmexport.trt.request import TrtJob, TrtRequest

_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([kmg]?)(i?)b?$")

_MAX_SIZE = 10**12
"""More than a GPU has memory; TensorRT counts bytes in 64 bits."""


class Size(OptionType[int]):
    """Bytes, such as ``512M`` or ``2GiB``; a number alone is MiB, as trtexec counts."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        match = _SIZE.match(str(value).strip().casefold())
        if match is None:
            self.fail(f"'{value}' is not a size, such as 512M or 2GiB", param, ctx)
        number, unit, binary = match.groups()
        base = 1024 if binary or not unit else 1000
        bytes_ = float(number) * base ** {"": 2, "k": 1, "m": 2, "g": 3}[unit]
        if bytes_ > _MAX_SIZE:  # such as infinity, which is no whole number
            self.fail(f"{str(value)[:40]} is too large: at most {_MAX_SIZE // 10**9}GB", param, ctx)
        size = int(bytes_)
        if size < 1:
            self.fail(f"{value} is too small", param, ctx)
        return size


@click.command()
@click.option(
    "--ckpt",
    "checkpoint",
    type=PATH,
    help="Checkpoint file or unpacked folder, exported on the way.",
)
@click.option("--onnx", type=OnnxPath(), help="Model written by 'pmexport onnx'.")
@click.option(
    "--precision", type=NearChoice(get_args(Precision)), help="As the two below, or fp16-sums."
)
@click.option("--fp32", is_flag=True, help="Everything in fp32.")
@TF32
@click.option("--fp16", is_flag=True, help="fp16; docs/guide/tensorrt.md lists what stays fp32.")
@WEIGHTS
@SCAN_ORDER
@KEEP
@click.option("--backend", type=NearChoice(("auto", TENSORRT, TENSORRT_RTX)), default="auto",
              show_default=True,
              help="TensorRT, or TensorRT-RTX, which builds without a GPU.")  # fmt: skip
@click.option("--target", "targets", default="current", show_default=True,
              metavar="sm86,sm89|current", help="GPUs the engine is for.")  # fmt: skip
@click.option("--batch", multiple=True, metavar="MIN:OPT:MAX",
              help="Clips at once; repeat for several profiles.  [default: 1:1:8]")  # fmt: skip
@click.option("--frames", multiple=True, metavar="MIN:OPT:MAX",
              help="Frames of a clip; repeat for several profiles.  [default: any, tuned for "
              "the longest]")  # fmt: skip
@click.option("--fusion", "rewrite", type=NearChoice((*get_args(Fusion), "off")), default="auto",
              show_default=True, help="How the model is rewritten for our kernels: as 'pmexport "
              "optimize', or off.")  # fmt: skip
@click.option("--workspace", type=Size(), help="Most scratch memory of a layer, MiB or as 2GiB.")
@click.option("--timing-cache", type=PATH, help="File of kernel times, read and written.")
@click.option("--optimization-level", type=Whole(0, 5), help="TensorRT's effort.")
@click.option(
    "--hardware-compat", type=NearChoice(tuple(HARDWARE_LEVELS)), help="Run on more GPUs, slower."
)
@click.option("--version-compat", is_flag=True, help="Run in later versions of TensorRT.")
@click.option("--strip-weights", is_flag=True, help="Leave weights out, to be refitted.")
@click.option("-o", "--output", type=PATH, help="Engine file  [default: as C.fp16.engine, here]")
@click.option("--cache", type=PATH, help="Folder of built engines  [default: the user's cache]")
@click.option("--cache-limit", type=Size(), default="4GB", show_default=True,
              help="Least recently used engines beyond this go.")  # fmt: skip
@click.option("--no-cache", is_flag=True, help="Build, and keep nothing.")
@click.option("--no-check", is_flag=True, help="Do not compare the result with PyTorch.")
@click.option("--dry-run", is_flag=True, help="Print the trtexec line that builds the same.")
def trt(
    precision: Precision | None,
    fp32: bool,
    fp16: bool,
    scan_order: str,
    keep: Path | None,
    cache: Path | None,
    no_cache: bool,
    no_check: bool,
    dry_run: bool,
    **asked: Any,
) -> None:
    """Build a TensorRT engine from a checkpoint or an ONNX model.

    The engine is a plain plan; what is known of it lies beside it as JSON. Exit code 1: the
    precision asked for was not got, or the poses are not the checkpoint's.
    """
    from tempfile import TemporaryDirectory

    from pmexport.trt.cache import default_folder
    from pmexport.trt.request import TrtRequest

    chosen = one_precision(precision, fp32, fp16)
    if cache is not None and no_cache:
        raise click.UsageError("--cache and --no-cache are both given: choose one")
    if asked["checkpoint"] is None and asked["onnx"] is None:
        told = asked["weights"] is not None or named(scan_order) is not None or keep is not None
        asked |= _found(chosen, exports=not told, say=not dry_run)
    options = Options(**{field.name: asked.pop(field.name) for field in fields(Options)})
    request = TrtRequest(
        precision=chosen,
        options=options,
        scan_order=named(scan_order),
        keep_file=keep,
        keep=kept(keep),
        cache=None if no_cache else cache or default_folder(),
        **asked,
    )
    own = _own_network(request)
    if own is not None:
        _build_own(request, own, dry_run)
        return
    with TemporaryDirectory(prefix="pmexport-") as scratch:
        if dry_run:
            click.echo("\n".join(_dry_run(request, Path(scratch))))
            return
        passed = _build(request, Path(scratch), check=not no_check)
    if not passed:
        sys.exit(CHECK_FAILED)


def _found(precision: Precision | None, *, exports: bool, say: bool) -> dict[str, Path | None]:
    """What is built from where neither ``--ckpt`` nor ``--onnx`` is given."""
    from pmexport.trt.find import find_origin

    checkpoint, onnx = find_origin(Path(), precision, exports=exports)
    option, path = ("--onnx", onnx) if checkpoint is None else ("--ckpt", checkpoint)
    if say:  # a dry run prints nothing but commands, and they name it
        click.echo(f"Taking {option} {path}, the one in this folder")
    return {"checkpoint": checkpoint, "onnx": onnx}


def _own_network(request: TrtRequest) -> ModelFile | None:
    """The ONNX model, where 'pmexport export-module' wrote it."""
    from pmexport.format.file import open_model

    if request.onnx is None or request.checkpoint is not None:
        return None
    model = open_model(request.onnx)
    return None if model.module is None else model


def _build_own(request: TrtRequest, source: ModelFile, dry_run: bool) -> None:
    from pmexport.trt.module_job import build_module_engine
    from pmexport.trt.progress import PhaseBar

    if dry_run:
        raise click.UsageError("--dry-run is for PoseMamba models: leave it out")
    with PhaseBar() as bar:
        lines = build_module_engine(request, source, bar)
    click.echo("\n".join(lines))


def _dry_run(request: TrtRequest, scratch: Path) -> list[str]:
    from pmexport.trt.request import plan_commands

    return plan_commands(request, scratch)


def _build(request: TrtRequest, scratch: Path, *, check: bool) -> bool:
    """Build, print what came of it, and hold it against PyTorch; whether all is as asked."""
    from pmexport.trt.job import Watch, run
    from pmexport.trt.parity import check_built
    from pmexport.trt.progress import PhaseBar
    from pmexport.trt.report import engine_lines
    from pmexport.trt.request import prepare
    from pmexport.trt.trtexec import load_line

    job = prepare(request, scratch)
    click.echo("\n".join(_title(job)))
    with PhaseBar() as bar:
        watch = Watch(
            stage=lambda name, seconds: click.echo(f"  {name}: {seconds:.1f} s"),
            note=lambda text: click.echo(f"  {text}"),
            warn=lambda text: click.echo(f"Warning: {one_line(text)}", err=True),
            event=bar,
        )
        report = run(job, watch)
    lines = engine_lines(report.sidecar)
    if not report.cached:
        lines.append(
            f"TensorRT: {report.seconds['engine']:.1f} s, {report.cpu_seconds:.1f} s of CPU time"
        )
    click.echo("\n".join(lines))
    passed = report.passed
    if check:
        parity = check_built(job, report.graph, check_progress)
        click.echo("\n".join(parity.lines()))
        passed = passed and parity.passed
    path = pasted(report.path)
    lines = [
        "Next:",
        f"  pmexport inspect {path}",
        f"  {load_line(job.backend, report.path, str(job.plugin))}",
    ]
    click.echo("\n".join(lines))
    return passed


def _title(job: TrtJob) -> list[str]:
    from pmexport.trt.backends import library_folder, unversioned_links

    lines = []
    if job.export is not None:
        lines = [job.export.title, *job.export.notes(job.output.with_suffix(".onnx"))]
    lines.append(
        f"TensorRT: {job.backend.name} {job.probed.version} for {', '.join(job.targets)}, "
        f"{job.precision}, plugin {job.plugin}"
    )
    folder = library_folder(job.backend)
    links = unversioned_links(folder) if folder is not None else {}
    if links:
        lines.append(
            f"  its package lacks {', '.join(links)}: links in a temporary folder, on the library "
            "path of the building process alone, stand in; site-packages is not touched"
        )
    return lines
