"""What ``posemamba train`` and ``evaluate`` refuse: one line, before work, and nothing written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from data_set_files import mpi_test, save_object_npz
from places import TINY as GOLDEN

from posemamba.cli.main import cli
from posemamba.data.clip_set import ClipSet, save_clip_set
from posemamba.training.run import Run

TINY = ("--depth", "2", "--d-model", "8", "--frames", "6")
TRAIN = ("train", "--data", "train.npz", *TINY, "--steps", "2")
EVALUATE = ("evaluate", "--ckpt", "tiny.pth.tr", "--data", "val.npz")


def clips(count: int, frames: int = 9) -> ClipSet:
    poses = np.random.default_rng(count).normal(size=(count, frames, 17, 3)).astype(np.float32)
    return ClipSet(
        keypoints_2d=poses[..., :2] * 0.1,
        poses_3d=poses - poses[:, :, :1],
        mm_per_unit=np.full(count, 1000.0, dtype=np.float32),
        names=tuple(map(str, range(count))),
    )


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(GOLDEN, tmp_path / "tiny.pth.tr")
    save_clip_set(tmp_path / "train.npz", clips(6))
    save_clip_set(tmp_path / "val.npz", clips(3))
    save_clip_set(tmp_path / "still.npz", clips(3, frames=1))
    lost = clips(6)
    lost.poses_3d[1, 2] = 0.0  # a frame that nobody measured
    save_clip_set(tmp_path / "lost.npz", lost)
    save_object_npz(tmp_path / "mpi.npz", mpi_test())
    with np.load(tmp_path / "val.npz") as arrays:
        cut = {name: arrays[name][:, :, :16] for name in ("keypoints_2d", "poses_3d")}
        np.savez(tmp_path / "coco.npz", **{**arrays, **cut})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def refused(here: Path, *arguments: str) -> str:
    before = tree(here)
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stdout == ""
    assert tree(here) == before
    return result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--batch-size", "11"), "6 clips, fewer than a batch of 11: use a smaller batch"),
        (("--d-model", "9999999"), "d_model is 9999999: it must be from 1 to 4096"),
        (("--depth", "99999999"), "depth is 99999999: it must be from 1 to 100"),
        (("--depth", "0"), "depth is 0"),
        (("--d-model", "0"), "d_model is 0"),
        (("--learning-rate", "1e300"), "learning_rate is 1e+300"),
        (("--noise", "1e39"), "noise is 1e+39"),
        (("--scan", "mamba-ssm"), "scan mamba-ssm needs"),
        (("--minutes", "1e-9"), "1e-09 minutes are over before the first step: allow more"),
        (("--minutes", "inf"), "minutes is inf"),
        (("--minutes", "nan"), "minutes is nan"),
        (("--frames", "27"), "'train.npz': clips of 9 frames cannot train a network on 27"),
        (("--val", "coco.npz"), "'coco.npz': keypoints_2d has shape (3, 9, 16, 2)"),
        (("--val", "still.npz"), "'still.npz': clips of one frame"),
        (("--val", "lost.npz"), "'lost.npz': poses_3d of clip '1', frame 2, has all joints at one"),
        (("--data", "lost.npz"), "'lost.npz': poses_3d of clip '1', frame 2, has all joints"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_refused_runs_leave_no_folder(here: Path, arguments: tuple[str, ...], words: str) -> None:
    assert words in refused(here, *TRAIN, "--out", "made/run", *arguments)


@pytest.mark.parametrize("held", ["last.pth.tr", "final.safetensors"])
def test_an_earlier_run_is_not_trained_over(here: Path, held: str) -> None:
    (here / "run").mkdir()
    (here / "run" / held).write_text("weeks of work")
    line = refused(here, *TRAIN, "--out", "run")
    assert (
        f"'run' holds a run ({held}): go on with --resume, or name another folder with -o" in line
    )


def blocked_by_file(here: Path) -> str:
    (here / "run").write_text("")
    return "run"


def below_a_file(here: Path) -> str:
    return f"{blocked_by_file(here)}/deeper"


def blocked_state(here: Path) -> str:
    (here / "run" / "last.pth.tr").mkdir(parents=True)
    return "run"


def blocked_weights(here: Path) -> str:
    (here / "run" / "final.safetensors").mkdir(parents=True)
    return "run"


def no_place_for_files(_here: Path) -> str:
    return "/proc/run"  # takes no files of root's either


@pytest.mark.parametrize(
    "block", [blocked_by_file, below_a_file, blocked_state, blocked_weights, no_place_for_files]
)
def test_a_blocked_out_is_noticed_before_training(
    here: Path, monkeypatch: pytest.MonkeyPatch, block: Callable[[Path], str]
) -> None:
    monkeypatch.setattr(Run, "train", lambda _: pytest.fail("it trained"))
    assert "name another" in refused(here, *TRAIN, "--out", block(here))


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No checkpoint is read: the request is refused before any work."""
    monkeypatch.setattr(
        "posemamba.checkpoint.read.load_checkpoint", lambda *_, **__: pytest.fail("it was loaded")
    )


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("val.npz", "'val.npz' is the input"),
        ("./tiny.pth.tr", "'tiny.pth.tr' is the input"),
        ("e.txt", "'e.txt' must end in '.json'"),
        ("", "the name is empty"),
        ("link.json", "'link.json' is the input"),
        ("folder", "'folder' is a directory"),
        ("pipe", "'pipe' is a pipe or a device"),
        ("gone/e.json", "folder 'gone' does not exist"),
        ("/proc/e.json", "folder '/proc' cannot be written"),
    ],
)
def test_json_targets_are_checked_first(here: Path, target: str, words: str) -> None:
    (here / "link.json").symlink_to("val.npz")
    (here / "folder").mkdir()
    os.mkfifo(here / "pipe")
    assert words in refused(here, *EVALUATE, "--json", target)


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--gt-2d",), "--gt-2d is for --protocol h36m"),
        (("--protocol", "3dhp", "--gt-2d"), "--gt-2d is for --protocol h36m"),
        (("--frames", "9"), "--frames is for --protocol 3dhp"),
        (("--frames", "27"), "--frames is for --protocol 3dhp"),
        (("--protocol", "h36m", "--frames", "9"), "--frames is for --protocol 3dhp"),
        (("--protocol", "3dhp", "--frames", "0"), "'--frames'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_of_another_protocol(here: Path, arguments: tuple[str, ...], words: str) -> None:
    assert words in refused(here, *EVALUATE, *arguments)


def test_frames_of_3dhp_are_27_unless_said() -> None:
    command = ("evaluate", "--ckpt", "tiny.pth.tr", "--data", "mpi.npz", "--protocol", "3dhp")
    texts = [
        CliRunner().invoke(cli, [*command, *frames]).stdout
        for frames in ((), ("--frames", "27"), ("--frames", "9"))
    ]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("val", "told"), [("train.npz", True), ("copy.npz", True), ("val.npz", False)]
)
def test_validation_on_what_is_trained_on_is_told(here: Path, val: str, told: bool) -> None:
    shutil.copy(here / "train.npz", here / "copy.npz")
    words = [*TRAIN, "--batch", "2", "--val", val, "-o", f"run-{val}"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert (f"'{val}': is trained on too, so its error says nothing" in result.stderr) == told
