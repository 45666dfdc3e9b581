"""Scan maps against the derivative of the reference scan, which knows nothing of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from posemamba.config import PoseMambaConfig
from posemamba.errors import InputError
from posemamba.model.network import PoseMamba
from posemamba.model.scan_maps import matrix_rows, scan_maps
from posemamba.scan import reference
from posemamba.scan.operands import Operands
from posemamba.scan_order import SCAN_ORDERS

#: float64 on both sides, sums of at most a few hundred terms of order 1.
TOLERANCE = 1e-12
FRAMES, JOINTS = 3, 17


def random_model(scan_order: str) -> PoseMamba:
    torch.manual_seed(3)
    config = PoseMambaConfig(d_model=4, depth=2, frames=FRAMES, d_state=2, scan_order=scan_order)
    return PoseMamba(config, scan="reference").double().eval()


def test_matrix_is_the_derivative_of_the_scan() -> None:
    torch.manual_seed(0)
    channels, states, steps = 3, 5, 11
    delta = torch.rand(1, channels, steps, dtype=torch.float64) * 2
    rates = -torch.rand(channels, states, dtype=torch.float64) * 3
    B, C = torch.randn(2, 1, 1, states, steps, dtype=torch.float64)
    u = torch.randn(1, channels, steps, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(
        lambda value: reference.selective_scan(Operands(value, delta, rates, B, C)), u
    )  # (1, channels, steps, 1, channels, steps)
    expected = torch.diagonal(jacobian[0, :, :, 0], dim1=0, dim2=2)  # (steps, steps, channels)
    rows = matrix_rows(delta.transpose(1, 2), rates, B[0].transpose(1, 2), C[0].transpose(1, 2))
    for step, row in enumerate(rows):
        torch.testing.assert_close(row[0], expected[step, : step + 1], rtol=0, atol=TOLERANCE)
        assert not expected[step, step + 1 :].any()
    assert step == steps - 1


@pytest.mark.parametrize("name", [n for n, order in SCAN_ORDERS.items() if order.is_one_walk])
def test_maps_are_the_blocks_of_the_fused_operators_derivative(name: str) -> None:
    """Direction by direction, limb sums, flips and reversals included."""
    model = random_model(name)
    clip = torch.randn(1, FRAMES, JOINTS, 2, dtype=torch.float64)
    maps = scan_maps(model, clip, "TTE", 1)
    op = model.TTEblocks[1].op
    seen: list[torch.Tensor] = []
    op.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    model(clip)
    x, x_dbl, _ = (tensor.detach() for tensor in op.scan_inputs(seen[0]))
    walk, inner = op.walk, x.shape[-1]
    width = x_dbl.shape[-1] // walk.directions
    rates = -torch.exp(op.A_logs.detach()).unflatten(0, (walk.directions, inner))
    # A unit in one position, in all channels at once, for they do not mix: 51 clips whose outputs
    # are the columns of the derivative, since the scan is linear in x once x_dbl is held.
    positions = FRAMES * JOINTS
    units = torch.eye(positions, dtype=torch.float64).view(positions, FRAMES, JOINTS, 1)
    for k, code in enumerate(walk.order):
        columns = reference.cross_selective_scan(
            units.expand(positions, FRAMES, JOINTS, inner),
            x_dbl[..., k * width : (k + 1) * width].expand(positions, FRAMES, JOINTS, width),
            op.dt_projs_weight[k : k + 1].detach(),
            op.dt_projs_bias[k : k + 1].detach(),
            rates[k : k + 1],
            torch.zeros(1, inner, dtype=torch.float64),
            op.d_state,
            [code],
            [walk.reverse[k]],
            [walk.limb_mask[k]],
            walk.limb_index,
        )
        # (frames, joints) of the output, the same of the input, channels
        jacobian = columns.unflatten(0, (FRAMES, JOINTS)).permute(2, 3, 0, 1, 4)
        if maps.directions[k].shape == (JOINTS, JOINTS):
            blocks = torch.stack([jacobian[t, :, t] for t in range(FRAMES)])
        else:
            blocks = torch.stack([jacobian[:, j, :, j] for j in range(JOINTS)])
        expected = blocks.abs().mean(dim=(0, 3)).numpy()
        np.testing.assert_allclose(maps.directions[k], expected, rtol=0, atol=TOLERANCE)
        assert expected.max() > 1e6 * TOLERANCE  # something was compared


def test_directions_add_up_to_the_two_maps() -> None:
    maps = scan_maps(random_model("global-local"), torch.randn(1, 3, 17, 2).double(), "STE", 0)
    assert [part.shape for part in maps.directions] == [(17, 17), (3, 3), (17, 17), (3, 3)]
    np.testing.assert_array_equal(maps.spatial, maps.directions[0] + maps.directions[2])
    np.testing.assert_array_equal(maps.temporal, maps.directions[1] + maps.directions[3])
    # Without a limb sum forward directions see no later step, reversed ones no earlier one.
    assert not np.triu(maps.directions[1], 1).any()
    assert not np.tril(maps.directions[3], -1).any()


def test_long_scans_with_extreme_steps_stay_finite() -> None:
    delta = torch.full((1, 300, 2), 50.0)
    delta[:, ::7] = 1e-6
    ones = torch.ones(1, 300, 3)
    rates = -torch.tensor([[1.0, 8.0, 1e4]]).expand(2, 3)
    assert all(torch.isfinite(row).all() for row in matrix_rows(delta, rates, ones, ones))


def test_wrong_requests() -> None:
    model, clip = random_model("global-local"), torch.zeros(1, 3, 17, 2).double()
    with pytest.raises(InputError, match="block STE 2 does not exist: this model has STE 0 to 1"):
        scan_maps(model, clip, "STE", 2)
    with pytest.raises(InputError, match="of one clip, not of 2"):
        scan_maps(model, clip.expand(2, 3, 17, 2), "STE", 0)
