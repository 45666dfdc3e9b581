"""Training as a user runs it: killed and resumed, on two processes, evaluated."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from float64_tolerance import ROUNDING
from safetensors import safe_open
from safetensors.torch import load_file
from swings import swings

from posemamba.cli.main import cli
from posemamba.data.clip_set import save_clip_set
from posemamba.errors import InputError
from posemamba.training.config import TrainConfig
from posemamba.training.state import load_state, save_state

TINY = ("--depth", "2", "--d-model", "8", "--frames", "6")
FRAMES = 9  # longer than a window

# 'posemamba train' that dies by SIGKILL: in the forward pass of its n-th step, or with its n-th
# checkpoint half written.
KILLED = """
import os, signal, sys
from posemamba.cli.main import cli
from posemamba.training.losses import PoseLoss
from posemamba.training import state
where, count = sys.argv[1], int(sys.argv[2])
calls = 0
def counted(function):
    def call(*arguments):
        global calls
        calls += 1
        if calls == count:
            if where == "save":
                open(arguments[1], "wb").write(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return call
if where == "step":
    PoseLoss.__call__ = counted(PoseLoss.__call__)
else:
    state.torch.save = counted(state.torch.save)
cli(sys.argv[3:])
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    save_clip_set(tmp_path / "train.npz", swings(0, 10, FRAMES))
    save_clip_set(tmp_path / "val.npz", swings(1, 3, FRAMES))
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tensors this small only wait for other threads
    yield tmp_path
    torch.set_num_threads(threads)


def invoke(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == code, result.output
    return str(result.stdout if code == 0 else result.stderr)


def read_log(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def start(*arguments: str, returncode: int = 0) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == returncode, done.stderr[-3000:]


@pytest.mark.slow
def test_killed_at_any_step_and_resumed_ends_with_the_same_weights(here: Path) -> None:
    # Everything random is on; 5 steps an epoch, so both kills and saves fall inside epochs.
    settings = ("--data", "train.npz", "--val", "val.npz", *TINY, "--batch-size", "2", "--steps",
                "9", "--accumulate", "2", "--ema", "0.9", "--noise", "0.01", "--drop-joints", "0.1",
                "--jitter", "0.02", "--offset", "0.02", "--swap-sides", "0.1", "--lose-limbs",
                "0.1", "--save-every", "2", "--schedule", "cosine")  # fmt: skip
    start("-m", "posemamba", "train", *settings, "--out", "whole")
    run = ("train", *settings, "--out", "killed")
    # Two passes a step: the 11th loss is in step 6, after the checkpoint of step 4.
    start("-c", KILLED, "step", "11", *run, returncode=-9)
    assert torch.load(here / "killed" / "last.pth.tr", weights_only=True)["step"] == 4
    start("-c", KILLED, "save", "2", *run, "--resume", returncode=-9)  # while saving step 8
    assert torch.load(here / "killed" / "last.pth.tr", weights_only=True)["step"] == 6
    start("-c", KILLED, "step", "1", *run, "--resume", returncode=-9)  # before any progress
    start("-m", "posemamba", *run, "--resume")
    whole, resumed = (load_file(here / name / "final.safetensors") for name in ("whole", "killed"))
    assert whole.keys() == resumed.keys()
    for name, weight in whole.items():
        assert torch.equal(weight, resumed[name]), name
    logs = [(here / name / "log.csv").read_text().splitlines() for name in ("whole", "killed")]
    columns = [[line.split(",")[:4] for line in log] for log in logs]  # step, epoch, rate, loss
    assert columns[0] == columns[1]


@pytest.mark.parametrize("schedule", ["exponential", "cosine"])
def test_the_rate_rises_first(here: Path, schedule: str) -> None:
    """Step k of a warm-up of n takes (k + 1) / n of what the schedule says; later ones all."""
    run = ("train", "--data", "train.npz", *TINY, "--batch", "2", "--steps", "6", "--save-every",
           "1", "--schedule", schedule)  # fmt: skip
    invoke(*run, "--out", "plain")
    invoke(*run, "--warmup", "4", "--out", "warm")
    plain, warm = (
        [float(row["learning_rate"]) for row in read_log(here / name)] for name in ("plain", "warm")
    )
    shares = (0.25, 0.5, 0.75, 1, 1, 1)
    wanted = [rate * share for rate, share in zip(plain, shares, strict=True)]
    assert warm == pytest.approx(wanted, rel=ROUNDING)


@pytest.mark.slow
def test_two_processes_train_as_one(here: Path) -> None:
    # Stochastic depth draws by process, so it is off; order, cuts and mirrors are shared.
    (here / "run.yaml").write_text("drop_path: 0.0\nclip_norm: 1.0\n")
    settings = ("train", "--config", "run.yaml", "--data", "train.npz", *TINY, "--batch-size", "4",
                "--steps", "6")  # fmt: skip
    start("-m", "posemamba", *settings, "--out", "one")
    start("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "posemamba",
          *settings, "--out", "two")  # fmt: skip
    one, two = (load_file(here / name / "final.safetensors") for name in ("one", "two"))
    rate = 2e-4  # about what one step of AdamW moves a weight at most
    worst = max(float((one[name] - two[name]).abs().max()) for name in one)
    # The sums differ in order, so gradients differ by float32 rounding; AdamW divides by their
    # size, which magnifies that where a gradient is small. A twentieth of one step of six.
    assert worst < rate / 20, worst
    logs = [read_log(here / name) for name in ("one", "two")]
    assert [row["step"] for row in logs[0]] == [row["step"] for row in logs[1]]
    losses = [[float(row["loss"]) for row in log] for log in logs]
    # Each process logs the mean over both. Weights differ as above, so a loss differs by less than
    # a thousandth; one process's own clips have another loss altogether.
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_validation_is_of_the_averaged_weights(here: Path) -> None:
    run = ("train", "--data", "train.npz", "--val", "val.npz", *TINY, "--batch-size", "5",
           "--learning-rate", "5e-3")  # fmt: skip
    average = ("--ema", "0.9")
    invoke(*run, *average, "--epochs", "1", "--out", "short")
    invoke(*run, *average, "--epochs", "2", "--out", "long")
    invoke(*run, "--epochs", "2", "--out", "plain")
    short, long, plain = (read_log(here / name) for name in ("short", "long", "plain"))
    # After the first epoch of two, as at the end of a run of one; and training goes on from the
    # weights that were trained, so the losses are those of a run that averages nothing.
    assert long[0]["val_mpjpe_mm"] == short[0]["val_mpjpe_mm"]
    assert long[0]["val_mpjpe_mm"] != plain[0]["val_mpjpe_mm"]
    assert [row["loss"] for row in long] == [row["loss"] for row in plain]
    invoke("evaluate", "--ckpt", "long/final.safetensors", "--data", "val.npz", "--json", "e.json")
    errors = json.loads((here / "e.json").read_text())
    assert errors["mpjpe_mm"] == pytest.approx(float(long[1]["val_mpjpe_mm"]), rel=1e-6)


def test_validations_can_be_rarer(here: Path) -> None:
    """The last is at the end, in whatever epoch that is."""
    run = ("train", "--data", "train.npz", "--val", "val.npz", *TINY, "--batch", "5")
    invoke(*run, "--epochs", "5", "--out", "each")
    invoke(*run, "--epochs", "5", "--val-every", "2", "--out", "second")
    each, second = (
        [row["val_mpjpe_mm"] for row in read_log(here / name)] for name in ("each", "second")
    )
    assert all(each)
    assert second == ["", each[1], "", each[3], each[4]]


def test_train_evaluate_and_go_on(here: Path) -> None:
    run = ("train", "--data", "train.npz", "--val", "val.npz", "--out", "run", *TINY,
           "--batch-size", "5", "--amp", "bf16")  # fmt: skip
    text = invoke(*run, "--epochs", "2")
    assert text.startswith("Train: 4 steps in ")
    # With the authors' schedule a finished run may be made longer.
    assert invoke(*run, "--epochs", "3", "--resume").startswith("Train: 6 steps in ")
    rows = (here / "run" / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["2", "6"]
    invoke("evaluate", "--ckpt", "run/final.safetensors", "--data", "val.npz", "--flip",
           "--json", "errors.json")  # fmt: skip
    figures = json.loads((here / "errors.json").read_text())
    assert 0 < figures["p_mpjpe_mm"] < figures["n_mpjpe_mm"] < figures["mpjpe_mm"] < 10_000
    by_joint = figures["mpjpe_per_joint_mm"]
    assert by_joint["root"] == 0.0  # of both poses subtracted
    assert np.mean(list(by_joint.values())) == pytest.approx(figures["mpjpe_mm"], rel=ROUNDING)


def test_authors_checkpoint_format(here: Path) -> None:
    invoke("train", "--data", "train.npz", "--out", "run", *TINY, "--steps", "1")
    state = torch.load(here / "run" / "last.pth.tr", weights_only=True)
    assert {"epoch", "lr", "optimizer", "model_pos", "min_loss"} <= state.keys()
    text = invoke("evaluate", "--ckpt", "run/last.pth.tr", "--scan-order", "global-local",
                  "--data", "val.npz")  # fmt: skip
    assert "mpjpe_mm" in text


def test_training_lowers_the_loss(here: Path) -> None:
    invoke("train", "--data", "train.npz", "--out", "run", *TINY, "--epochs", "15",
           "--learning-rate", "5e-3", "--batch-size", "5")  # fmt: skip
    rows = (here / "run" / "log.csv").read_text().splitlines()[1:]
    losses = [float(row.split(",")[3]) for row in rows]
    assert losses[-1] < 0.7 * losses[0]  # a network that learns nothing stays at 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "none.npz"), "no clip set at 'none.npz'"),
        (("--data", "junk.npz"), "'junk.npz'"),
        (("--val", "none.npz"), "'none.npz'"),
        (("--frames", "27"), "clips of 9 frames"),
        (("--frames", "244"), "frames"),
        (("--batch-size", "11"), "10 clips, fewer than a batch of 11"),
        (("--batch-size", "0"), "batch_size"),
        (("--steps", "0"), "steps"),
        (("--minutes", "-1"), "minutes"),
        (("--learning-rate", "nan"), "learning_rate"),
        (("--ema", "2"), "ema"),
        (("--scan-order", "globl-local"), "global-local"),
        (("--scan", "mamba-smm"), "did you mean 'mamba-ssm'"),
        (("--schedule", "cosin"), "did you mean 'cosine'"),
        (("--config", "none.yaml"), "none.yaml"),
        (("--config", "bad.yaml"), "nothing here is called 'lr'"),
        (("--device", "tpu"), "use cpu, cuda or cuda:N"),
        (("--cuda-graph",), "cuda_graph needs a CUDA device"),
        (("--resume",), "start without --resume"),
        (("--learning-rate", "1e30"), "smaller --learning-rate"),
    ],
)
def test_bad_requests_are_one_line(here: Path, arguments: tuple[str, ...], words: str) -> None:
    (here / "junk.npz").write_text("not an archive")
    (here / "bad.yaml").write_text("lr: 0.1\n")
    base = ["train", "--data", "train.npz", "--out", "run", "--steps", "6", *TINY]
    text = invoke(*base, *arguments, code=2)
    assert words in text
    assert len(text.splitlines()) == 1, text
    assert not (here / "run").exists()


def test_other_settings_do_not_resume(here: Path) -> None:
    run = ("train", "--data", "train.npz", "--out", "run", *TINY, "--steps", "1")
    invoke(*run)
    text = invoke(*run, "--learning-rate", "1e-3", "--resume", code=2)
    assert "learning_rate 0.0002, not 0.001" in text
    (here / "run" / "last.pth.tr").write_bytes(b"half")
    assert "is no checkpoint of a run" in invoke(*run, "--resume", code=2)


def test_other_clips_do_not_resume(here: Path) -> None:
    """A step's clips depend on its number: others would be another run, and nobody would know."""
    run = ("train", "--out", "run", *TINY, "--batch", "4", "--steps", "1")
    save_clip_set(here / "more.npz", swings(2, 10, FRAMES))
    invoke(*run, "--data", "train.npz", "--data", "more.npz")
    for data in (("train",), ("more", "train"), ("train", "val"), ("train", "more", "val")):
        words = [word for name in data for word in ("--data", f"{name}.npz")]
        assert "was trained on other clips" in invoke(*run, *words, "--resume", code=2)
    (here / "train.npz").rename(here / "moved.npz")
    invoke(*run, "--data", "moved.npz", "--data", "more.npz", "--resume")


def test_a_run_older_than_a_setting_resumes(here: Path) -> None:
    """What the file does not name had its default; other than that is another run."""
    path = here / "last.pth.tr"
    save_state(path, {"step": 3}, TrainConfig())
    content = torch.load(path, weights_only=True)
    older = json.loads(content["train_config"])
    del older["jitter"]
    torch.save(content | {"train_config": json.dumps(older)}, path)
    assert load_state(path, TrainConfig(), ["clips"])["step"] == 3
    with pytest.raises(InputError, match="was trained with jitter 0"):
        load_state(path, TrainConfig(jitter=0.1), [])


@pytest.mark.parametrize("before", ["chunked", "fused", "mamba-ssm"])
def test_a_run_resumes_with_whichever_scan_is_chosen(here: Path, before: str) -> None:
    """All compute the same function; one that is asked for by name is held to."""
    path = here / "last.pth.tr"
    save_state(path, {"step": 3}, TrainConfig(scan=before))
    assert load_state(path, TrainConfig(), ["clips"])["step"] == 3
    with pytest.raises(InputError, match=f"was trained with scan '{before}'"):
        load_state(path, TrainConfig(scan="reference"), [])


def test_weights_name_what_they_were_made_of(here: Path) -> None:
    for name, origin in (("a", "one (MIT); two (zlib)"), ("b", "two (zlib)"), ("c", "")):
        save_clip_set(here / f"{name}.npz", swings(0, 4, FRAMES, origin))
    data = [word for name in "abc" for word in ("--data", f"{name}.npz")]
    invoke("train", *data, *TINY, "--steps", "1", "-o", "run")
    with safe_open(here / "run" / "final.safetensors", "pt") as file:
        assert file.metadata()["data"] == "not recorded; one (MIT); two (zlib)"
