"""``posemamba table`` and ``posemamba ablate``: parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from posemamba.cli.options import COUNTED_FRAMES, FRAMES, PATH, SCAN_ORDER, SIZE, WEIGHTS
from posemamba.cli.tool import Decimal, NearChoice, Renamed, Whole
from posemamba.config import MAX_D_MODEL, MAX_DEPTH, VARIANTS
from posemamba.text import json_text, plural

if TYPE_CHECKING:
    from posemamba.ablation.table import AblationReport


@click.command("table")
@COUNTED_FRAMES
@click.option("--ckpt", "ckpts", type=PATH, multiple=True,
              help="Checkpoint to measure; repeatable.")  # fmt: skip
@click.option("--h36m", type=PATH, help="h36m_sh_conf_cam_source_final.pkl")
@click.option("--mpi", type=PATH, help="data_test_3dhp.npz")
@WEIGHTS
@SCAN_ORDER
@click.option("--markdown", is_flag=True, help="Print Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tables(frames: int, ckpts: tuple[Path, ...], h36m: Path | None, mpi: Path | None,
           weights: str | None, scan_order: str | None, markdown: bool,
           as_json: bool) -> None:  # fmt: skip
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

        measured = [
            measure(ckpt, h36m=h36m, mpi=mpi, scan_order=scan_order, weights=weights)
            for ckpt in ckpts
        ]
    found = PaperTables(frames, tuple(count_table(frames)), tuple(measured))
    if as_json:
        click.echo(json_text(found.to_dict(), indent=1))
    else:
        click.echo(found.markdown() if markdown else found.text())


@click.command()
@click.option("--data", type=PATH, multiple=True, required=True,
              help="Clip set to train on; repeatable.")  # fmt: skip
@click.option("--val", "vals", type=PATH, multiple=True, required=True,
              help="Held-out clip set to measure on; repeatable.")  # fmt: skip
@click.option("--steps", type=Whole(min=1), required=True,
              help="Optimizer steps of every run.")  # fmt: skip
@click.option("--seeds", type=Whole(1, 100), default=3, show_default=True,
              help="Runs of every row.")  # fmt: skip
@click.option("--variant", type=SIZE,
              help="Size of the paper, instead of --depth and --d-model.")  # fmt: skip
@click.option("--depth", type=Whole(1, MAX_DEPTH), help="Pairs of blocks.  [default: 4]")
@click.option("--d-model", type=Whole(1, MAX_D_MODEL), help="Channels.  [default: 64]")
@click.option("--frames", type=FRAMES, default=81, show_default=True,
              help="Frames per clip.")  # fmt: skip
@click.option("--batch", type=Whole(min=1), default=16, show_default=True,
              help="Clips per step.")  # fmt: skip
@click.option("--learning-rate", type=Decimal(min=0, min_open=True), default=5e-4,
              show_default=True, help="At the start of a run.")  # fmt: skip
@click.option("--jobs", type=Whole(1, 64), default=1, show_default=True,
              help="Runs at a time.")  # fmt: skip
@click.option("--device", type=NearChoice(("cpu", "cuda")), default="cpu", show_default=True)
@click.option("--scan", type=NearChoice(("fused", "chunked", "mamba-ssm")), default="fused",
              show_default=True, help="Differentiable scan.")  # fmt: skip
@click.option("--cuda-graph", is_flag=True, help="Capture the training step in a CUDA graph.")
@click.option("-o", "--output", "out", cls=Renamed, former=("--out",), required=True, type=PATH,
              help="Folder; resumed if it exists.")  # fmt: skip
def ablate(data: tuple[Path, ...], vals: tuple[Path, ...], steps: int,
           seeds: int, variant: str | None, depth: int | None,
           d_model: int | None, frames: int, batch: int, learning_rate: float, jobs: int,
           device: str, scan: str, cuda_graph: bool, out: Path) -> None:  # fmt: skip
    """The paper's ablation of scan orders and loss terms, equal steps, several seeds."""
    from tqdm import tqdm

    from posemamba.ablation.runner import run, write_report
    from posemamba.ablation.settings import Settings

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
        steps=steps,
        seeds=seeds,
        depth=depth or 4,
        d_model=d_model or 64,
        frames=frames,
        batch=batch,
        learning_rate=learning_rate,
        device=device,
        scan=scan,
        cuda_graph=cuda_graph,
    )
    with tqdm(desc="ablate", unit="run", disable=not sys.stderr.isatty()) as bar:

        def advance(report: AblationReport) -> None:
            bar.total = report.runs_wanted
            bar.update(len(report.figures) - bar.n)
            if report.figures:  # a folder without a finished run is not made
                write_report(report, out)

        report = run(settings, out, jobs=jobs, on_report=advance)
    picture = write_report(report, out, plot=True)
    click.echo(report.markdown())
    saved = ".md and .svg" if picture else ".md (a picture needs pip install '.[plot]')"
    click.echo(
        f"Ablation: {plural(len(report.figures), 'run')}, saved as {out / 'ablation'}.json, {saved}"
    )
