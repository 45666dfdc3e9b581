"""Gradients of the network against finite differences, and the authors' rule for the limb sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from posemamba.config import PoseMambaConfig
from posemamba.model.blocks import ScanBackend, SpatioTemporalScan
from posemamba.model.network import PoseMamba
from posemamba.scan import reference
from posemamba.scan.operands import Operands
from posemamba.scan_order import SCAN_ORDERS
from posemamba.training.losses import PoseLoss

PLAIN: tuple[ScanBackend, ...] = ("chunked", "reference")
CONFIG = PoseMambaConfig(d_model=4, depth=1, frames=2, drop_path=0.0)


def model(scan: ScanBackend) -> PoseMamba:
    torch.manual_seed(0)
    return PoseMamba(CONFIG, scan=scan).double().eval()


def clip(seed: int, channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 2, 17, channels, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("scan", PLAIN)
def test_input_gradient_is_finite_differences(scan: ScanBackend) -> None:
    network, target = model(scan), clip(1, 3)
    keypoints = clip(2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: PoseLoss()(network(x), target), (keypoints,))


@pytest.mark.parametrize("scan", PLAIN)
def test_parameter_gradients_are_finite_differences(scan: ScanBackend) -> None:
    """Along a random direction of each parameter: one difference sees every element."""
    network, target, keypoints = model(scan), clip(1, 3), clip(2, 2)

    def loss() -> Tensor:
        return PoseLoss()(network(keypoints), target)

    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss(), parameters)
    step = 1e-5  # the error of a central difference is of its square, 1e-10, or 1e-16 / step
    for name, parameter, gradient in zip(names, parameters, gradients, strict=True):
        way = torch.randn_like(parameter)
        values = []
        with torch.no_grad():
            for sign in (1.0, -2.0, 1.0):  # forth, twice back, home
                parameter.add_(way, alpha=sign * step)
                values.append(loss().item())
        measured = (values[0] - values[1]) / (2 * step)
        assert (gradient * way).sum().item() == pytest.approx(measured, rel=1e-6, abs=1e-8), name


@pytest.mark.parametrize("scan", ["fused", "generic"])
def test_native_scans_have_the_same_gradients(scan: ScanBackend) -> None:
    """They are float32 on the CPU: equal to float64 up to its rounding, over all parameters."""
    keypoints, target = clip(2, 2), clip(1, 3)
    exact = model("reference")
    native = model("reference").float().set_scan(scan)
    wanted = torch.autograd.grad(PoseLoss()(exact(keypoints), target), list(exact.parameters()))
    loss = PoseLoss()(native(keypoints.float()), target.float())
    found = torch.autograd.grad(loss, list(native.parameters()))
    for (name, _), want, got in zip(exact.named_parameters(), wanted, found, strict=True):
        # 2**-24 over some thousand sums of a gradient; measured 3e-6 of its largest element
        worst = (got.double() - want).abs().max() / want.abs().max().clamp_min(1e-3)
        assert worst < 1e-4, f"{name}: {worst:.1e}"


ONE_WALK = [name for name, entry in SCAN_ORDERS.items() if not entry.further]


@pytest.mark.parametrize("name", ONE_WALK)
def test_fused_gradients_in_every_scan_order(name: str) -> None:
    """Of 51 steps, against autograd of the reference in float32."""
    torch.manual_seed(0)
    config = PoseMambaConfig(d_model=8, depth=1, frames=3, drop_path=0.0, scan_order=name)
    op = PoseMamba(config, scan="fused").STEblocks[0].op
    x = clip(3, 8).float().repeat(1, 2, 1, 1)[:, :3].requires_grad_()
    weights = [x, *op.parameters()]
    seed = torch.randn_like(x)
    found = torch.autograd.grad((op(x) * seed).sum(), weights)
    op.scan = "reference"
    for want, got in zip(torch.autograd.grad((op(x) * seed).sum(), weights), found, strict=True):
        assert (got - want).abs().max() <= 1e-4 * want.abs().max()  # both round


class OfficialLimbSum(torch.autograd.Function):
    """Forward ``x + x[limb]``; backward as the authors': as if it were ``x + constant``."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor, limbs: Sequence[int]) -> Tensor:
        return x + x[:, :, list(limbs)]

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def by_definition(op: SpatioTemporalScan, x: Tensor) -> Tensor:
    """The block's operator, the limb sum made first and projected afterwards."""
    x, _, z = op.scan_inputs(x)
    batch, frames, joints, inner = x.shape
    summed = OfficialLimbSum.apply(x, op.walk.limb_index)
    u, delta, b, c = [], [], [], []
    for k, order in enumerate(op.walk.order):
        grid = summed if op.walk.limb_mask[k] else x
        walk = grid if order == 0 else grid.transpose(1, 2)
        walk = walk.reshape(batch, frames * joints, inner)
        raw, in_, out = (walk @ op.x_proj_weight[k].T).split([op.dt_rank, 16, 16], dim=-1)
        u.append(walk.mT)
        delta.append((raw @ op.dt_projs_weight[k].T).mT)
        b.append(in_.mT)
        c.append(out.mT)
    given = Operands(
        *(torch.cat(u, 1), torch.cat(delta, 1), -torch.exp(op.A_logs)),
        *(torch.stack(b, 1), torch.stack(c, 1), op.Ds),
        delta_bias=op.dt_projs_bias.flatten(),
        delta_softplus=True,
        reverse=list(op.walk.reverse),
    )
    y = reference.selective_scan(given)
    y = torch.unflatten(y, 1, (len(u), inner))  # (batch, K, inner, L)
    total = torch.zeros_like(x)
    for k, order in enumerate(op.walk.order):
        steps = y[:, k].mT
        if order == 0:
            total = total + steps.reshape(batch, frames, joints, inner)
        else:
            total = total + steps.reshape(batch, joints, frames, inner).transpose(1, 2)
    output: Tensor = op.out_proj(op.out_norm(total) * op.act(z))
    return output


def test_fused_has_the_official_limb_gradient() -> None:
    network = model("fused").float()
    op = network.STEblocks[0].op
    x, seed = (clip(i, 4).float() for i in (3, 4))
    weights = [x.requires_grad_(), *op.parameters()]
    wanted = torch.autograd.grad((by_definition(op, x) * seed).sum(), weights)
    network.set_official_limb_gradient(True)
    found = torch.autograd.grad((op(x) * seed).sum(), weights)
    for want, got in zip(wanted, found, strict=True):
        assert (got - want).abs().max() <= 1e-4 * want.abs().max()  # float32, other sums


def test_fused_trains_under_bfloat16_autocast() -> None:
    """The kernels know no bfloat16: the scan runs in float32, as the plain one does."""
    found = []
    for scan in ("fused", "chunked"):
        network = model(scan).float()  # type: ignore[arg-type]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = PoseLoss()(network(clip(2, 2).float()).float(), clip(1, 3).float())
        found.append(torch.autograd.grad(loss, list(network.parameters())))
    for one, other in zip(*found, strict=True):
        # Matrix products of 8 bits, whose inputs differ in their last one now and then.
        assert (one - other).abs().max() <= 0.05 * other.abs().max().clamp_min(1e-3)


@pytest.mark.parametrize("scan", PLAIN)
def test_official_limb_gradient_is_the_official_rule(scan: ScanBackend) -> None:
    network = model(scan)
    op = network.STEblocks[0].op
    x = clip(3, 4).requires_grad_()
    weights = [x, *op.parameters()]
    seed = clip(4, 4)
    wanted = torch.autograd.grad((by_definition(op, x) * seed).sum(), weights)
    true = torch.autograd.grad((op(x) * seed).sum(), weights)
    network.set_official_limb_gradient(True)
    found = torch.autograd.grad((op(x) * seed).sum(), weights)
    for want, got in zip(wanted, found, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-11)  # float64, other order of sums
    assert (true[0] - found[0]).abs().max() > 1e-3  # else the option would do nothing
