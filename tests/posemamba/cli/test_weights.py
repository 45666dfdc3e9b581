"""Which set of weights: what a warning offers, each command that reads a checkpoint can do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from places import TINY
from swings import swings

from pmexport.cli.main import cli as pmexport
from posemamba.checkpoint.read import load_checkpoint, read_checkpoint
from posemamba.cli.main import cli as posemamba
from posemamba.data.clip_set import save_clip_set
from posemamba.training.config import TrainConfig

SAME = ("--depth", "2", "--d-model", "32", "--frames", "27")


def commands(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from commands(command)
        else:
            yield command


@pytest.mark.parametrize("group", [posemamba, pmexport], ids=["posemamba", "pmexport"])
def test_every_command_has_the_option(group: click.Group) -> None:
    lack = []
    for command in commands(group):
        named = {name for param in command.params for name in (*param.opts, param.name)}
        if named & {"--ckpt", "--init", "checkpoints"} and "--weights" not in named:
            lack.append(command.name)
    assert lack == []


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``both.pth`` has an averaged set, and a raw one of another scale of the head."""
    monkeypatch.chdir(tmp_path)
    averaged = dict(read_checkpoint(TINY).state)
    raw = averaged | {"head.1.weight": averaged["head.1.weight"] * 0.5}
    torch.save({"model": raw, "model_ema": averaged}, "both.pth")
    torch.save(raw, "raw.pth")
    save_clip_set(tmp_path / "clips.npz", swings(0, 4, frames=27))
    return tmp_path


def run(*arguments: str) -> str:
    done = CliRunner().invoke(posemamba, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_evaluate() -> None:
    of = ("evaluate", "--data", "clips.npz", "--ckpt")
    assert run(*of, "both.pth", "--weights", "raw") == run(*of, "raw.pth") != run(*of, "both.pth")


def test_which_scan() -> None:
    clip = np.linspace(-0.5, 0.5, 9 * 34, dtype=np.float32).reshape(1, 9, 17, 2)
    with torch.inference_mode():
        poses = load_checkpoint("raw.pth")(torch.from_numpy(clip)).numpy()
    np.savez("io.npz", keypoints_2d=clip, poses_3d=poses)
    text = run(
        "which-scan", "--ckpt", "both.pth", "--reference", "io.npz", "--weights", "raw", "--json"
    )
    assert json.loads(text)["best"] == "global-local"
    averaged = ("which-scan", "--ckpt", "both.pth", "--reference", "io.npz")
    assert CliRunner().invoke(posemamba, averaged).exit_code == 1


def test_train_goes_on_from_them() -> None:
    """A step of no size: what is saved is what was begun with."""
    begin = ("train", "--data", "clips.npz", *SAME, "--steps", "1", "--learning-rate", "1e-30")
    run(*begin, "--init", "both.pth", "--weights", "raw", "-o", "run")
    began, raw = (read_checkpoint(p).state for p in ("run/final.safetensors", "raw.pth"))
    torch.testing.assert_close(began["head.1.weight"], raw["head.1.weight"], rtol=1e-6, atol=0)
    alone = CliRunner().invoke(posemamba, [*begin, "--weights", "raw", "-o", "other"])
    assert alone.exit_code == 2
    assert "(--weights) is for init" in alone.stderr
    assert TrainConfig().init_weights is None  # runs from before it resume


def test_inspect_and_regress() -> None:
    found = CliRunner().invoke(pmexport, ["inspect", "both.pth", "--weights", "raw", "--json"])
    assert found.exit_code == 0, found.output
    refused = CliRunner().invoke(pmexport, ["inspect", "both.pth", "--weights", "swa"])
    assert (refused.exit_code, "has no weights 'swa'" in refused.stderr) == (2, True)
    other = CliRunner().invoke(pmexport, ["inspect", "clips.npz", "--weights", "raw"])
    assert (other.exit_code, "is no checkpoint" in other.stderr) == (2, True)
    quick = ("--precision", "fp32", "--seconds", "0.05", "--threads", "1", "--frames", "3")
    runtimes = ("--runtime", "ort-cpu", "--runtime", "torch")
    done = CliRunner().invoke(
        pmexport, ["regress", "both.pth", "--weights", "raw", *quick, *runtimes]
    )
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "Regress: passed, 2 cells, 0 failed"
