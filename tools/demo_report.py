"""A trained checkpoint against what it must beat, on held-out data; then its model card.

    python tools/demo_report.py --ckpt demo_S.safetensors --train train.npz \\
        --val val_motions.npz --val val_cameras.npz --val val_both.npz --real pose2sim.npz \\
        --beside before=posemamba/assets/demo_S.safetensors --check fp16=check.json \\
        --log run/log.csv --training facts.json --out cards/demo_S

(``facts.json``: what the log does not tell, such as ``{"hardware": "one H100", "seed": 0}``;
``check.json``: of ``pmexport check --json``)
writes ``report.json``, ``curves.svg`` and ``MODEL_CARD.md``; the card's numbers come from the JSON
alone, and ``--card-only`` writes it again from there, with what ``--check`` names added: drift
measured on another machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from demo_card import SCHEMA, render

from posemamba.cli.tool import BAD_REQUEST, describe, fail
from posemamba.errors import InputError
from posemamba.files.output import replacing

if TYPE_CHECKING:
    from posemamba.checkpoint.read import Checkpoint
    from posemamba.data.clip_set import ClipSet
    from posemamba.pose.lift import Lift

WINDOW = 27
REPORT, CARD, CURVES = "report.json", "MODEL_CARD.md", "curves.svg"
_path = click.Path(path_type=Path)


@dataclass(frozen=True)
class Request:
    """What a report is made of.

    Attributes:
        train: clip set that the baselines are fitted on.
        vals, reals: held-out clip sets; real ones count for their P-MPJPE alone.
        log, training: CSV of the run, and JSON of what it does not tell.
        beside: further checkpoints, by their name in the tables.
        checks: precision and report of ``pmexport check``; several of one precision are of several
            runtimes, and of one runtime the last counts.
    """

    ckpt: Path
    train: Path
    vals: tuple[Path, ...]
    reals: tuple[Path, ...] = ()
    log: Path | None = None
    training: Path | None = None
    beside: Mapping[str, Path] = field(default_factory=dict)
    checks: Sequence[tuple[str, Path]] = ()
    device: str = "cpu"


def methods(checkpoint: Checkpoint, train: ClipSet, request: Request) -> dict[str, Lift]:
    """What is compared, by its name in the tables."""
    from demo_baselines import constant_pose, fit_linear

    from posemamba.checkpoint.read import load_checkpoint
    from posemamba.checkpoint.untrained import untrained_network
    from posemamba.model.device import pick_device
    from posemamba.model.lift import as_lift

    device = pick_device(request.device)
    networks = {
        "trained": checkpoint.build(),
        **{name: load_checkpoint(path) for name, path in request.beside.items()},
        "untrained": untrained_network(checkpoint.config, seed=0),
    }
    return {
        **{name: as_lift(network.to(device)) for name, network in networks.items()},
        f"linear, {WINDOW} frames": fit_linear(train, window=WINDOW),
        "linear, one frame": fit_linear(train),
        "mean pose": constant_pose(train),
    }


def measure(
    lifts: dict[str, Lift], sets: dict[str, ClipSet]
) -> dict[str, dict[str, dict[str, float]]]:
    """Method -> set -> metric -> mm."""
    from tqdm import tqdm

    from posemamba.evaluation.clip_sets import clip_errors

    pairs = [(method, name) for method in lifts for name in sets]
    results: dict[str, dict[str, dict[str, float]]] = {method: {} for method in lifts}
    for method, name in tqdm(pairs, desc="measure", disable=not sys.stderr.isatty()):
        results[method][name] = clip_errors(lifts[method], sets[name])
    return results


def describe_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    """Name, size and content of the file."""
    from posemamba.model.counts import true_parameters

    config = checkpoint.config
    return {
        "file": checkpoint.path.name,
        "bytes": checkpoint.path.stat().st_size,
        "sha256": checkpoint.sha256,
        "variant": config.variant,
        "depth": config.depth,
        "d_model": config.d_model,
        "frames": config.frames,
        "scan_order": config.scan_order,
        "parameters": true_parameters(config),
    }


def describe_set(path: Path, clips: ClipSet) -> dict[str, Any]:
    """Name, size and content of a clip set."""
    count, frames = clips.keypoints_2d.shape[:2]
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "file": path.name,
        "sha256": sha256,
        "clips": count,
        "frames": frames,
        "origin": clips.origin,
    }


def read_json(path: Path) -> dict[str, Any]:
    """A JSON mapping, or an :class:`InputError` that names the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a JSON mapping")
    return content


def make_report(request: Request) -> dict[str, Any]:
    """Everything the card says in numbers."""
    import torch

    from posemamba.checkpoint.read import read_checkpoint
    from posemamba.data.clip_set import load_clip_set

    log, training = request.log, request.training
    on_gpu = request.device.startswith("cuda")
    facts = (logged_facts(log) if log else {}) | (read_json(training) if training else {})
    checkpoint = read_checkpoint(request.ckpt)
    precision = read_checks(request.checks, checkpoint.sha256)
    files = {path.stem: path for path in (request.train, *request.vals)}
    sets = {name: load_clip_set(path) for name, path in files.items()}
    lifts = methods(checkpoint, sets[request.train.stem], request)
    held_out = {path.stem: sets[path.stem] for path in request.vals}
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "model": describe_checkpoint(checkpoint),
        "training": facts,
        "sets": {name: describe_set(files[name], clips) for name, clips in sets.items()},
        "results": measure(lifts, held_out),
        "environment": {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name() if on_gpu else "cpu",
            "machine": platform.machine(),
            "cpus": str(os.cpu_count()),
        },
    }
    if precision:
        report["precision"] = precision
    if request.reals:
        real_sets = {path.stem: load_clip_set(path) for path in request.reals}
        report["sets"] |= {
            path.stem: describe_set(path, real_sets[path.stem]) for path in request.reals
        }
        figures = measure(lifts, real_sets)
        report["real"] = {
            "names": list(real_sets),
            "p_mpjpe_mm": {
                method: {name: errors["p_mpjpe_mm"] for name, errors in by_set.items()}
                for method, by_set in figures.items()
            },
        }
    return report


def read_checks(
    checks: Sequence[tuple[str, Path]], sha256: str
) -> dict[str, dict[str, dict[str, float]]]:
    """Precision -> runtime -> figure, of the checkpoint with that SHA-256."""
    precision: dict[str, dict[str, dict[str, float]]] = {}
    for name, path in checks:
        precision.setdefault(name, {}).update(read_check(path, sha256))
    return precision


def read_check(path: Path, sha256: str) -> dict[str, dict[str, float]]:
    """Runtime to ``max_abs`` and ``mpjpe_mm``, of a report of ``pmexport check --json``.

    Raises:
        InputError: no such report, one without figures, or of another checkpoint.
    """
    try:
        report = read_json(path)
        found = {
            runtime: {name: figures[name] for name in ("max_abs", "mpjpe_mm")}
            for runtime, figures in report["runtimes"].items()
        }
        checked = report["checkpoint"]["sha256"]
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: not a report of 'pmexport check --json'") from None
    for runtime, figures in found.items():
        if not all(isinstance(value, float) for value in figures.values()):
            raise InputError(f"{path}: the check in {runtime} came to no figures")
    if checked != sha256:
        raise InputError(f"{path}: is of the checkpoint with SHA-256 {checked}, not {sha256}")
    return found


def named_paths(values: tuple[str, ...], option: str) -> list[tuple[str, Path]]:
    """``NAME=PATH`` each."""
    parts = [value.partition("=") for value in values]
    if wrong := [value for value, part in zip(values, parts, strict=True) if not part[2]]:
        raise InputError(f"{option} '{wrong[0]}': give NAME=PATH")
    return [(name, Path(path)) for name, _, path in parts]


def logged_facts(log: Path) -> dict[str, Any]:
    """What the last row of a training log tells."""
    from demo_curves import read_log

    last = {name: values[-1] for name, values in read_log(log).items()}
    facts: dict[str, Any] = {}
    if last:
        facts["steps"] = int(max(step for step, _ in last.values()))
    if "epoch" in last:
        facts["epochs"] = last["epoch"][1]
    if "seconds" in last:
        facts["minutes"] = round(last["seconds"][1] / 60.0, 1)
    return facts


def write_curves(log: Path, path: Path) -> None:
    """Loss and validation error over the steps."""
    from demo_curves import draw_curves, read_log

    columns = read_log(log)
    errors = [name for name in columns if name.endswith("_mm")]
    losses = [name for name in columns if name.startswith("loss")]
    if not losses and not errors:
        raise InputError(f"{log}: no column that begins with loss or ends with _mm")
    draw_curves(columns, [("loss", losses), ("validation error, mm", errors)], path)


def write_card(request: Request, out: Path) -> None:
    """Measure, and write the report, the curves and the card into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    report = make_report(request)
    if request.log is not None:
        write_curves(request.log, out / CURVES)
        report["curves"] = CURVES
    write_text(out / REPORT, json.dumps(report, indent=1) + "\n")
    write_text(out / CARD, render(report))


def write_again(out: Path, checks: Sequence[tuple[str, Path]]) -> None:
    """The card from the folder's report, after ``checks`` of its checkpoint were added to that."""
    report = read_json(out / REPORT)
    if checks:
        try:
            sha256, precision = report["model"]["sha256"], report.setdefault("precision", {})
            for name, found in read_checks(checks, sha256).items():
                precision[name] = precision.get(name, {}) | found
        except (KeyError, TypeError, AttributeError):
            raise InputError(f"{out / REPORT}: not a report of this tool") from None
    card = render(report)
    if checks:
        write_text(out / REPORT, json.dumps(report, indent=1) + "\n")
    write_text(out / CARD, card)


def write_text(path: Path, text: str) -> None:
    """Whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@click.command()
@click.option("--ckpt", type=_path, help="The trained checkpoint.")
@click.option("--train", type=_path, help="Clip set that the baselines are fitted on.")
@click.option("--val", "vals", type=_path, multiple=True, help="Held-out clip set; repeatable.")
@click.option("--real", "reals", type=_path, multiple=True,
              help="Clip set of a real person, for P-MPJPE only; repeatable.")  # fmt: skip
@click.option("--log", type=_path, help="CSV log of the training run.")
@click.option("--training", type=_path, help="JSON of what else the card says on training.")
@click.option("--beside", multiple=True, help="NAME=CKPT to measure as well; repeatable.")
@click.option("--check", "checks", multiple=True,
              help="PRECISION=JSON of 'pmexport check --json'; repeatable.")  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="Where networks run.")
@click.option("--out", required=True, type=_path, help="Folder to write into.")
@click.option("--card-only", is_flag=True,
              help="Write the card again from the folder's report and each --check.")  # fmt: skip
def main(
    ckpt: Path | None,
    train: Path | None,
    vals: tuple[Path, ...],
    reals: tuple[Path, ...],
    log: Path | None,
    training: Path | None,
    beside: tuple[str, ...],
    checks: tuple[str, ...],
    device: str,
    out: Path,
    card_only: bool,
) -> None:
    """Measure a checkpoint against its baselines and write its model card."""
    try:
        checked = named_paths(checks, "--check")
        if card_only:
            write_again(out, checked)
        else:
            if ckpt is None or train is None or not vals:
                raise InputError("--ckpt, --train and at least one --val are needed")
            others = dict(named_paths(beside, "--beside"))
            write_card(
                Request(ckpt, train, vals, reals, log, training, others, checked, device), out
            )
    except (InputError, OSError) as error:
        fail(describe(error), BAD_REQUEST)
    click.echo(f"Card: {out / CARD}, figures in {out / REPORT}")


if __name__ == "__main__":
    main()
