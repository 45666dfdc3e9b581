"""Networks of public forks give the outputs of their own code, however the scan is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fork_cases import CASES, FORKS, TOLERANCE

from posemamba.checkpoint.read import load_checkpoint, read_checkpoint
from posemamba.checkpoint.save import save_checkpoint
from posemamba.errors import InputError
from posemamba.model.blocks import ScanBackend
from posemamba.model.counts import true_parameters
from posemamba.model.inference import PoseMambaInference
from posemamba.model.network import PoseMamba


def error(model: PoseMamba, outputs: Path) -> float:
    golden = np.load(outputs)
    with torch.inference_mode():
        poses_3d = model(torch.from_numpy(golden["keypoints_2d"])).numpy()
    return float(np.abs(poses_3d - golden["poses_3d"]).max())


@pytest.mark.parametrize("scan", ["fused", "generic", "chunked"])
@pytest.mark.parametrize("name", CASES)
def test_reproduces_the_output_of_the_forks_code(name: str, scan: ScanBackend) -> None:
    case = CASES[name]
    model = load_checkpoint(case.checkpoint, scan_order=case.scan).set_scan(scan)
    assert error(model, case.outputs) < TOLERANCE


@pytest.mark.parametrize("name", ["bfs_4dir_3ch_v2_bfs_first", "fused_8dir_2ch_v2_fused_bfs",
                                  "bones_4dir_5ch_v2_plus_poselimbs",
                                  "jointdelta_4dir_2ch_v2_plus_poselimbs"])  # fmt: skip
def test_a_saved_network_is_the_same(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    model = load_checkpoint(case.checkpoint, scan_order=case.scan)
    save_checkpoint(model, tmp_path / "saved.safetensors")
    again = read_checkpoint(tmp_path / "saved.safetensors")
    assert again.config == model.config
    assert error(again.build(), case.outputs) < TOLERANCE
    assert true_parameters(model.config) == sum(p.numel() for p in model.parameters())


def test_the_fused_inference_path_leaves_forks_to_the_composed_one() -> None:
    model = load_checkpoint(FORKS / "bfs_4dir_3ch.pth.tr", scan_order="bfs")
    assert type(PoseMambaInference(model)._path).__name__ == "_ComposedPath"


def test_the_official_limb_gradient_is_the_papers_alone() -> None:
    model = load_checkpoint(FORKS / "bfs_4dir_3ch.pth.tr", scan_order="bfs")
    with pytest.raises(InputError, match="forks"):
        model.set_official_limb_gradient(True)


def test_a_wrong_number_of_channels_is_refused() -> None:
    model = load_checkpoint(FORKS / "bones_4dir_5ch.pth.tr", scan_order="global-local")
    with pytest.raises(InputError, match=r"must be \(batch, frames, 17, 3\)"):
        model(torch.zeros(1, 3, 17, 5))
