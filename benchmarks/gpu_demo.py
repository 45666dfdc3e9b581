"""On one GPU: the demonstration networks, from motions to model cards. One call, resumable.

    unzip -q holosoma_retargeting-0.1.0-py3-none-any.whl '*/demo_data/climb/*.npy' -d motion
    python benchmarks/gpu_demo.py --climb motion --real pose2sim-0.4.0-py3-none-any.whl \\
        --networks S,S_pybullet,streaming --minutes 7
    python benchmarks/gpu_demo.py --climb motion --real pose2sim-0.4.0-py3-none-any.whl \\
        --networks L --minutes 20 --this-call 8    # twice, then without --this-call, to the end

``benchmarks/gpu_run.sh build demo`` builds the libraries first and sets the paths to them.

Each call makes what clip sets are missing, trains the networks named side by side (each on a GPU of
its own, where there are several), measures those that are finished, and writes into ``--out``:

    data/               clip sets; the first demonstrations' three held-out sets are among them
    NAME/run/           of posemamba train; an unfinished one is resumed by the next call
    NAME/card/          report.json, curves.svg, MODEL_CARD.md of NAME/demo_NAME.safetensors
    back/               all that must come back, in few small files (elsewhere with ``--back``):
                        cards.tar.gz, weights up to 16 MiB whole and larger ones in pieces,
                        NAME.state.N of unfinished networks. It is written when training ends, after
                        every card, and when the script is told to end (SIGTERM)

A later call on a bare machine goes on from ``--state``, a folder with the NAME.state.N that came
back. ``--minutes`` is a network's whole training and shapes its learning rate: give the same each
time. Beside other work on an H200 the clip sets took 17 s and a start 29; no card has been finished
there yet: leave all that three minutes. To bundle a network, copy its weights to posemamba/assets
and its card to reports/.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import click
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from demo_report import Request, named_paths, write_card  # noqa: E402
from demo_sets import HELD_OUT, REAL, make_sets, set_paths  # noqa: E402
from environment import environment  # noqa: E402
from pieces import cut, join, light_state  # noqa: E402

from posemamba.checkpoint.bundled import NAMES, demo_checkpoint  # noqa: E402
from posemamba.checkpoint.read import read_checkpoint  # noqa: E402
from posemamba.cli.tool import BAD_REQUEST, describe, fail  # noqa: E402
from posemamba.data.clip_set import load_clip_set  # noqa: E402
from posemamba.errors import InputError  # noqa: E402
from posemamba.training.run import LOG, STATE, WEIGHTS  # noqa: E402

WHOLE = 16 * 2**20
"""Bytes of the largest file that comes back whole."""

#: Of every network. The noise is that which tools/data_trial.py found to do no harm.
SETTINGS: dict[str, object] = {
    "schedule": "cosine", "epochs": 1000, "noise": 0.004, "drop-joints": 0.02, "jitter": 0.01,
    "offset": 0.012, "save-every": 100, "seed": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Network:
    """A demonstration network. S and streaming go on from those that are bundled.

    Attributes:
        settings: of ``posemamba train``.
        train: clip sets it is trained on.
        beside: networks of this run that its card shows too, by their name there.
    """

    settings: Mapping[str, object]
    train: tuple[str, ...]
    beside: Mapping[str, str]


_S = {"variant": "S", "batch": 4, "learning-rate": 7e-4, "init": "demo"}
_STREAMING = {
    "depth": 6, "frames": 81, "batch": 8, "learning-rate": 1e-3, "init": "demo-streaming",
}  # fmt: skip
PYBULLET = ("train_varied", "train_centred")
BOTH = (*PYBULLET, "train_climbs")
NETWORKS = {
    "S": Network(_S, BOTH, {"without the climbs": "S_pybullet"}),
    "S_pybullet": Network(_S, PYBULLET, {"with the climbs": "S"}),
    "streaming": Network(_STREAMING, BOTH, {}),
    "L": Network({"variant": "L", "batch": 4, "learning-rate": 5e-4}, BOTH, {"S": "S"}),
}


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
        given = {"init": self.init[name]} if name in self.init else {}
        return {**SETTINGS, **NETWORKS[name].settings, **given}

    def run(self, name: str) -> Path:
        return self.out / name / "run"

    def finished(self, name: str) -> Path | None:
        """The weights of a finished run, under the name they would be bundled by."""
        final, named = self.run(name) / WEIGHTS, self.out / name / f"demo_{name}.safetensors"
        if not final.exists():
            return None
        shutil.copyfile(final, named)
        return named

    @cached_property
    def sets(self) -> dict[str, Path]:
        return set_paths(self.out / "data")


def train(call: Call) -> None:
    """The networks named, side by side, until their time or this call's is over."""
    running, gpus = {}, visible_gpus()
    start, failed = time.monotonic(), []
    try:
        for number, name in enumerate(call.networks):
            if call.finished(name) is None:
                call.run(name).mkdir(parents=True, exist_ok=True)
                sees = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
                with (call.out / name / "train.log").open("a", encoding="utf-8") as log:
                    running[name] = subprocess.Popen(
                        _command(call, name), stdout=log, stderr=log, env=os.environ | sees
                    )
        for name, process in running.items():
            left = None
            if call.this_call is not None:
                left = max(0.1, start + 60.0 * call.this_call - time.monotonic())
            try:
                if process.wait(left) != 0:
                    failed.append(name)
                click.echo(f"{name}: {'FAILED' if name in failed else 'finished'}")
            except subprocess.TimeoutExpired:
                click.echo(f"{name}: unfinished")
    finally:  # what still runs goes on from its last save
        for process in running.values():
            process.kill()
            process.wait()
    if failed:
        raise InputError(f"{call.out / failed[0] / 'train.log'}: says why {failed[0]} failed")


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


def drift(call: Call, name: str, weights: Path) -> dict[str, Path]:
    """``pmexport check`` of the exports in both precisions, in every runtime that runs here.

    Runtimes on a GPU may end the whole process: then the one on the CPU is checked alone.
    """
    runtimes = ["ort-cpu"]
    if call.device.startswith("cuda"):
        import onnxruntime

        runtimes.append("torch-cuda")
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            runtimes.append("ort-cuda")
    reports = {}
    for precision in ("fp32", "fp16"):
        model = call.out / name / f"{name}.{precision}.onnx"
        report = model.with_suffix(".json")
        command = [sys.executable, "-m", "pmexport"]
        of = ["--ckpt", str(weights)]
        export = [*command, "onnx", *of, "-o", str(model), "--precision", precision, "--no-check"]
        check = [*command, "check", str(model), *of, "--json", str(report)]
        report.unlink(missing_ok=True)  # of an earlier call
        with (call.out / name / "export.log").open("a", encoding="utf-8") as log:
            subprocess.run(export, stdout=log, stderr=log, check=True)
            for tried in dict.fromkeys((tuple(runtimes), ("ort-cpu",))):
                of_runtimes = [word for runtime in tried for word in ("--runtime", runtime)]
                code = subprocess.run([*check, *of_runtimes], stdout=log, stderr=log).returncode
                if report.exists():
                    break
        if not report.exists():
            raise InputError(f"{log.name}: says why the check of {model.name} stopped ({code})")
        reports[precision] = report
    return reports


def measure(call: Call, name: str) -> None:
    """A finished network's card: itself, its likes, the bundled one before it, and baselines."""
    weights = call.finished(name)
    if weights is None:
        return
    siblings = {title: call.finished(of) for title, of in NETWORKS[name].beside.items()}
    beside = {title: path for title, path in siblings.items() if path is not None}
    for network in NAMES.values():
        if name.split("_")[0] == network:
            beside["bundled before"] = demo_checkpoint(network)
    facts = call.out / name / "facts.json"
    facts.write_text(json.dumps(_told(call, name)))
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


def _told(call: Call, name: str) -> dict[str, object]:
    """What a training log does not tell."""
    machine = environment()
    options = call.settings(name)
    start = options.pop("init", None)
    return {
        "goes on from": _named(start),
        "hardware": machine.get("gpu", machine["processor"]),
        "settings": ", ".join(f"{option} {value}" for option, value in options.items()),
        "further settings": " ".join(call.extra) or "none",
        "trained on": ", ".join(
            f"{clips} ({len(load_clip_set(call.sets[clips])):,} clips)"
            for clips in NETWORKS[name].train
        ),
        "note": "baselines are fitted on 'fit'; validated on val_motions during training, no "
        "checkpoint was picked by it; held-out sets have no 2D noise and no lost joints",
    }


def _named(start: object) -> str:
    if start is None:
        return "nothing"
    return f"{Path(str(start)).name}, SHA-256 {read_checkpoint(str(start)).sha256}"


def pack(call: Call) -> None:
    """All that must come back, in at most eight files of at most 16 MiB for one L or the rest."""
    back = call.back
    back.mkdir(parents=True, exist_ok=True)
    for name in call.networks:  # of an earlier call
        for file in (*back.glob(f"{name}.state.?"), *back.glob(f"demo_{name}.safetensors*")):
            file.unlink()
    with tarfile.open(back / "cards.tar.gz", "w:gz") as archive:
        for name in NETWORKS:
            for pattern in ("card/*", "*.log", "*.json", "run/*.csv"):
                for file in sorted((call.out / name).glob(pattern)):
                    archive.add(file, f"{name}/{file.name}")
    for name in call.networks:
        weights, state = call.finished(name), call.run(name) / STATE
        if weights is None:
            if state.exists():
                cut(light_state(state), back, f"{name}.state")
        elif weights.stat().st_size <= WHOLE:
            shutil.copyfile(weights, back / weights.name)
        else:
            cut(weights.read_bytes(), back, weights.name)
    for file in sorted(back.iterdir()):
        click.echo(f"{file}: {file.stat().st_size:,} bytes")


def unpack(call: Call, state: Path) -> None:
    """States that came back from an earlier call, for runs that are not here."""
    for name in call.networks:
        content = join(state, f"{name}.state")
        file = call.run(name) / STATE
        if content is not None and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


_path = click.Path(path_type=Path)


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--climb", required=True, type=_path, help="holosoma-retargeting 0.1.0, or unpacked.")
@click.option("--real", required=True, type=_path, help="pose2sim 0.4.0, or unpacked.")
@click.option("--out", default="out/demo_networks", show_default=True, type=_path)
@click.option("--back", type=_path, help="Folder of what must come back.  [default: OUT/back]")
@click.option("--state", type=_path, help="Folder of the NAME.state.N that came back.")
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
                    named_paths(init, "--init"))  # fmt: skip
        if state is not None:
            unpack(call, state)
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
            pack(call)
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
