"""The torch-free example lifts recordings of any length to what the network gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import CHECKPOINT

from pmexport import custom_op_library
from pmexport.onnx_export import ExportOptions, export_onnx
from posemamba import load_checkpoint
from posemamba.clips import bundled_clips

ROOT = Path(__file__).parents[2]
LIFT = ROOT / "deploy" / "python" / "lift.py"


def lift(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script in a process where torch cannot be imported."""
    code = (
        "import sys, runpy; sys.modules['torch'] = None\n"
        f"sys.argv = {['lift.py', *arguments]!r}\n"
        f"runpy.run_path({str(LIFT)!r}, run_name='__main__')"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


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
