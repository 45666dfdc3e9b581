"""``check E.engine --reference R.npz``: an engine, held against poses in a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from pmexport.cli.main import cli
from pmexport.runtimes.base import FloatArray, RuntimeOptions
from pmexport.runtimes.ort_cpu import OrtCpu


def reference(*shapes: tuple[int, int], off: float = 0.0) -> None:
    """``r.npz`` with the model's poses for clips of (batch, frames), all moved by ``off``."""
    model = OrtCpu(RuntimeOptions(threads=1)).load(Path("tiny.fp32.onnx"))
    draw = np.random.default_rng(0)
    arrays: dict[str, FloatArray] = {}
    for index, (batch, frames) in enumerate(shapes):
        keypoints = draw.uniform(-1, 1, (batch, frames, 17, 2)).astype(np.float32)
        known = keypoints[:, :27]  # what the model takes; longer clips are never run
        poses = np.concatenate([model(known[at : at + 1]) for at in range(batch)])
        poses = np.pad(poses, ((0, 0), (0, frames - known.shape[1]), (0, 0), (0, 0)))
        arrays |= {f"keypoints_2d_{index}": keypoints, f"poses_3d_{index}": poses + np.float32(off)}
    np.savez("r.npz", **arrays)  # type: ignore[arg-type]


def check_reference(code: int) -> Result:
    arguments = ["check", "e.engine", "--reference", "r.npz", "--json", "r.json"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == code, done.output
    return done


def test_an_engine_against_a_reference(engine: Path) -> None:
    """No checkpoint, no PyTorch: runs are cut to the profiles, and what fits none is left out."""
    reference((12, 9), (1, 5), (9, 27), (2, 30))
    done = check_reference(0)
    assert "your own poses" in done.output
    told = json.loads(Path("r.json").read_text())
    assert (told["checkpoint"], told["baseline"]) == (None, None)
    assert told["reference"]["runs_left_out"] == 1
    ran = [(row["batch"], row["frames"]) for row in told["runtimes"]["tensorrt"]["clips"]]
    assert ran == [(12, 9), (1, 5), (3, 27), (3, 27), (3, 27)]


def test_other_poses_than_the_reference(engine: Path) -> None:
    reference((2, 9), off=0.01)
    assert "these are not your poses" in check_reference(1).output


def test_a_reference_of_no_profile(engine: Path) -> None:
    reference((2, 9))
    with np.load("r.npz") as held:
        long = {name: np.repeat(held[name], 4, axis=1) for name in held.files}
    np.savez("r.npz", **long)  # type: ignore[arg-type]
    (line,) = check_reference(2).stderr.splitlines()
    assert "has 2 clips of 36 frames, the model takes batch 1 to 8 with 1 to 27 frames" in line
    assert not Path("r.json").exists()


def test_a_reference_of_the_model_it_was_built_from(engine: Path) -> None:
    """``pmexport onnx`` writes it beside the ONNX model; the engine is known by that one's hash."""
    arguments = ["onnx", "--ckpt", "inputs/tiny.pth.tr", "-o", "again.onnx"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    Path("again.reference.npz").rename("r.npz")
    assert "PyTorch" in check_reference(0).output
    told = json.loads(Path("e.engine.json").read_text())
    told["onnx"]["sha256"], told["model"]["checkpoint_sha256"] = "0" * 64, "1" * 64
    Path("e.engine.json").write_text(json.dumps(told))
    assert "give its own" in check_reference(2).stderr
