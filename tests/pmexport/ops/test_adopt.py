"""Copies of the blocks in other networks are known by name and parameters, and replaced."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

from pmexport.ops import SS2D, Mamba, adopt, stand_ins
from posemamba.errors import InputError


def theirs(name: str, ours: nn.Module, **more: Any) -> nn.Module:  # noqa: ANN401
    """A module of another class with a block's parameters, which cannot run here."""

    def forward(self: nn.Module, *_: object) -> None:
        raise RuntimeError("a CUDA kernel is missing")

    module = type(name, (nn.Module,), {"forward": forward})()
    for key, child in ours.named_children():
        setattr(module, key, child)
    for key, parameter in ours.named_parameters(recurse=False):
        setattr(module, key, parameter)
    for key, value in more.items():
        setattr(module, key, value)
    return module.eval()


class Core:
    """What VMamba keeps its scan in: a partial function."""

    def __init__(self, **keywords: str) -> None:
        self.keywords = keywords


MAMBAS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Mamba": ({}, {}),
    "sizes": ({"d_state": 5, "d_conv": 3, "expand": 3, "dt_rank": 4, "bias": True,
               "conv_bias": False}, {}),
    "Vim": ({"bimamba_type": "v2"}, {"bimamba_type": "v2"}),
    "Vim, halved": (
        {"bimamba_type": "v2", "if_divide_out": True, "init_layer_scale": 0.3},
        {"bimamba_type": "v2", "if_devide_out": True},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MAMBAS)
def test_mamba(name: str) -> None:
    arguments, attributes = MAMBAS[name]
    torch.manual_seed(0)
    ours, x = Mamba(16, **arguments).eval(), torch.randn(2, 7, 16)
    network = nn.Sequential(nn.Identity(), theirs("Mamba", ours, **attributes))
    found, names = adopt(network)
    assert names == ["1"]
    with torch.no_grad():
        assert torch.equal(found(x), ours(x))
    with pytest.raises(RuntimeError, match="CUDA kernel"):  # the network itself is left as it was
        network(x)


GRIDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "v0": ({"forward_type": "v0"}, {}),
    "v05_noz": ({"forward_type": "v05_noz", "channel_first": True, "d_state": 1},
                {"channel_first": True, "forward_core": Core(no_einsum="yes")}),
    "v052d": ({"forward_type": "v052d"}, {"forward_core": Core(scan_mode="bidi")}),
    "v051d": ({"forward_type": "v051d_nozact_oact"},
              {"forward_core": Core(scan_mode="unidi"), "disable_z_act": True, "oact": True}),
    "no norm": ({"forward_type": "v2_onnone", "d_conv": 1, "act_layer": nn.GELU}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", GRIDS)
def test_ss2d(name: str) -> None:
    arguments, attributes = GRIDS[name]
    torch.manual_seed(0)
    ours, x = SS2D(12, **arguments).eval(), torch.randn(2, 12, 12, 12)
    found, names = adopt(theirs("SS2D", ours, **attributes))
    assert names == [""]  # the network itself
    with torch.no_grad():
        assert torch.equal(found(x), ours(x))


def test_ours_and_others_are_left_alone() -> None:
    lookalike = type("Mamba", (nn.Linear,), {})(4, 4)
    network = nn.Sequential(Mamba(16), SS2D(12), nn.Linear(3, 3), lookalike)
    found, names = adopt(network)
    assert found is network
    assert names == []


REFUSED = {
    "Mamba2": (nn.Linear(3, 3), {}, "module '0': Mamba2 is not Mamba-1"),
    "Mamba3": (nn.Linear(3, 3), {}, "Mamba3 is not Mamba-1"),
    "Mamba": (Mamba(16), {"bimamba_type": "v1"}, "bimamba_type 'v1'"),
    "SS2D": (SS2D(12), {"forward_core": Core(scan_mode="cascade2d")}, "scan_mode 'cascade2d'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_functions_are_refused_by_name(name: str) -> None:
    ours, attributes, words = REFUSED[name]
    with pytest.raises(InputError, match=words):
        adopt(nn.Sequential(theirs(name, ours, **attributes)))


def test_stand_ins_come_first_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    real = type(sys)("mamba_ssm")
    monkeypatch.setitem(sys.modules, "mamba_ssm", real)
    with stand_ins():
        from mamba_ssm import Mamba as imported
        from mamba_ssm.modules.mamba_simple import Mamba as again

        assert imported is again is Mamba
        with pytest.raises(ImportError, match="cannot import name 'Mixer'"):
            from mamba_ssm.modules.mamba_simple import Mixer  # noqa: F401
        with pytest.raises(ImportError):
            import mamba_ssm.distributed  # noqa: F401
    assert sys.modules["mamba_ssm"] is real
    assert "mamba_ssm.ops" not in sys.modules
