"""The bundled demonstration checkpoints are the files that their cards measured."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

import pytest
import torch

from posemamba.checkpoint import load_checkpoint
from posemamba.demonstration import demo_checkpoint

REPORTS = Path(__file__).parents[2] / "reports"


@pytest.mark.parametrize(("network", "frames"), [("S", 243), ("streaming", 81)])
def test_a_checkpoint_is_the_one_its_card_measured(
    network: Literal["S", "streaming"], frames: int
) -> None:
    path = demo_checkpoint(network)
    card = json.loads((REPORTS / f"demo_{network}" / "report.json").read_text())["model"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card["sha256"]
    assert path.stat().st_size < 8_000_000
    model = load_checkpoint(path).eval()
    assert model.config.frames == frames == card["frames"]
    with torch.no_grad():
        poses = model(torch.zeros(1, frames, 17, 2))
    assert poses.shape == (1, frames, 17, 3)
    assert poses.isfinite().all()
