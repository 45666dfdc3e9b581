"""Files that are something else: pipes, damaged archives, sources as targets, endless motions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from data_set_files import human36m, mpi_test, save_object_npz, save_pickle
from places import TINY as GOLDEN

from posemamba.cli.main import cli
from posemamba.data.clip_set import ClipSet, save_clip_set
from posemamba.data.synthetic.humanoid import LINKS, read_motion
from posemamba.pose.clips import save_clips


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(GOLDEN, tmp_path / "tiny.pth.tr")
    for name in ("pipe", "pipe.npz"):
        os.mkfifo(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert "not expected" not in result.stderr
    return result.stderr


def clip_arrays(**change: Any) -> dict[str, Any]:
    arrays = {
        "keypoints_2d": np.zeros((2, 9, 17, 2), np.float32),
        "poses_3d": np.zeros((2, 9, 17, 3), np.float32),
        "mm_per_unit": np.ones(2, np.float32),
        "names": np.array(["a", "b"]),
    }
    return arrays | change


EVALUATE = ("evaluate", "--ckpt", "tiny.pth.tr", "--data")


@pytest.mark.parametrize(
    "arguments",
    [
        (*EVALUATE, "pipe"),
        (*EVALUATE, "pipe", "--protocol", "h36m"),
        (*EVALUATE, "pipe", "--protocol", "3dhp"),
        ("data", "h36m", "--source", "pipe", "-o", "out"),
        ("data", "3dhp", "--source", "pipe", "--split", "test", "-o", "out"),
        ("data", "amass", "--source", "pipe.npz", "-o", "out"),
        ("data", "pose2sim", "--wheel", "pipe", "-o", "out"),
        ("plot", "skeleton", "--ckpt", "tiny.pth.tr", "--inputs", "pipe", "-o", "p.png"),
        ("ablate", "--data", "pipe", "--val", "pipe", "--steps", "1", "-o", "out"),
        ("train", "--config", "pipe", "--data", "none.npz", "--out", "out"),
    ],
)
@pytest.mark.timeout(60)  # a pipe that is opened waits for its writer
def test_a_pipe_is_refused_at_once(arguments: tuple[str, ...], here: Path) -> None:
    assert ": is a pipe or a device" in refused(*arguments)
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": np.array("a")}, "something else, or damaged"),
        ({"names": np.array([None, {}], dtype=object)}, "something else, or damaged"),
        ({"keypoints_2d": np.zeros((2, 9, 17, 2), complex)}, "something else, or damaged"),
        ({"keypoints_2d": np.zeros((2, 9, 16, 2), np.float32)}, "not (clips, frames, 17, 2)"),
        ({"mm_per_unit": np.zeros(2, np.float32)}, "not positive"),
    ],
)
def test_clip_sets_of_another_kind(change: dict[str, Any], words: str, here: Path) -> None:
    np.savez(here / "set.npz", **clip_arrays(**change))
    line = refused(*EVALUATE, "set.npz")
    assert words in line
    assert "'set.npz'" in line


@pytest.mark.parametrize("kind", ["array", "text", "cut", "scrambled"])
@pytest.mark.parametrize("command", ["evaluate", "plot", "amass"])
def test_damaged_archives(kind: str, command: str, here: Path) -> None:
    whole = here / "whole.npz"
    np.savez_compressed(whole, **clip_arrays(poses_3d=np.random.rand(2, 9, 17, 3)))
    content = bytearray(whole.read_bytes())
    if kind == "array":
        np.save(here / "x.npy", np.zeros(3))
        (here / "x.npy").rename(here / "set.npz")
    elif kind == "text":
        (here / "set.npz").write_text("not an archive")
    elif kind == "cut":
        (here / "set.npz").write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 4 : len(content) // 2] = b"\xff" * (
            len(content) // 2 - len(content) // 4
        )
        (here / "set.npz").write_bytes(content)
    arguments = {
        "evaluate": (*EVALUATE, "set.npz"),
        "plot": ("plot", "skeleton", "--ckpt", "tiny.pth.tr", "--inputs", "set.npz", "-o", "p.png"),
        "amass": ("data", "amass", "--source", "set.npz", "--frames", "27", "-o", "out"),
    }[command]
    line = refused(*arguments)
    assert "set.npz" in line
    assert "pickle" not in line  # NumPy's advice to load it unsafely
    assert not (here / "p.png").exists()


def test_sources_are_not_overwritten(here: Path) -> None:
    save_object_npz(here / "test.npz", mpi_test())
    motions = np.zeros((40, 17, 3), np.float32)
    np.savez(here / "train.npz", walk=motions)
    before = {name: (here / name).read_bytes() for name in ("test.npz", "train.npz")}
    line = refused("data", "3dhp", "--source", "test.npz", "--split", "test", "--frames", "3",
                   "-o", ".")  # fmt: skip
    assert "test.npz: is the source" in line
    refused("data", "amass", "--source", "train.npz", "--frames", "27", "-o", ".")
    assert {name: (here / name).read_bytes() for name in before} == before


def test_a_label_without_size_names_the_file(here: Path) -> None:
    content = human36m()
    content["train"]["joint3d_image"][:] = 0.0
    save_pickle(here / "h.pkl", content)
    assert refused("data", "h36m", "--source", "h.pkl", "--frames", "9", "-o", "out").startswith(
        "Error: h.pkl: "
    )


def motion_rows(count: int = 5) -> np.ndarray[Any, Any]:
    rows = np.zeros((count, 44))
    rows[:, 0] = 0.05
    for first in (4, *(first for _, _, _, first, width in LINKS if width == 4)):
        rows[:, first] = 1.0
    return rows


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ((slice(None), 0), 0.0, "duration 0 s"),
        ((1, 0), -0.1, "duration -0.1 s"),
        ((slice(None), 0), 1e-6, "lasts 4e-06 s"),
        ((slice(None), 0), 1e13, "lasts 4e+13 s"),
        ((2, 0), np.inf, "NaN or infinity"),
        ((2, 7), np.nan, "NaN or infinity"),
        ((slice(None), slice(4, 8)), 0.0, "no unit quaternion"),
    ],
)
@pytest.mark.timeout(60)  # a motion without a frame was repeated for ever
def test_motions_without_time_or_pose(place: Any, value: float, words: str, here: Path) -> None:
    rows = motion_rows()
    write = {"Loop": "wrap", "Frames": rows.tolist()}
    (here / "humanoid3d_ok.txt").write_text(json.dumps(write))
    assert read_motion(here / "humanoid3d_ok.txt").positions.shape == (11, 17, 3)
    rows[place] = value
    (here / "m").mkdir()
    write["Frames"] = rows.tolist()
    (here / "m" / "humanoid3d_x.txt").write_text(json.dumps(write))
    line = refused("data", "pybullet", "--motions", "m", "--clips", "1", "--frames", "9",
                   "-o", "out")  # fmt: skip
    assert words in line
    assert "humanoid3d_x.txt" in line


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (None, "is no .npz file: save keypoints_2d and poses_3d"),
        (b"PK\x03\x04" + bytes(60), "is damaged"),
        ({"keypoints_2d": np.full((1, 9, 17, 2), 640.0)}, "reaches 640, as pixels do"),
        ({"keypoints_2d": np.full((1, 9, 17, 2), np.nan)}, "holds NaN or Inf"),
        ({"poses_3d": np.array([{}], dtype=object)}, "no .npz file of plain arrays"),
    ],
)
def test_references_of_another_kind(
    arrays: dict[str, Any] | bytes | None, words: str, here: Path
) -> None:
    good = {"keypoints_2d": np.zeros((1, 9, 17, 2)), "poses_3d": np.zeros((1, 9, 17, 3))}
    if isinstance(arrays, dict):
        np.savez(here / "io.npz", **(good | arrays))
    else:
        (here / "io.npz").write_bytes(arrays or b"poses_3d\n")
    line = refused("which-scan", "--ckpt", "tiny.pth.tr", "--reference", "io.npz")
    assert "io.npz" in line
    assert words in line
    assert "pickle" not in line


def test_folders_are_refused_before_the_work(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "posemamba.data.synthetic.motion_clips.make_clips", lambda *_: pytest.fail("made")
    )
    line = refused("data", "pybullet", "-o", "tiny.pth.tr")
    assert "'tiny.pth.tr' is a file: name another folder" in line


@pytest.mark.parametrize("name", ["p.pgf", "p.ps", "p.rgba"])
def test_pictures_of_other_kinds_are_refused(name: str, here: Path) -> None:
    line = refused("plot", "skeleton", "--ckpt", "tiny.pth.tr", "-o", name)
    assert "use .png, .svg or .pdf" in line
    assert not (here / name).exists()


def test_a_closed_pipe_is_not_a_failed_check() -> None:
    """``posemamba count | head -1``: whoever reads has gone, which no check did."""
    process = subprocess.Popen(
        [sys.executable, "-m", "posemamba", "count"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    assert (process.wait(timeout=60), errors) == (141, "")


@pytest.mark.parametrize("command", [("evaluate", "--ckpt", "tiny.pth.tr"), ("train", "-o", "run")])
def test_clips_without_truth(command: tuple[str, ...], here: Path) -> None:
    save_clips(here / "clips.npz", {"person 3": np.zeros((4, 17, 2), np.float32)})
    result = CliRunner().invoke(cli, [*command, "--data", "clips.npz"])
    assert result.exit_code == 2
    assert "'clips.npz': holds clips without 3D poses" in result.stderr


def test_integers_in_a_clip_set_become_floats(here: Path) -> None:
    poses = np.arange(2 * 9 * 17 * 3, dtype=np.float32).reshape(2, 9, 17, 3) % 7 / 7
    arrays = clip_arrays(keypoints_2d=np.zeros((2, 9, 17, 2), np.int64), poses_3d=poses)
    np.savez(here / "set.npz", **arrays)
    result = CliRunner().invoke(cli, ["evaluate", "--ckpt", "tiny.pth.tr", "--data", "set.npz"])
    assert result.exit_code == 0, result.output
    save_clip_set(here / "again.npz", ClipSet(
        *(np.asarray(arrays[n], np.float32) for n in ("keypoints_2d", "poses_3d", "mm_per_unit")),
        ("a", "b"),
    ))  # fmt: skip
    again = CliRunner().invoke(cli, ["evaluate", "--ckpt", "tiny.pth.tr", "--data", "again.npz"])
    assert again.stdout == result.stdout
