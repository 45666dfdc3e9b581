"""``lift`` with a real model: the poses are PyTorch's, and what was done is told."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keypoint_files as files
import numpy as np
import onnx
import pytest
import torch
from golden_cases import CHECKPOINT

from posemamba import load_checkpoint
from posemamba.pose.keypoints import detections_to_h36m
from posemamba.pose.preprocess import normalize_2d
from posemamba_runtime.cli import cache, demo, main
from posemamba_runtime.errors import BadArgument, Missing
from posemamba_runtime.outputs import FORMATS
from posemamba_runtime.recordings import LiftOptions

SIZE = ["--size", f"{files.WIDTH}x{files.HEIGHT}"]
TOLERANCE = 2e-5  # network units: what ONNX Runtime and PyTorch differ by on this checkpoint
WINDOW = 27


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def _torch(points: files.Array, layout: str) -> files.Array:
    """One clip of at most 27 frames through PyTorch and training's own preparation."""
    clip = normalize_2d(detections_to_h36m(points, layout), files.WIDTH, files.HEIGHT)
    with torch.inference_mode():
        poses = load_checkpoint(CHECKPOINT)(torch.from_numpy(clip[None].astype(np.float32)))[0]
    relative: files.Array = (poses - poses[:, :1]).numpy().astype(np.float64)
    return relative


@pytest.mark.parametrize("layout", ["coco17", "body25", "halpe26", "mediapipe33", "wholebody133"])
def test_poses_are_those_of_pytorch(
    layout: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = files.film(layout, 20)
    film[5:9, 0, 9] = 0  # a gap, filled on the way
    path = tmp_path / "k.jsonl"
    path.write_text(files.lines(film))
    assert main(["lift", str(model), str(path), "-o", "-", *SIZE]) == 0
    told = capsys.readouterr()
    poses = np.array([line["joints"] for line in _lines(told.out)])
    film[5:9, 0, 9] = np.nan
    assert np.abs(poses - _torch(film[:, 0], layout)).max() < TOLERANCE
    assert "Filled: " in told.err


def test_a_head_above_the_picture_is_lifted_as_it_is(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A place the conversion worked out may be negative in x and y; "not found" it is not."""
    film = files.film("coco17", 10)
    film[:, 0] -= film[:, 0, :1] - [20.0, 20.0]  # the nose near the corner, the head beyond it
    film[:, 0] = np.maximum(film[:, 0], 1.0)
    film[:, 0, 1:5] = [3.0, 2.0]
    expected = _torch(film[:, 0], "coco17")
    assert detections_to_h36m(film[:, 0], "coco17")[:, 10].min() < 0
    path = files.dump(tmp_path / "y.json", [files.yolo_frame(people) for people in film])
    assert main(["lift", str(model), str(path), "-o", "-", *SIZE]) == 0
    poses = np.array([line["joints"] for line in _lines(capsys.readouterr().out)])
    assert np.abs(poses - expected).max() < TOLERANCE


def test_a_model_that_does_not_say_how_many_frames_it_takes(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As other tools leave one behind: the window has to be said, and then it is lifted alike."""
    proto = onnx.load(model)
    del proto.metadata_props[:]
    bare = tmp_path / "bare.onnx"
    onnx.save(proto, bare)
    path = tmp_path / "k.jsonl"
    path.write_text(files.lines(files.film("coco17", 40)))
    for words, fix in (
        ([str(path), "-o", "-"], "give --window"),
        ([str(path), "-o", "-", "--policy", "last"], "set window"),
        (["-", "--live", "--latency-ms", "100", "--rate", "30"], "give --window and --policy"),
    ):
        assert main(["lift", str(bare), *words, *SIZE]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert f"'{bare}' does not say how many frames it takes" in told.err
        assert fix in told.err
    whole = ["--window", str(WINDOW)]
    told_poses = []
    for path_of_model in (model, bare):
        assert main(["lift", str(path_of_model), str(path), "-o", "-", *SIZE, *whole]) == 0
        told_poses.append(capsys.readouterr().out)
    assert told_poses[0] == told_poses[1]


@pytest.mark.parametrize(
    ("suffix", "says"),
    [
        ("npz", "the poses that 'lift' wrote"),
        ("json", "no keypoint format read here"),
        ("csv", "give what a detector wrote"),
        ("bvh", "a motion in 3D"),
        ("trc", "points in 3D"),
    ],
)
def test_poses_are_not_taken_for_keypoints(
    suffix: str, says: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "k.jsonl"
    path.write_text(files.lines(files.film("coco17", 5)))
    out, again = tmp_path / f"o.{suffix}", tmp_path / "again.npz"
    assert main(["lift", str(model), str(path), "-o", str(out), "--height-m", "1.7", *SIZE]) == 0
    capsys.readouterr()
    assert main(["lift", str(model), str(out), "-o", str(again), *SIZE]) == 2
    assert says in capsys.readouterr().err
    assert not again.exists()


@pytest.mark.parametrize(
    ("number", "what"), [(1, "1 person without body"), (2, "2 people without")]
)
def test_what_was_left_out_is_told(
    number: int, what: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = [files.openpose_frame(people) for people in files.film("body25", 5)]
    for frame in film[:number]:
        frame["people"].append({"person_id": [-1], "pose_keypoints_2d": []})
    path = files.dump(tmp_path / "k.json", film)
    assert main(["lift", str(model), str(path), "-o", str(tmp_path / "o.npz"), *SIZE]) == 0
    assert f"Left out: {what}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("height", "units", "told"),
    [
        (0.0, "", "network"), (0.0, "network", "network"), (1.7, "", "m"), (1.7, "mm", "mm"),
        (0.0, "m", None), (0.0, "mm", None), (1.7, "network", None), (1.7, "ft", None),
    ],
)  # fmt: skip
def test_units_are_those_of_the_poses(height: float, units: str, told: str | None) -> None:
    if told is None:
        with pytest.raises(BadArgument, match=f"units is '{units}' with"):
            LiftOptions(height_m=height, units=units)
    else:
        assert LiftOptions(height_m=height, units=units).units == told


def test_any_length_without_a_seam(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five windows: the first and the last half window are those of one clip alone."""
    film = files.film("coco17", 70)
    path = files.dump(tmp_path / "y.json", [files.yolo_frame(people) for people in film])
    assert main(["lift", str(model), str(path), "-o", "-", *SIZE]) == 0
    lines = _lines(capsys.readouterr().out)
    assert [line["frame"] for line in lines] == list(range(70))
    poses = np.array([line["joints"] for line in lines])
    start, hop = film[:WINDOW, 0], WINDOW // 2
    assert np.abs(poses[: hop - 1] - _torch(start, "coco17")[: hop - 1]).max() < TOLERANCE
    steps = np.abs(np.diff(poses, axis=0)).max(axis=(1, 2))[
        1:-1
    ]  # a clip's ends jump by themselves
    assert steps.max() < 4 * np.median(steps)


def test_people_gaps_and_units(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [*range(10), *range(12, 20), *range(55, 60)]
    film = files.film("coco17", 60, 2)
    entries = [e for e in files.coco_results(film) if e["image_id"] in frames]
    for index, entry in enumerate(entries):
        entry["track_id"] = index % 2
    path = files.dump(tmp_path / "r.json", entries)
    outs = {}
    for unit in ("m", "mm"):
        out = tmp_path / f"{unit}.npz"
        words = ["lift", str(model), str(path), "-o", str(out), *SIZE]
        assert main([*words, "--height-m", "1.8", "--units", unit, "--rate", "50"]) == 0
        with np.load(out) as archive:
            outs[unit] = {name: archive[name] for name in archive.files}
    told = capsys.readouterr().out
    assert "60 frames (37 missing), 2 people" in told
    assert "4 whole poses" in told
    difference = outs["mm"]["poses_3d"] - 1000 * outs["m"]["poses_3d"]
    assert np.abs(difference).max() < 1e-2  # float32 of a metre
    for person in (0, 1):
        numbers = outs["m"]["frames"][outs["m"]["person"] == person]
        assert numbers.tolist() == [*range(20), *range(55, 60)]


def test_upper_body_alone_is_lifted_with_a_remark(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = files.film("coco17", 5)
    film[:, :, 13:] = 0
    path = files.dump(tmp_path / "y.json", [files.yolo_frame(people) for people in film])
    assert main(["lift", str(model), str(path), "-o", "-", *SIZE]) == 0
    told = capsys.readouterr()
    assert "never shows left_knee, right_knee, left_ankle, right_ankle: placed" in told.err
    legs = {2, 3, 5, 6}
    assert all(legs <= set(line["filled"]) for line in _lines(told.out))


def test_one_person_of_two_is_lost_with_the_reason(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = files.film("coco17", 5, 2)
    film[:, 1, 11:] = 0
    path = files.dump(tmp_path / "y.json", [files.yolo_frame(people) for people in film])
    assert main(["lift", str(model), str(path), "-o", str(tmp_path / "o.json"), *SIZE]) == 0
    told = capsys.readouterr().out
    assert "Left out: person 2 in 5 frames: left_hip, right_hip" in told
    assert "Lifted: 5 poses of 1 person" in told


@pytest.mark.parametrize("options", [[], ["--flip"], ["--smoothing", "0.5"], ["--policy", "last"]])
def test_nothing_needs_torch(options: list[str], model: Path, tmp_path: Path) -> None:
    """The process in which torch cannot be imported writes a page."""
    film = files.film("coco17", 30)
    path = files.dump(tmp_path / "y.json", [files.yolo_frame(people) for people in film])
    words = ["lift", str(model), str(path), "-o", str(tmp_path / "o.html"), *SIZE, *options]
    code = (
        "import sys; sys.modules['torch'] = sys.modules['click'] = sys.modules['onnx'] = None\n"
        f"from posemamba_runtime.cli import main; sys.exit(main({words!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Lifted: 30 poses" in done.stdout
    assert (tmp_path / "o.html").read_text().startswith("<!")


def test_a_failure_leaves_what_was_there(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o.npz").write_bytes(b"before")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    path = files.dump(tmp_path / "y.json", [files.yolo_frame(p) for p in files.film("coco17", 3)])
    words = ["lift", str(tmp_path / "bad.onnx"), str(path), "-o", str(tmp_path / "o.npz"), *SIZE]
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "o.npz").read_bytes() == b"before"
    assert {entry.name for entry in tmp_path.iterdir()} == {"o.npz", "bad.onnx", "y.json"}


def test_a_root_needs_the_images_size(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told before the work, of a file in the network's own units."""
    np.savez(tmp_path / "c.npz", a=files.normalised(files.film("h36m17", 5)[:, 0]))
    words = ["lift", str(model), str(tmp_path / "c.npz"), "-o", str(tmp_path / "o.npz")]
    assert main([*words, "--height-m", "1.8", "--root"]) == 2
    told = capsys.readouterr()
    assert "--size" in told.err
    assert "Lifted" not in told.out
    assert main([*words, "--height-m", "1.8", "--root", *SIZE]) == 0


def test_who_cannot_be_placed_is_told(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Poses that no place before the camera fits stay about the origin, which is no place."""
    monkeypatch.setattr("posemamba_runtime.outputs.trajectory.estimate_root", lambda *_: None)
    (tmp_path / "k.jsonl").write_text(files.lines(files.film("coco17", 4, 2)))
    words = ["--size", "1280x720", "--height-m", "1.75", "--root", "-o", str(tmp_path / "o.npz")]
    assert main(["lift", str(model), str(tmp_path / "k.jsonl"), *words]) == 0
    assert "no place before the camera fits person 0, 1: pelvis at 0" in capsys.readouterr().out


def test_names_that_are_no_text(model: Path, tmp_path: Path) -> None:
    """A file name is bytes; Latin-1 ones are met."""
    name = tmp_path / b"caf\xe9.json".decode(errors="surrogateescape")
    files.dump(name, [files.yolo_frame(people) for people in files.film("coco17", 3)])
    command = [sys.executable, "-m", "posemamba_runtime", "lift", str(model)]
    outputs = [(tmp_path / f"o{suffix}", 0) for suffix in outputs_here()]
    for output, code in (*outputs, (name, 2)):
        words = [str(name), "-o", str(output), "--height-m", "1.8", *SIZE]
        done = subprocess.run([*command, *words], capture_output=True, check=False)
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr
    assert json.loads((tmp_path / "o.json").read_text("utf-8"))["source"].endswith("caf\ufffd.json")


def outputs_here() -> list[str]:
    """Endings of what can be written with the packages that are installed."""
    return [row.suffix for row in FORMATS.values() if not row.needs or find_spec(row.needs[0])]


def test_no_standard_input(model: Path) -> None:
    """As under a service that closes it."""
    for words in (["-", "--live"], ["-", "-o", "-"]):
        line = [sys.executable, "-m", "posemamba_runtime", "lift", str(model), *words, *SIZE]
        done = subprocess.run(
            ["sh", "-c", '"$@" <&-', "sh", *line], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "standard input is closed" in done.stderr
        assert done.stderr.count("\n") <= 1


def test_the_demo_is_exported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command[1:5])
        Path(command[-1]).write_bytes(b"model")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cache.subprocess, "run", run)
    first, second = demo.model_path("demo"), demo.model_path("demo")
    assert first == second
    assert first.read_bytes() == b"model"
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    assert commands == [["-m", "pmexport", "onnx", "--ckpt"]]
    first.unlink()
    failed = subprocess.CompletedProcess([], 2, "", "Warning: x\nError: no space\n")
    monkeypatch.setattr(cache.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(Missing, match="cannot be exported: Error: no space"):
        demo.model_path("demo")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(Missing, match="point XDG_CACHE_HOME"):
        demo.model_path("demo")
    monkeypatch.setattr(cache, "find_spec", lambda name: None)
    with pytest.raises(Missing, match=r"pip install '\.\[export\]'"):
        demo.model_path("demo")
