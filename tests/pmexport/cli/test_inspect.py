"""``pmexport inspect`` on what is no ONNX model: checkpoints and references."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

from pmexport.cli.main import cli
from posemamba.checkpoint import load_checkpoint


def inspect(name: str) -> dict[str, Any]:
    shown = CliRunner().invoke(cli, ["inspect", name])
    assert shown.exit_code == 0, shown.output
    found = CliRunner().invoke(cli, ["inspect", name, "--json"])
    result: dict[str, Any] = json.loads(found.stdout)
    assert all(f"{key}" in shown.stdout for key in result)
    return result


def test_a_checkpoint(here: Path) -> None:
    found = inspect("tiny.pth.tr")
    assert found["variant"] == "custom"
    assert found["config"]["d_model"] == 32
    assert found["scan_order"] == {
        "name": "global-local", "source": "the default", "guessed": True}  # fmt: skip
    network = load_checkpoint(here / "tiny.pth.tr")
    assert found["parameters"] == sum(tensor.numel() for tensor in network.parameters())
    assert found["ops"] == {"fused": "yes", "generic": "yes", "standard": "yes"}


def test_the_bundled_one() -> None:
    found = inspect("demo-streaming")
    assert found["config"]["frames"] == 81
    assert found["scan_order"]["guessed"] is False


def test_a_reference(here: Path) -> None:
    clip = np.zeros((2, 5, 17, 2), np.float32)
    np.savez(here / "mine.npz", keypoints_2d=clip, poses_3d=np.zeros((2, 5, 17, 3), np.float32))
    found = inspect("mine.npz")
    assert found["made_by"] == "user"
    assert found["runs"] == {"keypoints_2d": {"batch": 2, "frames": 5}}
    assert found["frames"] == 10


def test_neither(here: Path, refused: Callable[..., None]) -> None:
    (here / "text.pth").write_text("epoch 1")
    np.savez(here / "clips.npz", keypoints_2d=np.zeros((1, 5, 17, 2), np.float32))
    (here / "folder").mkdir()
    refused(("inspect", "text.pth"), "text.pth")
    refused(("inspect", "clips.npz"), "clips.npz", "poses_3d")
    refused(("inspect", "gone.npz"), "gone.npz", "no such file")
    refused(("inspect", "folder"), "folder")
