"""The torch-free example lifts recordings of any length to what the network gives."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from golden_cases import CHECKPOINT
from places import ROOT

from pmexport import custom_op_library
from pmexport.exporting.export import ExportOptions, export_onnx
from posemamba import load_checkpoint
from posemamba.pose.clips import bundled_clips
from posemamba.pose.lift import Floats

LIFT = ROOT / "deploy" / "python" / "lift.py"


def lift(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the script in a process where torch cannot be imported."""
    code = (
        "import sys, runpy; sys.modules['torch'] = None\n"
        f"sys.argv = {['lift.py', *arguments]!r}\n"
        f"runpy.run_path({str(LIFT)!r}, run_name='__main__')"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                          cwd=cwd)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deploy") / "tiny.onnx"
    export_onnx(load_checkpoint(CHECKPOINT), path, ExportOptions())
    return path


def test_recordings_of_any_length(model: Path, tmp_path: Path) -> None:
    clip = next(iter(bundled_clips().values()))
    recordings = {f"frames_{n}": clip[:n] for n in (1, 26, 27, 28, 60)}
    np.savez(tmp_path / "in.npz", **recordings)
    files = (str(model), str(tmp_path / "in.npz"), "-o", str(tmp_path / "out.npz"))
    done = lift(*files, "--custom-ops", custom_op_library())
    assert (done.returncode, done.stderr) == (0, "")
    network = load_checkpoint(CHECKPOINT)
    with np.load(tmp_path / "out.npz") as poses:
        assert set(poses.files) == set(recordings)
        for name, keypoints in recordings.items():
            frames = len(keypoints)
            last = slice(max(0, frames - 27), frames)  # the last clip reaches back
            with torch.inference_mode():
                expected = network(torch.from_numpy(keypoints[None, last])).numpy()[0]
            expected -= expected[:, :1]
            new = frames - (frames - 1) // 27 * 27  # frames no earlier clip had lifted
            got = poses[name]
            assert got.shape == (frames, 17, 3)
            assert np.abs(got[-new:] - expected[-new:]).max() < 2e-5  # as the golden outputs


def test_a_missing_library_is_one_line(model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", clip=np.zeros((3, 17, 2), np.float32))
    done = lift(str(model), str(tmp_path / "in.npz"), "-o", str(tmp_path / "out.npz"))
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.npz").exists()


def test_files_of_the_working_folder_are_found_by_name(model: Path, tmp_path: Path) -> None:
    """As the README's command has them."""
    shutil.copy(custom_op_library(), tmp_path / "ops.so")
    shutil.copy(model, tmp_path / "m.onnx")
    np.savez(tmp_path / "in.npz", walk=np.zeros((3, 17, 2)))
    done = lift("m.onnx", "in.npz", "-o", "out.npz", "--custom-ops", "ops.so", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    with np.load(tmp_path / "out.npz") as poses:
        assert {name: poses[name].shape for name in poses.files} == {"walk": (3, 17, 3)}


def missed() -> Floats:
    keypoints = np.zeros((5, 17, 2), np.float32)
    keypoints[3, 7, 1] = np.nan
    return keypoints


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (missed(), "frame 3 has a keypoint that is not finite"),
        (np.zeros((5, 16, 2)), "it must be (frames, 17, 2)"),
        (np.zeros((0, 17, 2)), "it must be (frames, 17, 2)"),
        (np.zeros(5), "it must be (frames, 17, 2)"),
        (np.float32(1.0), "it must be (frames, 17, 2)"),
        (np.zeros((5, 17, 2), complex), "holds no numbers but complex128"),
        (np.array(["a"]), "holds no numbers"),
    ],
)
def test_bad_recordings_are_one_line(
    array: Any,  # noqa: ANN401
    words: str,
    model: Path,
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "in.npz", walk=array)
    assert "'walk' in " in refused(model, tmp_path, words)


def refused(model: Path, folder: Path, words: str, name: str = "in.npz", out: str = "o.npz") -> str:
    before = sorted(path.name for path in folder.iterdir())
    ops = ("--custom-ops", custom_op_library())
    done = lift(str(model), str(folder / name), "-o", str(folder / out), *ops)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == before
    return done.stderr


def test_bad_requests_are_one_line(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.zeros((5, 17, 2)))
    refused(model, tmp_path, "is no .npz archive", "in.npy")
    np.savez(tmp_path / "in.npz", walk=np.zeros((5, 17, 2)))
    refused(model, tmp_path, "is the input", out="in.npz")
    (tmp_path / "folder").mkdir()
    refused(model, tmp_path, "folder", out="folder")
    plain = onnx.load(model)
    del plain.metadata_props[:]
    onnx.save(plain, tmp_path / "plain.onnx")
    refused(tmp_path / "plain.onnx", tmp_path, "no PoseMamba metadata")


def test_a_recording_may_have_any_name(model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", **{"a.b": np.zeros((2, 17, 2)), "c/d": np.zeros((1, 17, 2))})
    with zipfile.ZipFile(tmp_path / "in.npz", "a") as archive, archive.open("file.npy", "w") as to:
        np.lib.format.write_array(to, np.zeros((2, 17, 2)))
    ops = ("--custom-ops", custom_op_library())
    done = lift(str(model), str(tmp_path / "in.npz"), "-o", str(tmp_path / "o.npz"), *ops)
    assert (done.returncode, done.stderr) == (0, "")
    with np.load(tmp_path / "o.npz") as poses:
        assert set(poses.files) == {"a.b", "c/d", "file"}
