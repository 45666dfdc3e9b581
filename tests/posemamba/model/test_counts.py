"""Both ways of counting, against the paper's table and against the modules themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from posemamba.config import VARIANTS, PoseMambaConfig
from posemamba.model.counts import (
    count_table,
    paper_macs,
    paper_parameters,
    true_macs,
    true_parameters,
)
from posemamba.model.network import PoseMamba

ROWS = {row.variant: row for row in count_table()}
SMALL = PoseMambaConfig(d_model=24, depth=2, frames=9, d_state=8, expand=3, mlp_ratio=4)


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [("S", 1_470_211), ("B", 4_742_659), ("L", 9_450_499), ("X", 33_318_915)],
)
def test_true_parameters(variant: str, parameters: int) -> None:
    assert ROWS[variant].parameters == parameters


@pytest.mark.parametrize("config", [SMALL, PoseMambaConfig.from_variant("S")], ids=["odd", "S"])
def test_true_parameters_are_those_of_the_model(config: PoseMambaConfig) -> None:
    model = PoseMamba(config)
    assert true_parameters(config) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("variant", "parts", "total"),
    [
        ("S", (3.48, 1.69, 2.03), 7.20),
        ("B", (13.73, 4.06, 4.06), 21.85),
        ("L", (27.46, 8.12, 8.12), 43.70),
        ("X", (109.06, 21.66, 16.24), 146.96),
    ],
)
def test_true_macs(variant: str, parts: tuple[float, ...], total: float) -> None:
    macs = ROWS[variant].macs
    giga = [round(part / 1e9, 2) for part in (macs.linear_conv, macs.projections, macs.scan)]
    assert giga == list(parts)
    assert round(macs.total / 1e9, 2) == total


@pytest.mark.parametrize(
    ("variant", "mega_parameters", "giga_macs"),
    [("S", 0.860, 3.587), ("B", 3.358, 13.943), ("L", 6.714, 27.881), ("X", 26.535, 109.909)],
)
def test_the_papers_own_figures(variant: str, mega_parameters: float, giga_macs: float) -> None:
    row = ROWS[variant]
    assert round(row.paper_parameters / 1e6, 3) == mega_parameters
    assert round(row.paper_macs / 1e9, 3) == giga_macs


def module_counts(model: nn.Module, frames: int) -> tuple[int, int, int]:
    """(parameters, linear and convolution MACs, LayerNorm elements) seen by leaf-module hooks."""
    seen = {"macs": 0, "normed": 0}

    def count_linear(module: nn.Linear, _: object, output: Tensor) -> None:
        seen["macs"] += output.numel() * module.in_features

    def count_conv(module: nn.Conv2d, _: object, output: Tensor) -> None:
        seen["macs"] += output.numel() * module.weight[0].numel()

    def count_norm(_: nn.LayerNorm, __: object, output: Tensor) -> None:
        seen["normed"] += output.numel()

    hooks: dict[type[nn.Module], Callable[..., None]] = {
        nn.Linear: count_linear,
        nn.Conv2d: count_conv,
        nn.LayerNorm: count_norm,
    }
    parameters = 0
    for module in model.modules():
        if type(module) in hooks:
            module.register_forward_hook(hooks[type(module)])
            parameters += sum(p.numel() for p in module.parameters())
    with torch.no_grad():
        model(torch.zeros(1, frames, 17, 2))
    return parameters, seen["macs"], seen["normed"]


def test_formulas_agree_with_hooks_on_the_modules() -> None:
    """An independent count of the same thing, on sizes where no two formulas coincide."""
    model = PoseMamba(SMALL, scan="reference").eval()
    parameters, macs, normed = module_counts(model, frames=5)
    assert paper_parameters(SMALL) == parameters
    assert true_macs(SMALL, 5).linear_conv == macs
    assert paper_macs(SMALL, 5) == macs + 4 * normed


def test_scan_and_projection_macs_by_hand() -> None:
    # d 24: d_inner 72, R 2, N 8; 5 frames x 17 joints, 4 blocks, 4 directions.
    macs = true_macs(SMALL, 5)
    assert macs.projections == 85 * 4 * 4 * (72 * (2 + 16) + 2 * 72)
    assert macs.scan == 85 * 4 * 4 * 72 * 8 * 3


def test_table() -> None:
    assert list(ROWS) == list(VARIANTS)
    assert [(row.depth, row.d_model) for row in ROWS.values()] == list(VARIANTS.values())
    shorter = count_table(frames=27)[0]
    assert shorter.frames == 27
    assert shorter.macs.total * 9 == ROWS["S"].macs.total
    assert shorter.parameters == ROWS["S"].parameters
