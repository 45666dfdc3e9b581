"""``posemamba table``, ``ablate`` and ``plot``: parse, call, print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from posemamba.cli.tool import NearChoice, Tool

if TYPE_CHECKING:
    from posemamba.ablation.table import AblationReport

MAX_FRAMES, MAX_DEPTH, MAX_D_MODEL = 243, 100, 4096
SCAN_ORDERS = ("auto", "global-local", "bidirectional", "fs-ft", "fs-bt", "bs-ft", "bs-bt")

_file = click.Path(path_type=Path)
_ckpt = click.option("--ckpt", required=True, type=_file, help="Checkpoint, as for pmexport onnx.")
_order = click.option("--scan-order", type=NearChoice(SCAN_ORDERS), default="auto",
                      show_default=True, help="Where the checkpoint does not tell.")  # fmt: skip
_inputs = click.option("--inputs", type=_file,
                       help="Clip set or .npz of 2D clips; bundled ones if absent.")  # fmt: skip
_clip = click.option("--clip", metavar="NAME", help="Clip of the file; the first if absent.")
_output = click.option("-o", "--output", required=True, type=_file,
                       help="Picture to write; its ending is its format.")  # fmt: skip


def register(cli: click.Group) -> None:
    """Add this module's commands to the tool."""
    for command in (table, ablate, plot):
        cli.add_command(command)


@click.command()
@click.option("--frames", type=click.IntRange(1, MAX_FRAMES), default=MAX_FRAMES,
              show_default=True, help="Frames of the clip that the GMAC are of.")  # fmt: skip
@click.option("--ckpt", "ckpts", type=_file, multiple=True,
              help="Checkpoint to measure; repeatable.")  # fmt: skip
@click.option("--h36m", type=_file, help="h36m_sh_conf_cam_source_final.pkl")
@click.option("--mpi", type=_file, help="data_test_3dhp.npz")
@click.option("--scan-order", type=NearChoice(SCAN_ORDERS), default="auto",
              show_default=True, help="Where the checkpoint does not tell.")  # fmt: skip
@click.option("--markdown", is_flag=True, help="Print Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def table(frames: int, ckpts: tuple[Path, ...], h36m: Path | None, mpi: Path | None,
          scan_order: str, markdown: bool, as_json: bool) -> None:  # fmt: skip
    """The paper's tables beside what this code computes; errors where data is given."""
    from posemamba.model.counts import count_table
    from posemamba.paper.tables import PaperTables

    if markdown and as_json:
        raise click.UsageError("--markdown and --json exclude each other: choose one")
    if bool(ckpts) != bool(h36m or mpi):
        raise click.UsageError("errors need both: --ckpt, and --h36m or --mpi")
    measured = []
    if ckpts:
        from posemamba.paper.measure import measure

        order = _given(scan_order)
        measured = [measure(ckpt, h36m=h36m, mpi=mpi, scan_order=order) for ckpt in ckpts]
    tables = PaperTables(frames, tuple(count_table(frames)), tuple(measured))
    if as_json:
        click.echo(json.dumps(tables.to_dict(), indent=1))
    else:
        click.echo(tables.markdown() if markdown else tables.text())


@click.command()
@click.option("--data", type=_file, multiple=True, required=True,
              help="Clip set to train on; repeatable.")  # fmt: skip
@click.option("--val", "vals", type=_file, multiple=True, required=True,
              help="Held-out clip set to measure on; repeatable.")  # fmt: skip
@click.option("--steps", type=click.IntRange(min=1), help="Optimizer steps of every run.")
@click.option("--minutes", type=click.FloatRange(min=0.1),
              help="Instead of --steps: as many as fit all runs into so long.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True,
              help="Runs of every row.")  # fmt: skip
@click.option("--variant", type=NearChoice(("S", "B", "L", "X")),
              help="Size of the paper, instead of --depth and --d-model.")  # fmt: skip
@click.option("--depth", type=click.IntRange(1, MAX_DEPTH), help="Pairs of blocks.  [default: 4]")
@click.option("--d-model", type=click.IntRange(1, MAX_D_MODEL), help="Channels.  [default: 64]")
@click.option("--frames", type=click.IntRange(1, MAX_FRAMES), default=81, show_default=True,
              help="Frames of a clip.")  # fmt: skip
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True,
              help="Clips a step.")  # fmt: skip
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), default=5e-4,
              show_default=True, help="At the start of a run.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True,
              help="Runs at a time.")  # fmt: skip
@click.option("--device", type=NearChoice(("cpu", "cuda")), default="cpu", show_default=True)
@click.option("--scan", type=NearChoice(("chunked", "mamba-ssm")),
              help="Differentiable scan.  [default: mamba-ssm on cuda, else chunked]")  # fmt: skip
@click.option("--cuda-graph", is_flag=True, help="Capture the training step in a CUDA graph.")
@click.option("-o", "--out", required=True, type=_file, help="Folder; resumed if it exists.")
def ablate(data: tuple[Path, ...], vals: tuple[Path, ...], steps: int | None,
           minutes: float | None, seeds: int, variant: str | None, depth: int | None,
           d_model: int | None, frames: int, batch: int, learning_rate: float, jobs: int,
           device: str, scan: str | None, cuda_graph: bool, out: Path) -> None:  # fmt: skip
    """The paper's ablation of scan orders and loss terms, equal steps, several seeds."""
    from tqdm import tqdm

    from posemamba.ablation.runner import Settings, run, write_report
    from posemamba.config import VARIANTS

    if (steps is None) == (minutes is None):
        raise click.UsageError("give one of --steps and --minutes")
    if variant is not None and (depth is not None or d_model is not None):
        raise click.UsageError("--variant fixes --depth and --d-model: leave them out")
    if variant is not None:
        depth, d_model = VARIANTS[variant]
    names = [path.stem for path in vals]
    if len(set(names)) < len(names):
        raise click.UsageError("two --val files have the same name: rename one")
    settings = Settings(
        data=tuple(map(str, data)),
        val={name: str(path) for name, path in zip(names, vals, strict=True)},
        steps=steps or 0,
        seeds=seeds,
        depth=depth or 4,
        d_model=d_model or 64,
        frames=frames,
        batch=batch,
        learning_rate=learning_rate,
        device=device,
        scan=scan or ("mamba-ssm" if device == "cuda" else "chunked"),
        cuda_graph=cuda_graph,
    )
    with tqdm(desc="ablate", unit="run", disable=not sys.stderr.isatty()) as bar:

        def advance(report: AblationReport) -> None:
            bar.total = report.runs_wanted
            bar.update(len(report.figures) - bar.n)
            if report.figures:  # a folder without a finished run is not made
                write_report(report, out)

        report = run(settings, out, jobs=jobs, minutes=minutes, on_report=advance)
    picture = write_report(report, out, plot=True)
    click.echo(report.markdown())
    saved = ".md and .svg" if picture else ".md (a picture needs pip install 'pmexport[plot]')"
    click.echo(f"Ablation: {len(report.figures)} runs, saved as {out / 'ablation'}.json, {saved}")


@click.group(cls=Tool)
def plot() -> None:
    """Pictures of poses and of what a block's scan listens to (needs pmexport[plot])."""


@plot.command()
@_ckpt
@_order
@_inputs
@_clip
@click.option("--frames", metavar="LIST",
              help="Frames to draw, such as 0,40,80; five spread evenly if absent.")  # fmt: skip
@click.option("--fps", type=click.IntRange(1, 50), default=25, show_default=True,
              help="Frames a second of an animation.")  # fmt: skip
@_output
def skeleton(ckpt: Path, scan_order: str, inputs: Path | None, clip: str | None,
             frames: str | None, fps: int, output: Path) -> None:  # fmt: skip
    """2D input, 3D output and, from a clip set, the truth: .png, .svg, or an animated .gif."""
    from posemamba.draw.plots import plot_skeleton, read_clip

    chosen = _frame_list(frames) if frames is not None else None
    drawn = read_clip(inputs, clip)
    plot_skeleton(ckpt, drawn, output, scan_order=_given(scan_order), frames=chosen, fps=fps)
    click.echo(f"Plot: {drawn.name}, saved as {output}")


@plot.command("scan-maps")
@_ckpt
@_order
@_inputs
@_clip
@click.option("--block", default="STE0", show_default=True, metavar="STEi|TTEi",
              help="Block of the network.")  # fmt: skip
@_output
def scan_map(ckpt: Path, scan_order: str, inputs: Path | None, clip: str | None, block: str,
             output: Path) -> None:  # fmt: skip
    """What a block's scan passes from joint to joint and from frame to frame."""
    from posemamba.draw.plots import plot_scan_maps, read_clip

    stack, index = block[:3].upper(), block[3:]
    if stack not in ("STE", "TTE") or not index.isdecimal() or len(index) > 4:
        raise click.BadParameter(
            f"'{block}' names no block: write STE0 or TTE3", param_hint="--block"
        )
    drawn = read_clip(inputs, clip)
    plot_scan_maps(ckpt, drawn, output, stack=cast("Literal['STE', 'TTE']", stack),
                   index=int(index), scan_order=_given(scan_order))  # fmt: skip
    click.echo(f"Plot: scan maps of {stack} {index} for {drawn.name}, saved as {output}")


def _given(scan_order: str) -> str | None:
    return None if scan_order == "auto" else scan_order


def _frame_list(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 7 for part in parts):
        raise click.BadParameter(f"'{text}' is no list such as 0,40,80", param_hint="--frames")
    return [int(part) for part in parts]
