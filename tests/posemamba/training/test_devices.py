"""Which scan a run trains with."""

from __future__ import annotations

import pytest
import torch

from posemamba.training.config import TrainConfig
from posemamba.training.devices import choose_scan


@pytest.mark.parametrize(
    ("device", "scan"), [("cpu", "fused"), ("cuda", "fused"), ("mps", "chunked")]
)
def test_auto_is_what_the_device_is_fast_with(device: str, scan: str) -> None:
    assert TrainConfig().scan == "auto"
    assert choose_scan(TrainConfig(), torch.device(device)) == scan


@pytest.mark.parametrize("scan", ["fused", "chunked", "mamba-ssm", "generic"])
def test_a_named_scan_is_taken(scan: str) -> None:
    assert choose_scan(TrainConfig(scan=scan), torch.device("cpu")) == scan
