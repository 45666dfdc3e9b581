"""``posemamba data``: what it writes, and one line for every file that is not what it should be."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keypoint_files
import numpy as np
import pytest
from click.testing import CliRunner, Result
from climbing_wheel import write_wheel
from data_set_files import human36m, mpi_test, mpi_train, save_object_npz, save_pickle

from posemamba.cli.main import cli
from posemamba.data.clip_set import load_clip_set
from posemamba.data.synthetic import climbing
from posemamba.data.synthetic.cameras import CAMERAS
from posemamba.pose.keypoints import detections_to_h36m
from posemamba.pose.preprocess import normalize_2d


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in args])


def test_pybullet(tmp_path: Path) -> None:
    out = tmp_path / "made" / "demo"
    result = run("data", "pybullet", "-o", out, "--clips", 5, "--held-out-clips", 2,
                 "--frames", 27)  # fmt: skip
    assert result.exit_code == 0, result.output
    sets = {path.stem: load_clip_set(path) for path in out.iterdir()}
    assert {name: len(clips) for name, clips in sets.items()} == {
        "train": 5, "val_motions": 2, "val_cameras": 2, "val_both": 2,
    }  # fmt: skip
    from posemamba.data.synthetic.motion_clips import HELD_OUT_MOTIONS

    for name, clips in sets.items():
        held = {motion.split("/")[0] in HELD_OUT_MOTIONS for motion in clips.names}
        assert held == {name in ("val_motions", "val_both")}
        assert "zlib licence" in clips.origin
    again = tmp_path / "again"
    assert run("data", "pybullet", "-o", again, "--clips", 5, "--held-out-clips", 2,
               "--frames", 27).exit_code == 0  # fmt: skip
    np.testing.assert_array_equal(
        load_clip_set(again / "train.npz").poses_3d, sets["train"].poses_3d
    )


def test_climbing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside pybullet's: the same files, trained on together, with the licence as claimed."""
    wheel = write_wheel(tmp_path / "holosoma.whl", monkeypatch)
    out = tmp_path / "climb"
    counts = ("--clips", 6, "--held-out-clips", 2, "--frames", 9)
    result = run("data", "climbing", "--wheel", wheel, "-o", out, *counts)
    assert result.exit_code == 0, result.output
    sets = {path.stem: load_clip_set(path) for path in out.iterdir()}
    assert set(sets) == {"train", "val_motions", "val_cameras", "val_both"}
    for name, clips in sets.items():
        held = {motion.split("/")[0] == "climb_4" for motion in clips.names}
        assert held == {name in ("val_motions", "val_both")}
        assert "metadata claims Apache-2.0" in clips.origin
    assert "metadata claims Apache-2.0" in result.output
    with zipfile.ZipFile(wheel, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(climbing.RECORDINGS[1].path, b"another")
    result = run("data", "climbing", "--wheel", wheel, "-o", tmp_path / "none", *counts)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "SHA-256" in result.stderr
    assert not (tmp_path / "none").exists()


def test_cameras_by_name(tmp_path: Path) -> None:
    counts = ("--clips", 8, "--held-out-clips", 1, "--frames", 9)
    middles = {}
    for name in CAMERAS:
        result = run("data", "pybullet", "-o", tmp_path / name, "--cameras", name, *counts)
        assert result.exit_code == 0, result.output
        keypoints = load_clip_set(tmp_path / name / "train.npz").keypoints_2d
        middles[name] = float(np.abs(keypoints[:, :, 0].mean(1)).max())
    assert middles["centred"] < 0.05 < 0.2 < middles["varied"]
    result = run("data", "pybullet", "-o", tmp_path / "x", "--cameras", "varid")
    assert result.exit_code == 2
    assert "varied" in result.stderr


def test_keypoints_of_a_detector(tmp_path: Path) -> None:
    """By the reader of ``lift``: its formats, its refusals."""
    film = keypoint_files.film("halpe26", 12)
    people = [
        {"image_id": f"{i}.jpg", "category_id": 1, "idx": 4, "score": 1.0,
         "keypoints": np.column_stack([points[0], np.ones(26)]).ravel().tolist()}
        for i, points in enumerate(film)
    ]  # fmt: skip
    source, out = tmp_path / "alphapose-results.json", tmp_path / "clips.npz"
    source.write_text(json.dumps(people))
    result = run("data", "keypoints", "--source", source, "-o", out)
    assert result.exit_code == 2
    assert "give --size WxH" in result.stderr
    size = ("--size", f"{keypoint_files.WIDTH}x{keypoint_files.HEIGHT}")
    result = run("data", "keypoints", "--source", source, *size, "-o", out)
    assert result.exit_code == 0, result.output
    joints = detections_to_h36m(film[:, 0], "halpe26")
    expected = normalize_2d(joints, keypoint_files.WIDTH, keypoint_files.HEIGHT)
    with np.load(out) as clips:
        assert clips.files == ["person 4"]
        np.testing.assert_allclose(clips["person 4"], expected, atol=3e-7)  # float32
    for words, says in (
        (("--size", "big"), "is no size"),
        (("--format", "openpse", *size), "did you mean 'openpose'"),
        (("--format", "yolo", *size), "leave --format out"),
        (("--layout", "coco19", *size), "use one of"),
        ((*size, "-o", source), "must end in '.npz'"),
    ):
        result = run("data", "keypoints", "--source", source, "-o", out, *words)
        assert result.exit_code == 2
        assert says in result.stderr


def test_data_sets(tmp_path: Path) -> None:
    h36m = save_pickle(tmp_path / "h.pkl", human36m())
    train = save_object_npz(tmp_path / "train3.npz", mpi_train())
    test = save_object_npz(tmp_path / "test3.npz", mpi_test())
    poses = tmp_path / "walk.npy"
    np.save(poses, np.random.default_rng(0).uniform(0, 1, (30, 17, 3)))
    for args, files in (
        (("h36m", "--source", h36m, "--frames", 6), {"train", "test"}),
        (("3dhp", "--source", train), {"train"}),
        (("3dhp", "--source", test, "--split", "test", "--frames", 4), {"test"}),
        (("amass", "--source", poses, "--frames", 9, "--stride", 4), {"train"}),
    ):
        out = tmp_path / f"{args[0]}{len(files)}{args[-1]}"
        result = run("data", *args, "-o", out)
        assert result.exit_code == 0, result.output
        assert {path.stem for path in out.iterdir()} == files
        for path in out.iterdir():
            assert str(len(load_clip_set(path))) in result.output


Change = Callable[[dict[str, Any]], object]


def without(*keys: str) -> Change:
    def change(content: dict[str, Any]) -> object:
        part = content
        for key in keys[:-1]:
            part = part[key]
        del part[keys[-1]]
        return content

    return change


def having(value: Callable[[Any], object], *keys: str) -> Change:
    def change(content: dict[str, Any]) -> object:
        part = content
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value(part[keys[-1]])
        return content

    return change


def with_nan(values: Any) -> Any:
    values = np.array(values, dtype=float)
    values.flat[0] = np.nan
    return values


BAD_H36M: list[tuple[Change, str]] = [
    (without("test"), "no 'test' split"),
    (without("train"), "no 'train' split"),
    (lambda _: [1, 2], "no 'train' split"),
    (lambda _: None, "no 'train' split"),
    (without("test", "2.5d_factor"), "no '2.5d_factor'"),
    (without("train", "source"), "no 'source'"),
    (without("test", "joint_2d"), "no 'joint_2d'"),
    (having(with_nan, "train", "joint_2d"), "NaN"),
    (having(with_nan, "test", "joints_2.5d_image"), "NaN"),
    (having(lambda v: v[:, :16], "test", "joint_2d"), "shape (36, 16, 2)"),
    (having(lambda v: v[..., :2], "train", "joint3d_image"), "expected 3 coordinates"),
    (having(lambda v: v[:-1], "test", "2.5d_factor"), "shape (35,)"),
    (having(lambda v: v[:-1], "test", "action"), "35 actions"),
    (having(lambda v: ["12345678", *v[1:]], "train", "camera_name"), "camera '12345678'"),
    (having(lambda v: np.arange(len(v)), "test", "action"), "no list of names"),
    (having(lambda v: [str(x) for x in v], "test", "2.5d_factor"), "holds no numbers"),
    (having(lambda v: [[1.0], [2.0, 3.0]], "test", "2.5d_factor"), "holds no numbers"),
    (lambda content: {**content, "train": Path("x")}, "no plain data"),
]

BAD_3DHP: list[tuple[Change, str]] = [
    (lambda _: {}, "no dictionary of sequences"),
    (lambda _: [1], "not one dictionary"),
    (lambda _: {"TS1": None}, "no 'valid'"),
    (without("TS1", "valid"), "no 'valid'"),
    (without("TS5", "data_2d"), "no 'data_2d'"),
    (having(with_nan, "TS1", "data_3d"), "NaN"),
    (having(lambda v: v[:-1], "TS6", "data_3d"), "shape (3, 17, 3)"),
    (having(lambda v: v[:-1], "TS6", "valid"), "shape (3,)"),
    (having(lambda v: v[:0], "TS6", "data_2d"), "no frames"),
    (lambda content: {**content, "TS2": Path("x")}, "no plain data"),
]


def check_refusal(result: Result, source: Path, words: str, out: Path) -> None:
    assert result.exit_code == 2, result.output
    lines = result.output.strip().splitlines()
    assert len(lines) == 1, result.output
    assert lines[0].startswith("Error: ")
    assert str(source) in lines[0]
    assert words in lines[0]
    assert not out.exists()


@pytest.mark.parametrize(("change", "words"), BAD_H36M, ids=range(len(BAD_H36M)))
def test_bad_human36m(tmp_path: Path, change: Change, words: str) -> None:
    source = save_pickle(tmp_path / "h.pkl", change(human36m()))
    out = tmp_path / "out"
    check_refusal(run("data", "h36m", "--source", source, "-o", out), source, words, out)


@pytest.mark.parametrize(("change", "words"), BAD_3DHP, ids=range(len(BAD_3DHP)))
def test_bad_3dhp(tmp_path: Path, change: Change, words: str) -> None:
    content: Any = mpi_test()
    source = save_object_npz(tmp_path / "t.npz", change(content))
    out = tmp_path / "out"
    result = run("data", "3dhp", "--source", source, "--split", "test", "-o", out)
    check_refusal(result, source, words, out)


@pytest.mark.parametrize(
    ("command", "name", "content", "words"),
    [
        (("h36m",), "h.pkl", b"", "truncated"),
        (("h36m",), "h.pkl", b"not a pickle", "not a pickle"),
        (("h36m",), "h.pkl", None, "cannot be read"),
        (("3dhp",), "t.npz", b"", "not an NPZ"),
        (("3dhp",), "t.npz", b"PK\x03\x04 cut", "not an NPZ"),
        (("3dhp",), "t.npz", None, "cannot be read"),
        (("amass",), "a.txt", b"1 2 3", "not a .pkl, .npy or .npz"),
        (("amass",), "a.npy", b"\x93NUMPY", "not an array file"),
        (("amass",), "a.npz", b"PK", "not an array file"),
        (("amass",), "a.pkl", b"]q\x00.", "no list of arrays"),
        (("amass",), "a.npy", None, "cannot be read"),
    ],
)
def test_files_that_are_none(
    tmp_path: Path, command: tuple[str, ...], name: str, content: bytes | None, words: str
) -> None:
    source = tmp_path / name
    if content is not None:
        source.write_bytes(content)
    out = tmp_path / "out"
    check_refusal(run("data", *command, "--source", source, "-o", out), source, words, out)


@pytest.mark.parametrize(
    ("poses", "words"),
    [
        (np.zeros((9, 16, 3)), "shape (9, 16, 3)"),
        (np.full((9, 17, 3), np.nan), "NaN"),
        (np.arange(9.0 * 17 * 3).reshape(9, 17, 3), "give metres"),
        (np.zeros((9, 17, 3)), "give metres"),
        (np.zeros((0, 17, 3)), "no frames"),
        (np.array(["x"]), "holds no numbers"),
        (np.array([None]), "not an array file"),
    ],
)
def test_poses_that_are_none(tmp_path: Path, poses: Any, words: str) -> None:
    source = tmp_path / "walk.npy"
    np.save(source, poses, allow_pickle=True)
    out = tmp_path / "out"
    check_refusal(run("data", "amass", "--source", source, "-o", out), source, words, out)


def test_training_file_given_as_test_and_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    train = save_object_npz(tmp_path / "train.npz", mpi_train())
    result = run("data", "3dhp", "--source", train, "--split", "test", "-o", out)
    check_refusal(result, train, "not data_test_3dhp.npz", out)
    test = save_object_npz(tmp_path / "test.npz", mpi_test())
    check_refusal(
        run("data", "3dhp", "--source", test, "-o", out), test, "not data_train_3dhp.npz", out
    )
    plain = tmp_path / "plain.npz"
    np.savez(plain, data=np.zeros(3), other=np.zeros(3))
    check_refusal(
        run("data", "3dhp", "--source", plain, "-o", out), plain, "not one dictionary", out
    )
    np.savez(plain, other=np.zeros(3))
    check_refusal(run("data", "3dhp", "--source", plain, "-o", out), plain, "no array 'data'", out)


def test_motions_that_are_none(tmp_path: Path) -> None:
    out = tmp_path / "out"
    folder = tmp_path / "motions"
    folder.mkdir()
    check_refusal(
        run("data", "pybullet", "--motions", folder, "-o", out), folder, "no humanoid3d_*.txt", out
    )
    file = folder / "humanoid3d_x.txt"
    for text, words in (
        ("{", "no motion file"),
        ("{}", "no motion file"),
        (json.dumps({"Loop": "wrap", "Frames": [[1.0] * 43] * 3}), "not (2 or more, 44)"),
    ):
        file.write_text(text)
        check_refusal(run("data", "pybullet", "--motions", folder, "-o", out), file, words, out)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("data", "pybullet", "-o", tmp_path / "file", "--clips", 1,
                 "--held-out-clips", 1, "--frames", 9)  # fmt: skip
    assert result.exit_code == 2
    assert "is a file: name another folder" in result.output


@pytest.mark.parametrize("protocol", ["h36m", "3dhp"])
def test_evaluate_by_protocol(tmp_path: Path, protocol: str) -> None:
    """The command end to end on a tiny untrained network."""
    import torch

    from posemamba.checkpoint.save import save_checkpoint
    from posemamba.config import PoseMambaConfig
    from posemamba.model.network import PoseMamba

    torch.manual_seed(0)
    ckpt = tmp_path / "tiny.safetensors"
    save_checkpoint(PoseMamba(PoseMambaConfig(depth=1, d_model=16, frames=27)), ckpt)
    source = (
        save_pickle(tmp_path / "h.pkl", human36m())
        if protocol == "h36m"
        else save_object_npz(tmp_path / "t.npz", mpi_test())
    )
    figures = tmp_path / "figures.json"
    frames = ("--frames", 9) if protocol == "3dhp" else ()
    result = run("evaluate", "--ckpt", ckpt, "--data", source, "--protocol", protocol, *frames,
                 "--flip", "--json", figures)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(figures.read_text())["mpjpe_mm"] > 0
