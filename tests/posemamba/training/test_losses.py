"""The losses against finite differences and against values worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from float64_tolerance import ROUNDING
from torch import Tensor

from posemamba.pose.metrics import mpjpe, n_mpjpe, velocity_error
from posemamba.training import losses
from posemamba.training.losses import PoseLoss


def pair(frames: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(frames)
    shape = (2, frames, 17, 3)
    return (
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_(),
        torch.randn(shape, generator=generator, dtype=torch.float64),
    )


TERMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "position": losses.position,
    "velocity": losses.velocity,
    "smoothness": lambda predicted, _: losses.smoothness(predicted),
    "scale": losses.scale,
    "all": PoseLoss(),
}


@pytest.mark.parametrize("name", TERMS)
def test_gradients_are_finite_differences(name: str) -> None:
    predicted, target = pair()
    # gradcheck's defaults: central differences of 1e-6 in float64 are good to about 1e-9.
    assert torch.autograd.gradcheck(lambda x: TERMS[name](x, target), (predicted,))


@pytest.mark.parametrize(
    ("loss", "metric"),
    [(losses.position, mpjpe), (losses.velocity, velocity_error), (losses.scale, n_mpjpe)],
)
def test_losses_are_the_metrics_they_are_named_after(
    loss: Callable[[Tensor, Tensor], Tensor], metric: Callable[[Tensor, Tensor], float]
) -> None:
    predicted, target = pair()
    # the same sums in another order, float64
    assert loss(predicted, target).item() == pytest.approx(metric(predicted, target), rel=ROUNDING)


def test_smoothness_weighs_joints() -> None:
    for joint, weight in ((0, 1.0), (2, 2.5), (10, 1.5), (16, 4.0)):
        predicted = torch.zeros(1, 2, 17, 3, dtype=torch.float64)
        predicted[0, 1, joint] = torch.tensor([0.0, 3.0, 0.0])
        # one squared difference of 9, mean over 17 joints and 3 coordinates
        assert losses.smoothness(predicted).item() == pytest.approx(weight * 9 / 51, rel=ROUNDING)


def test_weights_multiply_the_parts() -> None:
    predicted, target = pair()
    parts = PoseLoss().parts(predicted, target)
    official = {"lambda_3d": 1.0, "lambda_3d_velocity": 20.0, "lambda_diff": 0.5,
                "lambda_scale": 0.5}  # fmt: skip
    assert set(parts) == set(official)
    total = sum(official[name] * part.item() for name, part in parts.items())
    assert PoseLoss()(predicted, target).item() == pytest.approx(total, rel=ROUNDING)
    assert set(PoseLoss(lambda_diff=0, lambda_scale=0).parts(predicted, target)) == {
        "lambda_3d",
        "lambda_3d_velocity",
    }


def test_one_frame_has_no_movement() -> None:
    predicted, target = pair(frames=1)
    assert losses.velocity(predicted, target).item() == 0.0
    assert losses.smoothness(predicted).item() == 0.0
    (gradient,) = torch.autograd.grad(PoseLoss()(predicted, target), predicted)
    assert torch.isfinite(gradient).all()


def test_a_pose_at_the_origin_has_a_finite_gradient() -> None:
    predicted = torch.zeros(1, 2, 17, 3, requires_grad=True)
    target = torch.ones(1, 2, 17, 3)
    (gradient,) = torch.autograd.grad(PoseLoss()(predicted, target), predicted)
    assert torch.isfinite(gradient).all()
