"""``pmexport triton``: parse, call, print."""

from __future__ import annotations

import re
from pathlib import Path

import click

from pmexport.cli.options import PATH
from posemamba.cli.tool import Decimal, NearChoice, Whole


@click.command()
@click.argument("model", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="Model repository.")
@click.option("--name", help="The model's name there.  [default: the file's]")
@click.option("--max-batch", type=Whole(1, 4096), help="Clips joined to one batch at most."
              "  [default: the engine's, else 64]")  # fmt: skip
@click.option("--instances", type=Whole(1, 64), default=1, show_default=True,
              help="Of the model, on each GPU or on the CPU.")  # fmt: skip
@click.option("--device", type=NearChoice(("auto", "cpu", "gpu")), default="auto",
              show_default=True, help="What an ONNX model runs on.")  # fmt: skip
@click.option("--threads", type=Whole(0, 1024), default=0, show_default=True,
              help="Inside one operator on the CPU; 0: ONNX Runtime's choice.")  # fmt: skip
@click.option("--queue-delay-ms", type=Decimal(0, 10_000), default=1.0, show_default=True,
              help="That a clip waits for others.")  # fmt: skip
@click.option("--served-at", metavar="PATH",
              help="The repository as the server sees it.  [default: as here]")  # fmt: skip
def triton(
    model: Path,
    output: Path,
    name: str | None,
    max_batch: int | None,
    instances: int,
    device: str,
    threads: int,
    queue_delay_ms: float,
    served_at: str | None,
) -> None:
    """Write a model repository for the Triton Inference Server.

    MODEL is an ONNX file or a TensorRT engine; the library with its operators goes with it.
    """
    from pmexport.triton.config import Settings
    from pmexport.triton.repository import write_repository

    settings = Settings(
        name=_name_of(model) if name is None else name,
        max_batch=max_batch,
        instances=instances,
        device=device,
        threads=threads,
        queue_delay_ms=queue_delay_ms,
    )
    if served_at == "":
        raise click.UsageError("--served-at is empty: give the whole path, such as /models")
    made = write_repository(model, output, settings, served_at)
    click.echo(f"Wrote: {made.folder}")
    for note in made.notes:
        click.echo(f"  {note}")
    click.echo("No Triton server has run this here: watch its log at the first start.")
    click.echo(f"Next:\n  {made.command}")


def _name_of(model: Path) -> str:
    """The file's name, of characters that Triton takes."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", model.stem).lstrip("_.-") or "posemamba"
