"""Runs that go on from a network trained before (``--init``)."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file

from posemamba.checkpoint.read import load_checkpoint, read_checkpoint
from posemamba.checkpoint.save import save_checkpoint
from posemamba.cli.main import cli
from posemamba.config import PoseMambaConfig
from posemamba.data.clip_set import ClipSet, save_clip_set
from posemamba.model.network import PoseMamba
from posemamba.training.start import interpolate_frames, read_start, scale_branches

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
        ({"scan_order": "bs-bt"}, "has scan_order bs-bt, this run global-local"),
        ({"channels": 3}, "has channels 3, this run 2"),
    ],
)
def test_another_network_is_refused(here: Path, changes: dict[str, object], words: str) -> None:
    save("other.safetensors", **{"frames": 9} | changes)  # frames alone are no reason
    told = train("--init", "other.safetensors", "-o", "run", code=2)
    assert f"'other.safetensors' {words}: ask for the same network" in told
    assert len(told.splitlines()) == 1
    assert not Path("run").exists()


def test_branches_begin_smaller(here: Path) -> None:
    """What ends a residual branch, and nothing else; with 0 the blocks pass their input on."""
    train(*STANDS, "-o", "seed")
    train("--branch-scale", "0.25", *STANDS, "-o", "small")
    seed, small = (load_file(f"{name}/final.safetensors") for name in ("seed", "small"))
    ends = (".op.out_proj.weight", ".mlp.fc2.weight", ".mlp.fc2.bias")
    scaled = [name for name in seed if name.endswith(ends)]
    assert len(scaled) == 2 * 2 * len(ends)  # depth 2, blocks of two kinds
    for name, weight in seed.items():
        wanted = weight * 0.25 if name in scaled else weight
        assert (wanted - small[name]).abs().max() <= 2.2e-30, name  # both took a step

    network = load_checkpoint("seed/final.safetensors")
    scale_branches(network, 0.0)
    x = torch.rand(1, 3, 17, 8)
    for block in (*network.STEblocks, *network.TTEblocks):
        assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("before", "after"), [(81, 243), (243, 81), (6, 7), (7, 6), (2, 9), (9, 2), (5, 5)]
)
def test_a_temporal_embedding_is_interpolated(before: int, after: int) -> None:
    """Each row by the formula, written out; float32 rounds a mean of two rows once or twice."""
    old = torch.from_numpy(np.random.default_rng(1).normal(size=(1, before, 3)).astype(np.float32))
    new = interpolate_frames(old, after)
    assert new.shape == (1, after, 3)
    for row in range(after):
        place = row * (before - 1) / (after - 1)
        low = min(int(place), before - 2)
        share = place - low
        wanted = (1 - share) * old[0, low].double() + share * old[0, low + 1].double()
        # The place itself is a float32 of up to 242: 1.5e-5 of the way between two rows.
        assert (new[0, row] - wanted).abs().max() < 1e-4, row
    assert torch.equal(new[0, 0], old[0, 0])
    assert (new[0, -1] - old[0, -1]).abs().max() < 1e-6


def test_one_row_becomes_all_and_the_first_the_one() -> None:
    rows = torch.arange(6.0).reshape(1, 3, 2)
    assert torch.equal(interpolate_frames(rows[:, :1], 4), rows[:, :1].expand(1, 4, 2))
    assert torch.equal(interpolate_frames(rows, 1), rows[:, :1])


@pytest.mark.parametrize("frames", [1, 3, 9])
def test_a_network_of_other_frames_goes_on(here: Path, frames: int) -> None:
    """All weights but the temporal embedding are taken as they are; the record says so."""
    save("other.safetensors", data="dances", frames=frames)
    said = train("--init", "other.safetensors", *STANDS, "-o", "run")
    done = f"its temporal embedding interpolated from {frames} to 6 frames"
    assert f"'other.safetensors', {done}" in said
    digest = hashlib.sha256(Path("other.safetensors").read_bytes()).hexdigest()
    told = header("run/final.safetensors")["training"]
    assert told == f"1 step of 4 clips, seed 0, from weights with SHA-256 {digest}, {done}"
    before, after = load_file("other.safetensors"), load_file("run/final.safetensors")
    for name, weight in before.items():
        wanted = interpolate_frames(weight, 6) if name == "Temporal_pos_embed" else weight
        assert (wanted - after[name]).abs().max() <= 1.1e-30, name
    network = load_checkpoint("run/final.safetensors")
    assert network.config.frames == 6
    poses = network(torch.rand(2, 4, 17, 2))  # a clip shorter than either
    assert poses.shape == (2, 4, 17, 3)
    assert torch.isfinite(poses).all()


def test_the_bundled_network_takes_fewer_frames() -> None:
    """The usual reason to go on with other frames: a live window."""
    wanted = dataclasses.replace(read_checkpoint("demo").config, frames=27)
    with pytest.warns(UserWarning, match="from 243 to 27 frames"):
        start = read_start("demo", wanted)
    network = PoseMamba(wanted).eval()
    network.load_state_dict(start.state)
    assert torch.isfinite(network(torch.zeros(1, 5, 17, 2))).all()


def test_a_run_with_other_frames_resumes(here: Path) -> None:
    begun = ("--init", "other.safetensors")
    save("other.safetensors", frames=9)
    train(*begun, *STANDS, "-o", "run")
    rest = ("--epochs", "9", "--learning-rate", "1e-30", "-o", "run", "--resume")
    train(*begun, *rest)
    assert "from 9 to 6 frames" in header("run/final.safetensors")["training"]


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
