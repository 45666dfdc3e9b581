"""mamba-ssm's scan in our terms, with a stand-in for its package, which needs a GPU."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch

from posemamba.errors import InputError
from posemamba.mamba import selective_scan_fn
from posemamba.scan import mamba_ssm, reference
from posemamba.scan.operands import Operands


def operands(gated: bool) -> Operands:
    """Two groups of three channels; the second runs backwards."""
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    return Operands(
        *(normal(2, 6, 9), normal(2, 6, 9), -normal(6, 4).exp()),
        *(normal(2, 2, 4, 9), normal(2, 2, 4, 9), normal(6)),
        z=normal(2, 6, 9) if gated else None,
        delta_bias=normal(6),
        delta_softplus=True,
        reverse=[0, 1],
    )


@pytest.mark.parametrize("gated", [False, True])
def test_groups_run_their_own_way(gated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """1e-5: float32 sums of four states near 1, in another order."""
    module = ModuleType("mamba_ssm.ops.selective_scan_interface")
    module.selective_scan_fn = selective_scan_fn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for package in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    given = operands(gated)
    expected = reference.selective_scan(given.to(torch.float64)).float()
    torch.testing.assert_close(mamba_ssm.selective_scan(given), expected, rtol=1e-5, atol=1e-5)


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    with pytest.raises(InputError, match=r"pip install '.\[mamba\]'"):
        mamba_ssm.selective_scan(operands(False))
