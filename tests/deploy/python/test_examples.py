"""The example programs in Python, and the lines of the README."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from example_lines import SIZE, coco_walk, poses, stream_text
from places import ROOT

from posemamba_runtime import Lifter

EXAMPLES = ROOT / "deploy" / "python" / "examples"
PRINTED = 2e-5


def run(name: str, *arguments: Path, stdin: str = "") -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        input=stdin, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_live(model: Path) -> None:
    keypoints = coco_walk(12)[:, 0]
    heads, got = poses(run("lift_stream.py", model, stdin=stream_text(keypoints)), 2)
    assert heads.tolist() == [[frame, 0] for frame in range(12)]
    with Lifter(model) as lifter:
        stream = lifter.stream("coco17", SIZE, rate=30)
        for frame, values in enumerate(keypoints):
            stream.push(values, frame)
            lifter.step()
        expected = [pose.joints for pose in stream]
    np.testing.assert_allclose(got, expected, atol=PRINTED)


def test_a_recording(model: Path, tmp_path: Path) -> None:
    keypoints = coco_walk(40, persons=2)
    keypoints[30:, 1] = np.nan  # somebody leaves
    np.savez(tmp_path / "in.npz", keypoints=keypoints)
    run("lift_file.py", model, tmp_path / "in.npz", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as archive:
        got = archive["poses_3d"]
    assert got.shape == (40, 2, 17, 3)
    assert np.isfinite(got[:, 0]).all()
    assert np.isfinite(got[:30, 1]).all()
    assert np.isnan(got[30:, 1]).all()
    np.testing.assert_array_equal(got[:, 0, 0], 0)


def test_the_readme(model: Path) -> None:
    """Its program, with a camera and a screen of our own."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "deploy" / "README.md").read_text(), re.S)
    drawn: list[np.ndarray] = []
    code = "import posemamba_runtime\n" + block.replace("L.onnx", str(model))
    exec(code, {"camera": coco_walk(3)[:, 0], "draw": drawn.append})
    assert [joints.shape for joints in drawn] == [(17, 3)] * 3
