"""Runs that go on from a network trained before (``--init``)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file

from posemamba.checkpoint.save import save_checkpoint
from posemamba.cli.main import cli
from posemamba.config import PoseMambaConfig
from posemamba.data.clip_set import ClipSet, save_clip_set
from posemamba.model.network import PoseMamba

SIZES = ("--depth", "2", "--d-model", "8", "--frames", "6")
#: A step of AdamW this small moves each weight by 1e-30 at most.
STANDS = ("--steps", "1", "--learning-rate", "1e-30")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Clips to train on, and a trained network, ``before.safetensors``."""
    poses = np.random.default_rng(0).normal(0, 0.1, (4, 9, 17, 3)).astype(np.float32)
    poses -= poses[:, :, :1]
    names = tuple(f"swing/0/{number}" for number in range(4))
    clips = ClipSet(poses[..., :2].copy(), poses, np.full(4, 1000.0, np.float32), names, "swings")
    save_clip_set(tmp_path / "train.npz", clips)
    monkeypatch.chdir(tmp_path)
    save("before.safetensors", data="dances; walks")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tensors this small only wait for other threads
    yield tmp_path
    torch.set_num_threads(threads)


def save(name: str, data: str | None = None, **changes: object) -> None:
    torch.manual_seed(7)
    sizes = {"d_model": 8, "depth": 2, "frames": 6} | changes
    network = PoseMamba(PoseMambaConfig(**sizes))  # type: ignore[arg-type]
    save_checkpoint(network, name, metadata={} if data is None else {"data": data})


def train(*arguments: str, code: int = 0) -> str:

    result = CliRunner().invoke(cli, ["train", "--data", "train.npz", *SIZES, *arguments])
    assert result.exit_code == code, result.output
    return str(result.stderr)


def header(path: str) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata())


def test_a_run_begins_with_the_weights_it_is_given(here: Path) -> None:
    train("--init", "before.safetensors", *STANDS, "-o", "run")
    before, after = load_file("before.safetensors"), load_file("run/final.safetensors")
    assert before.keys() == after.keys()
    for name, weight in before.items():
        assert (weight - after[name]).abs().max() <= 1.1e-30, name
    train(*STANDS, "-o", "seed")  # else they are the seed's
    other = load_file("seed/final.safetensors")
    assert any((weight - other[name]).abs().max() > 1e-3 for name, weight in before.items())


def test_weights_name_what_they_go_on_from(here: Path) -> None:
    """Who passes them on must know all they were made of."""
    train("--init", "before.safetensors", *STANDS, "-o", "run")
    told = header("run/final.safetensors")
    assert told["data"] == "dances; swings; walks"
    digest = hashlib.sha256(Path("before.safetensors").read_bytes()).hexdigest()
    assert told["training"] == f"1 step of 4 clips, seed 0, from weights with SHA-256 {digest}"
    save("untold.safetensors")
    train("--init", "untold.safetensors", *STANDS, "-o", "other")
    assert header("other/final.safetensors")["data"] == "not recorded; swings"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth": 1}, "has depth 1, this run 2"),
        ({"d_model": 16}, "has d_model 16, this run 8"),
        ({"frames": 9}, "has frames 9, this run 6"),
        ({"scan_order": "bs-bt"}, "has scan_order bs-bt, this run global-local"),
        ({"channels": 3}, "has channels 3, this run 2"),
    ],
)
def test_another_network_is_refused(here: Path, changes: dict[str, object], words: str) -> None:
    save("other.safetensors", **changes)
    told = train("--init", "other.safetensors", "-o", "run", code=2)
    assert f"'other.safetensors' {words}: ask for the same network" in told
    assert len(told.splitlines()) == 1
    assert not Path("run").exists()


def test_a_file_without_its_scan_order_takes_the_run_s(here: Path) -> None:
    """The authors' files do not tell it: the run's own is the only one that is asked for."""
    save("told.safetensors", scan_order="bs-bt")
    torch.save({"model_pos": load_file("told.safetensors")}, "weights.pth.tr")
    said = train("--init", "weights.pth.tr", "--scan-order", "bs-bt", *STANDS, "-o", "run")
    assert "is a guess" in said
    assert header("run/final.safetensors")["config"].count('"scan_order": "bs-bt"') == 1


@pytest.mark.parametrize("name", ["gone.pth", "train.npz"])
def test_what_is_no_checkpoint_is_named(here: Path, name: str) -> None:
    told = train("--init", name, "-o", "run", code=2)
    assert name in told
    assert len(told.splitlines()) == 1


def test_it_resumes_with_the_same_start_alone(here: Path) -> None:
    rest = ("--epochs", "9", "--learning-rate", "1e-30", "-o", "run", "--resume")
    begun = ("--init", "before.safetensors")
    train(*begun, *STANDS, "-o", "run")
    assert "was trained with init 'before.safetensors', not None" in train(*rest, code=2)
    train(*begun, *rest)
    assert "from weights with SHA-256" in header("run/final.safetensors")["training"]


def test_it_does_not_resume_where_the_start_has_changed(here: Path) -> None:
    """The weights' header would name what they never came from."""
    begun = ("--init", "before.safetensors")
    train(*begun, *STANDS, "-o", "run")
    save("before.safetensors", data="another")
    told = train(*begun, "--learning-rate", "1e-30", "-o", "run", "--resume", code=2)
    assert "did not begin with the weights that 'before.safetensors' holds now" in told
