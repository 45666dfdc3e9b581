"""``lift --detector``: a program's lines become a recording; what goes wrong with it is one line.

A stand-in program serves the tests of the wiring. MediaPipe itself runs on the video inside the
``sports2d`` wheel where the environment names its Python and the wheel (``.ci/run`` does).
"""

from __future__ import annotations

import base64
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import keypoint_files as files
import numpy as np
import pytest
from absence import lacking

from posemamba_runtime.cli import main
from posemamba_runtime.detectors import video
from posemamba_runtime.keypoints import InputError
from posemamba_runtime.motion import Picture

WHEEL = "POSEMAMBA_VIDEO_WHEEL"  # sports2d's
FRAMES = 230  # of its video
FACTS = {"size": [files.WIDTH, files.HEIGHT], "frames": 20, "rate": 25.0}

Program = Callable[..., Path]


def _frames(count: int) -> list[dict[str, object]]:
    film = files.film("mediapipe33", count)
    share = np.array([files.WIDTH, files.HEIGHT])
    return [
        {"frame": i, "pose_landmarks": [[*(p / share), 0.1, 0.9] for p in people[0].tolist()]}
        for i, people in enumerate(film)
    ]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video, but who looks")
    return path


@pytest.fixture
def python(tmp_path: Path) -> Program:
    """A stand-in for the detector's Python: says its lines, whatever it is asked to run."""

    def make(lines: list[object], *, code: int = 0, words: str = "") -> Path:
        folder = tmp_path / "stand-in"
        folder.mkdir()
        (folder / "lines").write_text("".join(json.dumps(line) + "\n" for line in lines))
        path = folder / "python"
        path.write_text(f"#!/bin/sh\ncat '{folder}/lines'\necho '{words}' >&2\nexit {code}\n")
        path.chmod(0o755)
        return path

    return make


def test_lines_become_a_recording(clip: Path, python: Program) -> None:
    calls: list[tuple[int, int]] = []
    picture = {"picture": base64.b64encode(b"jpeg").decode(), "frame": 3}
    lines = [FACTS, *_frames(3), picture, *_frames(20)[3:]]
    recording = video.read_video(
        str(clip),
        "mediapipe",
        python=str(python(lines)),
        progress=lambda done, total: calls.append((done, total)),
    )
    film = files.film("mediapipe33", 20)
    assert np.abs(recording.tracks[0].values[..., :2] - film[:, 0]).max() < files.EXACT
    assert recording.layout == "mediapipe33"
    assert recording.size == (files.WIDTH, files.HEIGHT)
    assert recording.rate == 25.0
    assert recording.source == str(clip)
    assert calls[-1] == (20, 20)
    assert recording.pictures == (Picture(3, b"jpeg"),)


def test_nobody_is_told_in_one_line(clip: Path, python: Program) -> None:
    empty = [{"frame": i, "pose_landmarks": None} for i in range(20)]
    with pytest.raises(InputError, match="no person in 20 frames"):
        video.read_video(str(clip), "mediapipe", python=str(python([FACTS, *empty])))


@pytest.mark.parametrize(
    ("lines", "code", "words", "says"),
    [
        ([{"error": "no picture can be decoded"}], 0, "", "record or copy it again"),
        ([FACTS, *_frames(9)], 0, "", "breaks off after 9 frames of 20"),
        ([FACTS, *_frames(9)], 1, "Segmentation fault", "failed (Segmentation fault)"),
        ([], 0, "SyntaxError: invalid", "failed (SyntaxError: invalid)"),
        ([], 3, "", "failed (exit code 3)"),
        ([{"error": "MediaPipe cannot be imported (x)"}], 0, "", "name another --detector-python"),
        ([[1, 2]], 0, "", "no facts"),
    ],
)
def test_a_failure_is_one_line(
    lines: list[object],
    code: int,
    words: str,
    says: str,
    model: Path,
    clip: Path,
    python: Program,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["lift", str(model), str(clip), "-o", str(clip.with_suffix(".npz"))]
    stand_in = str(python(lines, code=code, words=words))
    assert main([*command, "--detector", "mediapipe", "--detector-python", stand_in]) == 2
    told = capsys.readouterr().err
    assert told.startswith("Error: ")
    assert told.count("\n") == 1
    assert says in told
    assert not clip.with_suffix(".npz").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["k.json", "--detector", "mediapipe"], "no video's ending"),
        (["nix.mp4", "--detector", "mediapipe"], "no such file"),
        (["-", "--detector", "mediapipe"], "not standard input"),
        ([".", "--detector", "mediapipe"], "is a folder"),
        (["empty.mp4", "--detector", "mediapipe"], "is empty"),
        (["k.mp4", "--detector", "openpose"], "use one of mediapipe"),
        (["k.mp4", "--detector", "mediapipe", "--size", "9x9"], "leave it out"),
        (["k.mp4", "--detector", "mediapipe", "--format", "npz"], "leave it out"),
        (["k.mp4", "--detector", "mediapipe", "--clip", "a"], "leave it out"),
        (["k.mp4", "--detector-python", "python"], "is for --detector"),
        (["k.mp4", "--detector", "mediapipe", "--detector-python", "nix"], "is no Python"),
        (["k.mp4"], "'lift' has --detector mediapipe"),
    ],
)
def test_wrong_words(
    words: list[str], says: str, here: Path, refused: Callable[[list[str], str], None]
) -> None:
    (here / "m.onnx").write_bytes(b"x")
    (here / "k.json").write_text("[]")
    (here / "k.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    (here / "empty.mp4").write_bytes(b"")
    refused(["lift", "m.onnx", *words, "-o", "o.npz"], says)


def test_an_environment_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command of the message makes the folder that is found the next time."""
    detector = video.Detector("p.py", "no_such_package", "no-such-package==1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(video.PYTHON_VARIABLE, raising=False)
    folder = tmp_path / "posemamba" / "no_such_package"
    with pytest.raises(Exception, match=r"pip' install no-such-package==1") as error:
        video.python_of(detector, None)
    assert f"python3 -m venv '{folder}'" in str(error.value)
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("")
    assert video.python_of(detector, None) == str(python)
    monkeypatch.setenv(video.PYTHON_VARIABLE, "/bin/sh")
    assert video.python_of(detector, None) == "/bin/sh"
    assert video.python_of(detector, "/bin/true") == "/bin/true"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The video in the wheel."""
    wheel = os.environ.get(WHEEL)
    if wheel is None or os.environ.get(video.PYTHON_VARIABLE) is None:
        variables = f"{WHEEL} and {video.PYTHON_VARIABLE}"
        lacking(f"{variables} do not name sports2d's wheel and MediaPipe's Python", "VIDEO")
    path = tmp_path_factory.mktemp("video") / "demo.mp4"
    with zipfile.ZipFile(wheel) as archive:
        path.write_bytes(archive.read("Sports2D/Demo/demo.mp4"))
    return path


@pytest.mark.slow
def test_a_video_to_a_page(film: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody walks into the picture and through it."""
    output = film.with_suffix(".html")
    assert main(["lift", str(model), str(film), "--detector", "mediapipe", "-o", str(output)]) == 0
    told = capsys.readouterr().out
    assert f"Read: mediapipe, {FRAMES} frames" in told
    assert "1 person, mediapipe33, 1768x994, 30 frames a second" in told
    page = output.read_text()
    assert page.count('"/9j/') >= FRAMES // 3, "the video lies behind the keypoints"
    assert len(page) < 5_000_000


@pytest.mark.slow
def test_a_damaged_video(film: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One cut off early, and one whose index is gone."""
    whole = film.read_bytes()
    for name, content in {"a.mp4": whole[:300_000], "b.mp4": b"\0" * 5000 + whole[5000:]}.items():
        path = film.with_name(name)
        path.write_bytes(content)
        command = ["lift", str(model), str(path), "-o", str(film.with_suffix(".npz"))]
        assert main([*command, "--detector", "mediapipe"]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert name in told
        assert "copy it again" in told
