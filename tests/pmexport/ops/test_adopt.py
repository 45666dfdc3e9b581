"""Copies of the blocks in other networks are known by name and parameters, and replaced."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

from pmexport.ops import SS2D, Mamba, adopt, left_alone, stand_ins
from posemamba.errors import InputError


def theirs(name: str, ours: nn.Module, **more: Any) -> nn.Module:
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

    def __init__(self, **keywords: object) -> None:
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


def changed(block: nn.Module, **layers: object) -> nn.Module:
    for name, layer in layers.items():
        setattr(block, name, layer)
    return block


def dilated(kind: type[nn.Module], width: int, kernel: int) -> nn.Module:
    return kind(width, width, kernel, groups=width, padding=kernel - 1, dilation=2)


#: What no key of the weights tells, or what other keys tell: by class, a block, and what is said.
OTHER_LAYERS: dict[str, tuple[str, nn.Module, str]] = {
    "a parameter more": ("Mamba", changed(Mamba(16), gate=nn.Linear(2, 2)),
                         "its 'gate.bias' is (2,), not absent"),
    "dilation": ("Mamba", changed(Mamba(16), conv1d=dilated(nn.Conv1d, 32, 4)),
                 "its conv1d has dilation (2,), not (1,)"),
    "no padding": ("Mamba", changed(Mamba(16), conv1d=nn.Conv1d(32, 32, 4, groups=32)),
                   "its conv1d has padding (0,), not (3,)"),
    "activation": ("Mamba", changed(Mamba(16), act=nn.GELU()), "its act is GELU, not SiLU"),
    "no linear layer": ("Mamba", changed(Mamba(16), in_proj=nn.Identity()),
                        "its layers are not those of Mamba"),
    "grid dilation": ("SS2D", changed(SS2D(12), conv2d=dilated(nn.Conv2d, 24, 3)),
                      "its conv2d has padding (2, 2), not (1, 1)"),
    "sigmoid": ("SS2D", changed(SS2D(12), out_norm=nn.Sigmoid()), "its out_norm is Sigmoid"),
    "group norm": ("SS2D", changed(SS2D(12), out_norm=nn.GroupNorm(2, 24)),
                   "its out_norm is GroupNorm"),
    "no scale": ("SS2D", changed(SS2D(12), out_norm=nn.LayerNorm(24, elementwise_affine=False)),
                 "its 'out_norm.bias' is absent, not (24,)"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_LAYERS)
def test_other_layers_are_left_alone_and_named(name: str) -> None:
    kind, block, why = OTHER_LAYERS[name]
    network = nn.Sequential(nn.Identity(), theirs(kind, block))
    found, names = adopt(network)
    assert found is network
    assert names == []
    assert left_alone(network) == [f"module '1' is left as it is: {why}"]


def test_settings_that_are_taken_over() -> None:
    """An epsilon, and the numbers that VMamba gives its modes."""
    torch.manual_seed(0)
    block = SS2D(12, forward_type="v052d").eval()
    block.out_norm.eps = 0.5
    x = torch.randn(2, 5, 6, 12)
    found, _ = adopt(theirs("SS2D", block, forward_core=Core(scan_mode=2)))
    with torch.no_grad():
        assert torch.equal(found(x), block(x))


REFUSED = {
    "Mamba2": (nn.Linear(3, 3), {}, "module '0': Mamba2 is not Mamba-1"),
    "Mamba3": (nn.Linear(3, 3), {}, "Mamba3 is not Mamba-1"),
    "Mamba": (Mamba(16), {"bimamba_type": "v1"}, "bimamba_type 'v1'"),
    "SS2D": (SS2D(12), {"forward_core": Core(scan_mode="cascade2d")}, "scan_mode 'cascade2d'"),
    "SS2D by number": (SS2D(12), {"forward_core": Core(scan_mode=3)}, "scan_mode '3'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_functions_are_refused_by_name(name: str) -> None:
    ours, attributes, words = REFUSED[name]
    with pytest.raises(InputError, match=words):
        adopt(nn.Sequential(theirs(name.partition(" ")[0], ours, **attributes)))


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
