"""``posemamba train`` and ``posemamba evaluate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from posemamba.cli.options import DEVICE, PATH, SIZE, WEIGHTS
from posemamba.cli.tool import NearChoice, Renamed, Whole
from posemamba.files.output import replacing
from posemamba.text import json_text, plural, table
from posemamba.training.choices import AMP_TYPES, SCHEDULES

if TYPE_CHECKING:
    from posemamba.training.run import Progress


@click.command()
@click.option("--data", "data", multiple=True, required=True, type=PATH,
              help="Clip set to train on (NPZ); repeatable.")  # fmt: skip
@click.option("--val", type=PATH, help="Clip set to validate on, each epoch and at the end.")
@click.option("-o", "--output", "out", cls=Renamed, former=("--out",), required=True, type=PATH,
              help="Folder of the run; made if missing.")  # fmt: skip
@click.option("--config", "config_file", type=PATH,
              help="YAML file, ours or the authors'; options here go first.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on where the folder's last.pth.tr stands.")
@click.option("--variant", type=SIZE, help="Size of the network.")
@click.option("--depth", type=int, help="Pairs of blocks, instead of the variant's.")
@click.option("--d-model", type=int, help="Channels, instead of the variant's.")
@click.option("--frames", type=int, help="Frames per clip.")
@click.option("--scan-order", help="Scan order of the network.")
@click.option("--init", help="Checkpoint to go on from, of any number of frames; 'demo' too.")
@click.option("--weights", "init_weights", metavar="averaged|raw|NAME",
              help="Which weights of --init, where it holds several sets.")  # fmt: skip
@click.option("--branch-scale", type=float,
              help="Of the first weights that end a residual branch; 0.1 for L.")  # fmt: skip
@click.option("--scan", type=NearChoice(("auto", "fused", "chunked", "mamba-ssm", "generic")),
              help="Differentiable scan; auto: fused, on the CPU and on CUDA.")  # fmt: skip
@click.option("--epochs", type=int, help="Passes over the clips.")
@click.option("--steps", type=int, help="At most so many optimizer steps.")
@click.option("--minutes", type=float, help="At most so much time; shapes the cosine schedule.")
@click.option("--batch", "batch_size", cls=Renamed, former=("--batch-size",), type=int,
              help="Clips per step.")  # fmt: skip
@click.option("--accumulate", type=int, help="Passes that a step is split into.")
@click.option("--learning-rate", type=float, help="Of AdamW.")
@click.option("--schedule", type=NearChoice(SCHEDULES), help="Of the rate.")
@click.option("--warmup", type=int, help="First steps over which the rate rises from 0.")
@click.option("--noise", type=float, help="Noise on keypoints, standard deviation.")
@click.option("--drop-joints", type=float, help="Share of keypoints that are lost for a while.")
@click.option("--jitter", type=float,
              help="Noise that lasts for frames, a share of the person's size.")  # fmt: skip
@click.option("--offset", type=float, help="Noise that stays for the clip, a share likewise.")
@click.option("--swap-sides", type=float, help="Share of time with legs or arms exchanged.")
@click.option("--lose-limbs", type=float, help="Share of time with half a limb lost.")
@click.option("--drop-path", type=float,
              help="Stochastic depth of the last blocks; 0 for runs of a few epochs.")  # fmt: skip
@click.option("--clip-norm", type=float, help="Largest norm of a step's gradient.")
@click.option("--ema", type=float, help="Decay of an average of the weights.")
@click.option("--amp", type=NearChoice(AMP_TYPES), help="Mixed precision.")
@click.option("--cuda-graph", is_flag=True, default=None, help="Capture the step in a CUDA graph.")
@click.option("--official-limb-gradient", is_flag=True, default=None,
              help="Drop the limb gather's gradient, as the authors' code does.")  # fmt: skip
@click.option("--val-every", type=int, help="Epochs between validations.")
@click.option("--save-every", type=int, help="Steps between checkpoints.")
@click.option("--seed", type=int, help="Of everything random.")
@DEVICE
def train(
    data: tuple[Path, ...],
    val: Path | None,
    out: Path,
    config_file: Path | None,
    resume: bool,
    device: str,
    **settings: Any,
) -> None:
    """Train a network on clip sets (see 'posemamba data').

    Several GPUs: torchrun --nproc-per-node N -m posemamba train ... --device cuda
    """
    from posemamba.data.clip_set import load_clip_set
    from posemamba.model.device import pick_device
    from posemamba.training.clip_checks import (
        check_training,
        check_validation,
        warn_of_the_same,
        warn_of_units,
    )
    from posemamba.training.config import read_train_config, train_config
    from posemamba.training.processes import join_processes
    from posemamba.training.run import Run, check_run_folder

    config = (
        train_config(**settings)
        if config_file is None
        else read_train_config(config_file, **settings)
    )
    check_run_folder(out, resume=resume)
    chosen = pick_device(device)
    sets = [load_clip_set(path) for path in data]
    for path, clips in zip(data, sets, strict=True):
        check_training(clips, config.frames, f"'{path}'")
        warn_of_units(clips, f"'{path}'")
    held_out = None if val is None else load_clip_set(val)
    if held_out is not None:
        check_validation(held_out, f"'{val}'")
        warn_of_units(held_out, f"'{val}'")
        warn_of_the_same(held_out, sets, f"'{val}'")
    processes = join_processes(chosen)
    with _progress(config.minutes, shown=processes.leads) as on_step:
        run = Run(config, sets, held_out, out, chosen, processes, on_step)
        if resume:
            run.resume()
        result = run.train()
    processes.leave()
    if processes.leads:
        error = "" if result.val_mpjpe_mm is None else f", validation {result.val_mpjpe_mm:.1f} mm"
        click.echo(
            f"Train: {plural(result.steps, 'step')} in {result.seconds:.0f} s, "
            f"loss {result.loss:.4f}{error}; saved as {result.weights}"
        )


@contextmanager
def _progress(minutes: float | None, *, shown: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, with an estimate and each validation; elsewhere warnings alone."""
    from tqdm import tqdm

    from posemamba.training.estimate import Estimate

    estimate = Estimate(minutes)
    with tqdm(unit="step", disable=None if shown else True, mininterval=0) as bar:

        def on_step(at: Progress) -> None:
            bar.total = at.steps
            bar.update(at.step - bar.n)
            if at.loss is not None:
                bar.set_postfix(loss=f"{at.loss:.4f}")
            lines = []
            if (said := estimate.step(at.step, at.steps)) is not None and not bar.disable:
                lines.append(said)
            if said is not None and shown and estimate.warning is not None:
                lines.append(f"Warning: {estimate.warning}")
            if at.val_mpjpe_mm is not None and not bar.disable:
                lines.append(f"step {at.step:,}: validation {at.val_mpjpe_mm:.1f} mm")
            for line in lines:
                bar.write(line, file=sys.stderr)

        yield on_step


@click.command()
@click.option("--ckpt", required=True, type=PATH, help="Checkpoint.")
@click.option("--data", required=True, type=PATH, help="Clip set, or the protocol's file.")
@click.option("--protocol", type=NearChoice(("clips", "h36m", "3dhp")), default="clips",
              show_default=True, help="What the file is and how errors are averaged.")  # fmt: skip
@WEIGHTS
@click.option("--scan-order", help="Scan order, where the checkpoint does not say.")
@click.option("--flip", is_flag=True, help="Average with the mirrored clip's poses.")
@click.option("--gt-2d", is_flag=True, help="h36m: ground-truth keypoints, as the authors do it.")
@click.option("--frames", type=Whole(min=1),
              help="3dhp: frames per clip.  [default: 27]")  # fmt: skip
@DEVICE
@click.option("--json", "json_path", type=PATH,
              help="Also write the figures there, ending in .json.")  # fmt: skip
def evaluate(
    ckpt: Path,
    data: Path,
    protocol: str,
    weights: str | None,
    scan_order: str | None,
    flip: bool,
    gt_2d: bool,
    frames: int | None,
    device: str,
    json_path: Path | None,
) -> None:
    """Errors of a checkpoint on clips with 3D truth, in millimetres."""
    from posemamba.checkpoint.read import load_checkpoint
    from posemamba.files.output import check_file
    from posemamba.model.device import pick_device
    from posemamba.model.lift import as_lift
    from posemamba.pose.lift import with_flip

    if gt_2d and protocol != "h36m":
        raise click.UsageError("--gt-2d is for --protocol h36m: leave it out")
    if frames is not None and protocol != "3dhp":
        raise click.UsageError("--frames is for --protocol 3dhp: leave it out")
    frames = 27 if frames is None else frames
    if json_path is not None:
        check_file(json_path, inputs=(ckpt, data))  # told before the ending
        check_file(json_path, suffix=".json")
    model = load_checkpoint(ckpt, scan_order=scan_order, weights=weights)
    model = model.to(pick_device(device))
    lift = as_lift(model)
    if protocol == "clips":
        from posemamba.data.clip_set import load_clip_set
        from posemamba.evaluation.clip_sets import detailed_errors
        from posemamba.training.clip_checks import check_validation, warn_of_units

        clips = load_clip_set(data)
        check_validation(clips, str(data))
        warn_of_units(clips, str(data))
        means, joints = detailed_errors(with_flip(lift) if flip else lift, clips)
        rows = [(name, f"{value:.2f}") for name, value in (means | joints).items()]
        figures: dict[str, Any] = {
            "protocol": "clips",
            **means,
            "mpjpe_per_joint_mm": joints,
            "flip": flip,
        }
        text = table(("", "mm"), rows)
    else:
        from tqdm import tqdm

        from posemamba.evaluation import evaluate_3dhp, evaluate_h36m

        with tqdm(unit="clip", disable=None) as bar:
            if protocol == "h36m":
                report: Any = evaluate_h36m(
                    lift, data, use_ground_truth_2d=gt_2d, flip=flip, on_progress=bar.update
                )
            else:
                report = evaluate_3dhp(lift, data, frames=frames, flip=flip, on_progress=bar.update)
        figures, text = report.to_dict(), report.table()
    click.echo(text)
    if json_path is not None:
        with replacing(json_path) as temporary:
            temporary.write_text(json_text({"schema": 1, **figures}, indent=1) + "\n")
