"""``posemamba table`` and ``ablate`` as a user runs them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from data_set_files import human36m, mpi_test, save_object_npz, save_pickle
from places import TINY as GOLDEN
from swings import swings

from posemamba.ablation.cell import run_cell
from posemamba.ablation.settings import Settings
from posemamba.ablation.table import FULL, Cell
from posemamba.checkpoint.read import load_checkpoint
from posemamba.cli.main import cli
from posemamba.data.clip_set import save_clip_set
from posemamba.errors import InputError
from posemamba.evaluation import evaluate_3dhp, evaluate_h36m
from posemamba.model.lift import as_lift

TINY = ("--depth", "1", "--d-model", "8", "--frames", "4", "--batch", "2", "--scan", "chunked")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(GOLDEN, tmp_path / "tiny.pth.tr")
    for seed, name in enumerate(("train", "val_motions", "val_cameras")):
        save_clip_set(tmp_path / f"{name}.npz", swings(seed, 6, frames=12))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == code, result.output
    return str(result.stdout if code == 0 else result.stderr)


def test_table_in_three_forms() -> None:
    for option, mark in (((), "9,450,499  "), (("--markdown",), "| 9,450,499 |")):
        text = invoke("table", *option)
        assert mark in text
        assert "38.1" in text
        assert "11a3659" in text
    report = json.loads(invoke("table", "--json", "--frames", "81"))
    assert report["frames"] == 81
    assert report["measured"] == []


def test_table_measures_through_the_protocols() -> None:
    """On made-up files of both layouts; the figures are those of the protocols themselves."""
    h36m = save_pickle(Path("h36m.pkl"), human36m())
    mpi = save_object_npz(Path("mpi.npz"), mpi_test())
    data = ("--ckpt", "tiny.pth.tr", "--h36m", str(h36m), "--mpi", str(mpi))
    (row,) = json.loads(invoke("table", *data, "--json"))["measured"]
    lift = as_lift(load_checkpoint(GOLDEN))
    detected = evaluate_h36m(lift, h36m, flip=True, use_ground_truth_2d=False)
    truth = evaluate_h36m(lift, h36m, flip=True, use_ground_truth_2d=True)
    errors = evaluate_3dhp(lift, mpi, frames=27, flip=True).overall
    assert row["h36m_p1"] == pytest.approx(detected.mpjpe, rel=1e-6)
    assert row["h36m_p2"] == pytest.approx(detected.p_mpjpe, rel=1e-6)
    assert row["h36m_p1_truth"] == pytest.approx(truth.mpjpe, rel=1e-6)
    assert row["mpi_mpjpe"] == pytest.approx(errors.mpjpe, rel=1e-6)
    assert row["mpi_pck"] == pytest.approx(errors.pck, rel=1e-6)
    assert row["mpi_auc"] == pytest.approx(errors.auc, rel=1e-6)
    text = invoke("table", *data, "--markdown")
    cells = f"| {detected.mpjpe:.1f} | {detected.p_mpjpe:.1f} | - | {truth.mpjpe:.1f} |"
    assert f"| tiny.pth.tr | - {cells}" in text
    assert f"| tiny.pth.tr | {errors.mpjpe:.1f} | {errors.pck:.1f} | {errors.auc:.1f} |" in text
    line = invoke("table", "--ckpt", "tiny.pth.tr", "--h36m", "gone.pkl", code=2)
    assert "gone.pkl: no such file" in line


def test_ablate_end_to_end_and_again() -> None:
    """Every row of the table, trained in two processes; the second call finds all of it done."""
    arguments = ("ablate", "--data", "train.npz", "--val", "val_motions.npz", "--val",
                 "val_cameras.npz", "--steps", "2", "--seeds", "1", "--jobs", "2", *TINY,
                 "-o", "out")  # fmt: skip
    output = invoke(*arguments)
    assert "| scan order: bs-bt |" in output
    assert "**val_cameras**" in output
    report = json.loads(Path("out/ablation.json").read_text())
    assert report["missing"] == []
    assert len(report["runs"]) == 10
    errors = {run["val_motions"]["mpjpe_mm"] for run in report["runs"].values()}
    assert len(errors) == 10  # every row trained something else
    assert Path("out/ablation.svg").read_text().count("val_motions") >= 1
    times = {path: path.stat().st_mtime_ns for path in Path("out/runs").iterdir()}
    assert len(times) == 10
    invoke(*arguments)
    assert {path: path.stat().st_mtime_ns for path in Path("out/runs").iterdir()} == times
    line = invoke(*arguments[:-1], "out", "--steps", "3", code=2)
    assert "other settings (steps was 2, is now 3)" in line


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Of a run small enough for the step-by-step scan; two threads would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Settings(
        data=("train.npz",), val={"val": "val_motions.npz"}, steps=20, seeds=1, depth=1,
        d_model=8, frames=3, batch=4, learning_rate=5e-3, device="cpu", scan="chunked",
    )  # fmt: skip
    torch.set_num_threads(threads)


def test_a_run_learns_and_repeats_itself(settings: Settings) -> None:
    first = run_cell(Cell(FULL, (), 0), settings)
    again = run_cell(Cell(FULL, (), 0), settings)
    assert first["figures"] == again["figures"]
    assert first["loss"] == again["loss"]
    short = run_cell(Cell(FULL, (), 0), Settings(**{**vars(settings), "steps": 1}))
    assert first["loss"] < 0.8 * short["loss"]
    assert run_cell(Cell(FULL, (), 1), settings)["loss"] != first["loss"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 13}, "clips of 12 frames cannot train a network on 13"),
        ({"device": "cuda"}, "finds no CUDA device"),
        ({"scan": "quick"}, "scan 'quick'"),
        ({"learning_rate": 1e30, "steps": 3}, "use a smaller --learning-rate"),
        ({"data": ("gone.npz",)}, "gone.npz"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_runs_that_cannot_be(settings: Settings, change: dict[str, object], message: str) -> None:
    if change.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(InputError, match=message):
        run_cell(Cell(FULL, (), 0), Settings(**{**vars(settings), **change}))


DATA = ("ablate", "--data", "train.npz", "--val", "val_motions.npz")
RUN = (*DATA, "--steps", "1", *TINY)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("table", "--json", "--markdown"), "exclude each other"),
        (("table", "--ckpt", "tiny.pth.tr"), "errors need both"),
        (("table", "--h36m", "gone.pkl"), "errors need both"),
        (("table", "--frames", "0"), "0"),
        ((*DATA, "-o", "o"), "Missing option '--steps'"),
        ((*DATA, "--steps", "0", "-o", "o"), "0"),
        ((*DATA, "--steps", "1", "--variant", "S", "--depth", "2", "-o", "o"), "--variant fixes"),
        ((*DATA, "--steps", "1", "--variant", "Q", "-o", "o"), "'Q' is not a choice"),
        ((*DATA, "--steps", "1", "--scan", "reference", "-o", "o"), "'reference' is not a choice"),
        ((*DATA, "--steps", "1", "--device", "tpu", "-o", "o"), "'tpu' is not a choice"),
        ((*DATA, "--val", "val_motions.npz", "--steps", "1", "-o", "o"), "have the same name"),
        ((*DATA, "--val", "gone.npz", "--steps", "1", "-o", "o"), "gone.npz: cannot be read"),
        (("ablate", "--val", "val_motions.npz", "--steps", "1", "-o", "o"), "--data"),
        ((*DATA, "--steps", "1", "-o", "train.npz"), "train.npz"),
        ((*RUN, "--batch", "999999", "-o", "o"), "6 clips, fewer than a batch of 999999"),
        ((*RUN, "--learning-rate", "nan", "-o", "o"), "--learning-rate"),
        ((*RUN, "--learning-rate", "1e300", "-o", "o"), "learning_rate"),
        ((*RUN, "--cuda-graph", "-o", "o"), "cuda_graph needs a CUDA device"),
        ((*RUN, "--scan", "mamba-ssm", "-o", "o"), "scan mamba-ssm needs"),
        ((*RUN, "--frames", "13", "-o", "o"), "'train.npz': clips of 12 frames"),
        (
            (*RUN, "--val", "coco.npz", "-o", "o"),
            "'coco.npz': keypoints_2d has shape (6, 12, 16, 2)",
        ),
        (
            (*RUN, "--data", "coco.npz", "-o", "o"),
            "'coco.npz': keypoints_2d has shape (6, 12, 16, 2)",
        ),
        ((*RUN, "--val", "still.npz", "-o", "o"), "'still.npz': clips of one frame"),
        ((*RUN, "--val", "junk.npz", "-o", "o"), "junk.npz"),
    ],
    ids=lambda value: " ".join(value[-4:]) if isinstance(value, tuple) else "",
)
def test_wrong_requests_are_one_line(here: Path, arguments: tuple[str, ...], message: str) -> None:
    with np.load("train.npz") as arrays:
        cut = {name: arrays[name][:, :, :16] for name in ("keypoints_2d", "poses_3d")}
        np.savez(here / "coco.npz", **{**arrays, **cut})
    save_clip_set(here / "still.npz", swings(4, 6, frames=1))
    (here / "junk.npz").write_text("no archive")
    line = invoke(*arguments, code=2)
    assert message in line
    assert line.count("\n") == 1
    assert not Path("o").exists()


def test_a_run_that_diverges_does_not_lock_the_folder() -> None:
    run = (*DATA, "--steps", "3", "--seeds", "1", *TINY, "-o", "o")
    line = invoke(*run, "--learning-rate", "1e29", code=2)
    assert "use a smaller --learning-rate" in line
    assert not Path("o").exists()
