"""The chain on real keypoints: checkpoint, ONNX, ONNX Runtime, parity table, picture.

``make demo`` runs this. Every step is a command of the two tools, printed before it runs, so that
it can be repeated by hand. Weights come from the first argument or ``$POSEMAMBA_CKPT``; without
either from the bundled demonstration checkpoint (``reports/demo_S/MODEL_CARD.md``).
"""

from __future__ import annotations

import shlex
import statistics
import sys
import time
from pathlib import Path

import click

from posemamba.cli.tool import CHECK_FAILED, SUCCESS

TIMED_RUNS = 5


def run(tool: click.Group, name: str, *args: str) -> bool:
    """Show a command and run it in this process; False if its check failed.

    Any other failure ends the demo: the tool has said why.
    """
    click.secho(f"\n$ {shlex.join([name, *args])}", bold=True)
    try:
        tool.main(list(args), prog_name=name)
    except SystemExit as done:
        if done.code not in (SUCCESS, CHECK_FAILED):
            raise
        return done.code == SUCCESS
    return True


def median_ms(model: Path, clip_2d: object) -> float:
    """Median time of one clip in ONNX Runtime, after one run to warm up."""
    from pmexport.runtimes.ort_cpu import OrtCpu

    lift = OrtCpu().load(model)
    lift(clip_2d)  # type: ignore[arg-type]
    times = []
    for _ in range(TIMED_RUNS):
        start = time.perf_counter()
        lift(clip_2d)  # type: ignore[arg-type]
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


@click.command()
@click.argument("ckpt", required=False, envvar="POSEMAMBA_CKPT", type=click.Path(path_type=Path))
@click.option("--out", default="out", show_default=True, type=click.Path(path_type=Path))
def demo(ckpt: Path | None, out: Path) -> None:
    """Export CKPT, run it on real clips and draw the result into a folder."""
    from pmexport.check.cases import bounce
    from pmexport.cli.main import cli as pmexport
    from pmexport.runtimes.ort_cpu import OrtCpu
    from posemamba.checkpoint.read import read_checkpoint
    from posemamba.draw.skeleton import draw_comparison
    from posemamba.pose.clips import bundled_clips

    out.mkdir(parents=True, exist_ok=True)
    ckpt = ckpt or Path("demo")
    models = {precision: out / f"demo.{precision}.onnx" for precision in ("fp32", "fp16")}
    passed = run(pmexport, "pmexport", "onnx", "--ckpt", str(ckpt), "-o", str(models["fp32"]))
    half = ("--ckpt", str(ckpt), "--precision", "fp16", "--no-check", "-o", str(models["fp16"]))
    run(pmexport, "pmexport", "onnx", *half)
    check = ("check", str(models["fp16"]), "--ckpt", str(ckpt))
    passed = run(pmexport, "pmexport", *check) and passed

    name, clip = next(iter(bundled_clips().items()))
    frames = read_checkpoint(ckpt).config.frames
    batch = bounce(clip, frames)[None]  # (1, frames, 17, 2)
    click.secho(f"\nONNX Runtime CPU, one clip of {frames} frames, median of {TIMED_RUNS}:",
                bold=True)  # fmt: skip
    for precision, model in models.items():
        milliseconds = median_ms(model, batch)
        click.echo(f"  {precision}: {milliseconds:.0f} ms, {1e3 * frames / milliseconds:.0f} "
                   "frames a second")  # fmt: skip
    poses_3d = OrtCpu().load(models["fp32"])(batch)[0]  # (frames, 17, 3)
    picture = out / "demo.png"
    shown = min(len(clip), frames)
    draw_comparison(batch[0, :shown], poses_3d[:shown], picture, f"{name}, {ckpt.name}")
    click.echo(f"Picture: {picture}")
    if not passed:
        sys.exit(CHECK_FAILED)


if __name__ == "__main__":
    sys.exit(demo())
