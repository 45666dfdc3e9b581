"""The inference arrangement computes what the model computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from golden_cases import CASES, CHECKPOINT

from posemamba import PoseMamba, PoseMambaConfig, load_checkpoint
from posemamba.errors import InputError
from posemamba.model.inference import PoseMambaInference
from posemamba.native import scan_ops


def test_fp32_reproduces_the_official_output() -> None:
    golden = np.load(CASES["global-local"])
    lift = PoseMambaInference(load_checkpoint(CHECKPOINT), torch.float32)
    poses_3d = lift(torch.from_numpy(golden["keypoints_2d"])).numpy()
    # The bound of tests/posemamba/model/test_golden.py.
    assert np.abs(poses_3d - golden["poses_3d"]).max() < 2e-5


@pytest.mark.parametrize("d_model", [32, 64])  # the composed path, the fused one
def test_fp16_stays_near_fp32(d_model: int) -> None:
    torch.manual_seed(0)
    model = PoseMamba(PoseMambaConfig(d_model=d_model, depth=3, frames=27)).eval()
    keypoints = torch.rand(2, 9, 17, 2) * 2 - 1
    with torch.no_grad():
        expected = model(keypoints)
    got = PoseMambaInference(model, torch.float16)(keypoints)
    assert got.dtype == torch.float32
    # fp16 keeps 11 bits; six blocks of it on outputs of size one leave a few thousandths.
    assert 0 < (got - expected).abs().max() < 5e-3


def test_other_dtypes_are_refused() -> None:
    model = PoseMamba(PoseMambaConfig(d_model=32, depth=1, frames=9))
    with pytest.raises(InputError, match="bfloat16"):
        PoseMambaInference(model, torch.bfloat16)
    with pytest.raises(InputError, match="half_sums is for float16, not torch"):
        PoseMambaInference(model, torch.float32, half_sums=True)


@pytest.mark.parametrize("d_model", [32, 64])  # the composed path, the fused one
@pytest.mark.parametrize("half_sums", [False, True])
def test_half_sums_reach_every_launch(
    d_model: int, half_sums: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    launch = scan_ops.launch_scan

    def spy(name: str, params: Any, device: torch.device) -> None:
        told.append(params.half_sums)
        launch(name, params, device)

    monkeypatch.setattr(scan_ops, "launch_scan", spy)
    model = PoseMamba(PoseMambaConfig(d_model=d_model, depth=2, frames=9)).eval()
    PoseMambaInference(model, torch.float16, half_sums=half_sums)(torch.zeros(1, 2, 17, 2))
    assert told == [int(half_sums)] * 4
