"""A training step captured in a CUDA graph is the step that is not."""

from __future__ import annotations

import pytest
import torch

from posemamba.model.blocks import ScanBackend
from posemamba.model.network import PoseMamba
from posemamba.training.config import TrainConfig
from posemamba.training.stepper import Stepper

STEPS = 5
RATE = 1e-3


def trained(scan: ScanBackend, cuda_graph: bool) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses and weights after a few steps with stochastic depth, clipping and an average."""
    config = TrainConfig(
        depth=2, d_model=16, frames=27, scan=scan, batch_size=4, clip_norm=1.0, ema=0.9,
        learning_rate=RATE, cuda_graph=cuda_graph,
    )  # fmt: skip
    torch.manual_seed(0)
    model = PoseMamba(config.model_config(), scan=scan).cuda().train()
    stepper = Stepper(model, model, config)
    losses = []
    for step in range(STEPS):
        torch.manual_seed(100 + step)  # as posemamba.training.run: a step's randomness is its own
        keypoints = torch.rand(4, 27, 17, 2, device="cuda")
        poses = torch.rand(4, 27, 17, 3, device="cuda")
        torch.manual_seed(200 + step)
        losses.append(float(stepper.step([(keypoints, poses)], RATE * 0.9**step)))
    weights = {name: value.detach().clone() for name, value in model.named_parameters()}
    assert stepper.average is not None
    weights |= {f"average {index}": value for index, value in enumerate(stepper.average)}
    return losses, weights


@pytest.mark.gpu
@pytest.mark.parametrize("scan", ["chunked", "mamba-ssm"])
def test_captured_steps_are_the_eager_ones(scan: ScanBackend) -> None:
    if scan == "mamba-ssm":
        pytest.importorskip("mamba_ssm", reason="mamba-ssm is an extra")
    eager_losses, eager = trained(scan, False)
    losses, captured = trained(scan, True)
    # Kernels are the same; sums that use atomics differ in order, and AdamW magnifies rounding
    # where a gradient is near zero: a tenth of one step, over the five.
    assert losses == pytest.approx(eager_losses, rel=1e-4)
    for name, weight in eager.items():
        assert (captured[name] - weight).abs().max() < RATE / 10, name
    assert losses[0] != losses[-1]
