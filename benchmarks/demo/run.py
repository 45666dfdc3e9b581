"""On one GPU: the demonstration networks, from motions to model cards. One call, resumable.

    unzip -q holosoma_retargeting-0.1.0-py3-none-any.whl '*/demo_data/climb/*.npy' -d motion
    python -m benchmarks.demo.run --climb motion --real pose2sim-0.4.0-py3-none-any.whl \\
        --networks S,S_pybullet,streaming --minutes 7
    python -m benchmarks.demo.run --climb motion --real pose2sim-0.4.0-py3-none-any.whl \\
        --networks L_27 --minutes 7
    python -m benchmarks.demo.run --climb motion --real pose2sim-0.4.0-py3-none-any.whl \\
        --networks L --minutes 13 --this-call 8    # again without --this-call, to the end

``benchmarks/gpu_run.sh build demo`` builds the libraries first and sets the paths to them.

Each call makes what clip sets are missing, trains the networks named side by side (each on a GPU of
its own, where there are several; one that goes on from another after that), measures those that are
finished, and writes into ``--out``:

    data/               clip sets; the first demonstrations' three held-out sets are among them
    NAME/run/           of posemamba train; an unfinished one is resumed by the next call
    NAME/card/          report.json, curves.svg, MODEL_CARD.md of NAME/demo_NAME.safetensors
    back/               all that must come back, in few small files (elsewhere with ``--back``):
                        cards.tar.gz, weights up to 16 MiB whole and larger ones in pieces,
                        NAME.state.N of unfinished networks. It is written each minute of training,
                        after every card, and when the script is told to end (SIGTERM)

A later call on a bare machine goes on from ``--state``, a folder that came back: unfinished
networks are trained on, new ones go on from what is there, and finished ones get their card, which
needs no GPU (``--device cpu``).
``--minutes`` is a network's whole training and shapes its learning rate: give the same each time.
Beside other work on an H200 the clip sets took 17 s and a start 29; no card has been finished there
yet: leave all that three minutes. To bundle a network, copy its weights to posemamba/assets and its
card to reports/.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import click
import torch
from demo_report import Request, named_paths, write_card

from benchmarks.demo.back import ELSEWHERE, FACTS, check_names, finished, pack, unpack
from benchmarks.demo.networks import NETWORKS, SETTINGS, stages
from benchmarks.demo.sets import HELD_OUT, REAL, clip_count, make_sets, set_paths
from benchmarks.environment import environment
from posemamba.checkpoint.bundled import NAMES, demo_checkpoint
from posemamba.checkpoint.read import read_checkpoint
from posemamba.cli.tool import BAD_REQUEST, describe, fail
from posemamba.config import MAX_FRAMES
from posemamba.errors import InputError
from posemamba.training.run import LOG, STATE
from posemamba.training.start import interpolation_note

ROOT = Path(__file__).resolve().parents[2]
PACK_EVERY_S = 60.0


@dataclass(frozen=True)
class Call:
    """What one call is asked for; see the options."""

    climb: Path
    real: Path
    out: Path
    networks: tuple[str, ...]
    minutes: float
    this_call: float | None
    clips: int
    held_out: int
    extra: tuple[str, ...]
    device: str
    back: Path
    init: Mapping[str, Path] = field(default_factory=dict)

    def settings(self, name: str) -> dict[str, object]:
        """Options of ``posemamba train``; what is None is left out."""
        network = NETWORKS[name]
        given: dict[str, object] = {}
        if name in self.init:
            given["init"] = self.init[name]
        elif network.after is not None:
            given["init"] = finished(self.out, network.after)
        return {**SETTINGS, **network.settings, **given}

    def run(self, name: str) -> Path:
        return self.out / name / "run"

    @cached_property
    def sets(self) -> dict[str, Path]:
        return set_paths(self.out / "data")

    def check_start(self, name: str, coming: Sequence[str] = ()) -> None:
        """Refuse a network that goes on from another one which is not here.

        Args:
            coming: networks that will be trained before it.

        Raises:
            InputError: names both.
        """
        after = NETWORKS[name].after
        if after is None or name in self.init or after in coming:
            return
        if finished(self.out, after) is None and finished(self.out, name) is None:
            raise InputError(
                f"{name} goes on from {after}, which '{self.out}' does not hold finished: "
                f"train that first, or name its weights with --init {name}=CKPT"
            )


def train(call: Call) -> None:
    """The networks named, until their time or this call's is over."""
    end = None if call.this_call is None else time.monotonic() + 60.0 * call.this_call
    for names in stages(call.networks):
        if end is None or time.monotonic() < end:
            train_side_by_side(call, names, end)
        else:
            click.echo(f"{', '.join(names)}: not begun")


def train_side_by_side(call: Call, names: Sequence[str], end: float | None) -> None:
    """Networks of one stage, each in a process of its own, until ``end``.

    Raises:
        InputError: one of them failed, or what it goes on from is unfinished.
    """
    running, gpus, failed = {}, visible_gpus(), []
    try:
        for number, name in enumerate(names):
            if finished(call.out, name) is not None:
                continue
            call.check_start(name)
            call.run(name).mkdir(parents=True, exist_ok=True)
            write_facts(call, name)
            sees = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
            with (call.out / name / "train.log").open("a", encoding="utf-8") as log:
                running[name] = subprocess.Popen(
                    _command(call, name), stdout=log, stderr=log, env=os.environ | sees
                )
        for name, process in running.items():
            if (code := _wait(call, process, end)) is None:
                click.echo(f"{name}: unfinished")
            else:
                click.echo(f"{name}: {'finished' if code == 0 else 'FAILED'}")
                failed += [name] if code else []
    finally:  # what still runs goes on from its last save
        for process in running.values():
            process.kill()
            process.wait()
    if failed:
        raise InputError(f"{call.out / failed[0] / 'train.log'}: says why {failed[0]} failed")


def _wait(call: Call, process: subprocess.Popen[bytes], end: float | None) -> int | None:
    """The exit code of a training, None where it goes on after ``end``. What there is, is packed
    each minute: a machine may be taken away without a word."""
    while True:
        left = PACK_EVERY_S if end is None else min(PACK_EVERY_S, end - time.monotonic())
        try:
            return process.wait(max(0.1, left))
        except subprocess.TimeoutExpired:
            if left < PACK_EVERY_S:
                return None
            pack(call.out, call.back, call.networks)


def visible_gpus() -> list[str]:
    """The GPUs this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen:
        return chosen.split(",")
    return [str(number) for number in range(torch.cuda.device_count())]


def _command(call: Call, name: str) -> list[str]:
    folder, network = call.run(name), NETWORKS[name]
    command = [sys.executable, "-m", "posemamba", "train", "-o", str(folder)]
    command += ["--val", str(call.sets["val_motions"]), "--device", call.device]
    for clips in network.train:
        command += ["--data", str(call.sets[clips])]
    for option, value in (call.settings(name) | {"minutes": call.minutes}).items():
        command += [] if value is None else [f"--{option}", str(value)]
    return [*command, *call.extra, *(["--resume"] if (folder / STATE).exists() else [])]


def drift(call: Call, name: str, weights: Path) -> list[tuple[str, Path]]:
    """``pmexport check`` of the exports in both precisions, in every runtime that runs here.

    Runtimes on a GPU may end the whole process: then the one on the CPU is checked alone.

    Returns:
        Precision and report: first those that came from another machine.
    """
    runtimes = ["ort-cpu"]
    if call.device.startswith("cuda"):
        import onnxruntime

        runtimes.append("torch-cuda")
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            runtimes.append("ort-cuda")
    folder, reports = call.out / name, []
    for file, precision in check_names(name).items():
        if (folder / ELSEWHERE / file).exists():
            reports.append((precision, folder / ELSEWHERE / file))
        report = folder / file
        model = report.with_suffix(".onnx")
        command = [sys.executable, "-m", "pmexport"]
        of = ["--ckpt", str(weights)]
        export = [*command, "onnx", *of, "-o", str(model), "--precision", precision, "--no-check"]
        check = [*command, "check", str(model), *of, "--json", str(report)]
        report.unlink(missing_ok=True)  # of an earlier call
        with (folder / "export.log").open("a", encoding="utf-8") as log:
            subprocess.run(export, stdout=log, stderr=log, check=True)
            for tried in dict.fromkeys((tuple(runtimes), ("ort-cpu",))):
                of_runtimes = [word for runtime in tried for word in ("--runtime", runtime)]
                code = subprocess.run([*check, *of_runtimes], stdout=log, stderr=log).returncode
                if report.exists():
                    break
        if not report.exists():
            raise InputError(f"{log.name}: says why the check of {model.name} stopped ({code})")
        reports.append((precision, report))
    return reports


def measure(call: Call, name: str) -> None:
    """A finished network's card: itself, its likes, the bundled one before it, and baselines."""
    weights = finished(call.out, name)
    if weights is None:
        return
    siblings = {title: finished(call.out, of) for title, of in NETWORKS[name].beside.items()}
    beside = {title: path for title, path in siblings.items() if path is not None}
    own = name.split("_")[0]
    bundled = next((each for each in NAMES.values() if each == own), None)
    if bundled is not None:
        beside["bundled before"] = demo_checkpoint(bundled)
    else:
        beside["S, bundled"] = demo_checkpoint("S")
    facts = call.out / name / FACTS
    if not facts.exists():
        write_facts(call, name)
    request = Request(
        weights,
        call.sets["fit"],
        tuple(call.sets[held] for held in HELD_OUT),
        (call.sets[REAL],),
        call.run(name) / LOG,
        facts,
        beside,
        drift(call, name, weights),
        call.device,
    )
    write_card(request, call.out / name / "card")


def write_facts(call: Call, name: str) -> None:
    """What a training log does not tell; written where the training is, when it begins."""
    machine = environment()
    options = call.settings(name)
    start = options.pop("init", None)
    facts = {
        "goes on from": _named(start, int(str(options.get("frames", MAX_FRAMES)))),
        "hardware": machine.get("gpu", machine["processor"]),
        "recipe": f"python -m benchmarks.demo.run --networks {name} --minutes {call.minutes:g}",
        "settings": ", ".join(f"{option} {value}" for option, value in options.items()),
        "further settings": " ".join(call.extra) or "none",
        "trained on": ", ".join(
            f"{clips} ({clip_count(call.sets[clips]):,} clips)" for clips in NETWORKS[name].train
        ),
        "note": "baselines are fitted on 'fit'; validated on val_motions during training, no "
        "checkpoint was picked by it; held-out sets have no 2D noise and no lost joints",
    }
    (call.out / name / FACTS).write_text(json.dumps(facts, indent=1) + "\n")


def _named(start: object, frames: int) -> str:
    """A file that a network of so many frames goes on from, and what was done to it."""
    if start is None:
        return "nothing"
    checkpoint = read_checkpoint(str(start))
    trained = f" ({checkpoint.training})" if checkpoint.training else ""
    done = interpolation_note(checkpoint.config.frames, frames)
    return f"{Path(str(start)).name}, SHA-256 {checkpoint.sha256}{trained}{done}"


_path = click.Path(path_type=Path)


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--climb", required=True, type=_path, help="holosoma-retargeting 0.1.0, or unpacked.")
@click.option("--real", required=True, type=_path, help="pose2sim 0.4.0, or unpacked.")
@click.option("--out", default="out/demo_networks", show_default=True, type=_path)
@click.option("--back", type=_path, help="Folder of what must come back.  [default: OUT/back]")
@click.option("--state", type=_path, help="A --back folder to go on from, on another machine.")
@click.option("--networks", default="S,S_pybullet,streaming", show_default=True)
@click.option("--minutes", default=7.0, show_default=True, help="Of training, of each network.")
@click.option("--this-call", type=float, help="At most so many minutes of training in this call.")
@click.option("--init", multiple=True, help="NAME=CKPT that a network goes on from; repeatable.")
@click.option("--clips", default=4096, show_default=True, help="Of pybullet; a quarter climb.")
@click.option("--held-out", default=48, show_default=True, help="Clips of each held-out set.")
@click.option("--extra", default="--scan fused --cuda-graph", show_default=True,
              help="Further options of posemamba train.")  # fmt: skip
@click.option("--device", default="cuda", show_default=True)
def main(
    climb: Path, real: Path, out: Path, back: Path | None, state: Path | None, networks: str,
    minutes: float, this_call: float | None, init: tuple[str, ...], clips: int, held_out: int,
    extra: str, device: str,
) -> None:  # fmt: skip
    names = tuple(networks.split(","))
    signal.signal(signal.SIGTERM, _stop)
    if device.startswith("cuda"):
        torch.set_float32_matmul_precision("high")  # as posemamba.training.run does on CUDA
    try:
        if unknown := [name for name in names if name not in NETWORKS]:
            raise InputError(f"no network '{unknown[0]}': use {', '.join(NETWORKS)}")
        call = Call(climb, real, out, names, minutes, this_call, clips, held_out,
                    tuple(extra.split()), device, back or out / "back",
                    dict(named_paths(init, "--init")))  # fmt: skip
        if state is not None:
            starts = (NETWORKS[name].after for name in names)
            unpack(out, state, [*names, *(after for after in starts if after is not None)])
        for name in names:
            call.check_start(name, names)
        _timed(partial(make_sets, out / "data", climb, real, clips, held_out))
    except (InputError, OSError) as error:
        fail(describe(error), BAD_REQUEST)
    failures = []
    for step in (partial(train, call), *(partial(measure, call, name) for name in names)):
        try:
            _timed(step)
        except (InputError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
            failures.append(describe(error))  # the other networks may be whole
            click.echo(failures[-1], err=True)
        finally:
            packed = pack(out, call.back, names)
    for file in packed:
        click.echo(f"{file}: {file.stat().st_size:,} bytes")
    if failures:
        fail(failures[0], BAD_REQUEST)


def _timed(step: partial[None]) -> None:
    start = time.monotonic()
    step()
    names = [word for word in step.args if isinstance(word, str)]
    what = " ".join([step.func.__name__, *names])
    click.echo(f"{what}: {time.monotonic() - start:.0f} s")


def _stop(*_: object) -> None:
    raise SystemExit("told to end (SIGTERM): what is finished is packed")


if __name__ == "__main__":
    main()
