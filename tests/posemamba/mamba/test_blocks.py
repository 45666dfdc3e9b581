"""Mamba, Vim's and VMamba's blocks: the authors' outputs and gradients, and siblings by formula."""

from __future__ import annotations

from typing import Any

import mamba_cases
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posemamba.errors import InputError
from posemamba.mamba import SS2D, Mamba, plain_pytorch
from posemamba.mamba.norms import RMSNorm
from posemamba.mamba.residual import Block, SimpleBlock
from posemamba.scan import reference
from posemamba.scan.operands import Operands

#: Of the largest value: what float32 loses in another order of sums. Measured: at most 1.4e-6.
ROUNDING = 1e-5


def shaken(block: nn.Module) -> nn.Module:
    """Every parameter off its initial value."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return block.eval()


@pytest.mark.parametrize("name", mamba_cases.BLOCKS)
def test_the_authors_outputs(name: str) -> None:
    block = mamba_cases.build(name)
    x, y = mamba_cases.outputs(name)
    with torch.no_grad():
        found = block(torch.from_numpy(x)).numpy()
        with plain_pytorch():
            plain = block(torch.from_numpy(x)).numpy()
        wide = block.double()(torch.from_numpy(x).double()).numpy()
    for one in (found, plain, wide):
        assert np.abs(one - y).max() < mamba_cases.TOLERANCE
    assert wide.dtype == np.float64
    assert np.abs(y).max() > 0.1  # the tolerance means something


def test_the_authors_gradients() -> None:
    block = mamba_cases.build("mamba_d32_n16")
    x, _ = mamba_cases.outputs("mamba_d32_n16")
    given = torch.from_numpy(x).requires_grad_()
    with np.load(mamba_cases.MAMBA / "mamba_d32_n16_grad.npz") as archive:
        expected = {key: archive[key] for key in archive.files}
    (block(given) * torch.from_numpy(expected.pop("g"))).sum().backward()
    found = {f"grad_{name}": p.grad for name, p in block.named_parameters()} | {
        "grad_x": given.grad
    }
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        gradient = found[name]
        assert gradient is not None
        assert np.abs(gradient.numpy() - wanted).max() < ROUNDING * np.abs(wanted).max(), name


def mamba_by_formula(block: nn.Module, x: Tensor) -> Tensor:
    """The block in float64 with PyTorch's own layers, reversing the sequence itself for Vim."""
    p = {name: tensor.detach().double() for name, tensor in block.state_dict().items()}
    xz = F.linear(x.double(), p["in_proj.weight"], p.get("in_proj.bias"))
    total = torch.zeros(())
    for suffix in ("", "_b") if "D_b" in p else ("",):
        way = xz.flip(1) if suffix else xz
        u, z = way.transpose(1, 2).chunk(2, 1)
        weight = p[f"conv1d{suffix}.weight"]
        u = F.conv1d(F.pad(u, (weight.shape[2] - 1, 0)), weight, p.get(f"conv1d{suffix}.bias"),
                     groups=len(weight))  # fmt: skip
        u = F.silu(u)
        A = -p[f"A{suffix}_log"].exp()
        rank = p[f"dt_proj{suffix}.weight"].shape[1]
        steps = (p[f"x_proj{suffix}.weight"] @ u).split([rank, A.shape[1], A.shape[1]], 1)
        given = Operands(
            u, p[f"dt_proj{suffix}.weight"] @ steps[0], A, steps[1][:, None], steps[2][:, None],
            p[f"D{suffix}"], z, p[f"dt_proj{suffix}.bias"], True,
        )  # fmt: skip
        y = reference.selective_scan(given)
        total = total + (y.flip(2) if suffix else y)
    y = F.linear(total.transpose(1, 2), p["out_proj.weight"], p.get("out_proj.bias"))
    return y * p["gamma"] if "gamma" in p else y


SIBLINGS: dict[str, dict[str, Any]] = {
    "width 2": {"d_conv": 2},
    "width 3": {"d_conv": 3},
    "no convolution bias": {"conv_bias": False},
    "outer biases": {"bias": True},
    "one state": {"d_state": 1},
    "64 states": {"d_state": 64},
    "65 states": {"d_state": 65},
    "wide": {"expand": 3},
    "rank 5": {"dt_rank": 5},
    "constant steps": {"dt_init": "constant", "dt_scale": 2.0},
    "Vim": {"bimamba_type": "v2", "d_conv": 3},
    "Vim, outer biases": {"bimamba_type": "v2", "bias": True, "init_layer_scale": 0.5},
}


@pytest.mark.parametrize("length", [1, 3, 29])
@pytest.mark.parametrize("name", SIBLINGS)
def test_mamba_equals_its_formula(name: str, length: int) -> None:
    torch.manual_seed(0)
    block = shaken(Mamba(18, **SIBLINGS[name]))
    x = torch.randn(2, length, 18)
    with torch.no_grad():
        expected = mamba_by_formula(block, x)
        assert (block(x) - expected).abs().max() < ROUNDING * expected.abs().max()


def ss2d_by_formula(block: SS2D, x: Tensor, kind: str, gate: str) -> Tensor:
    """The four scans of a kind one after the other, over explicit lists of positions."""
    p = {name: tensor.detach().double() for name, tensor in block.state_dict().items()}
    x = x.double()
    xz = F.linear(x, p["in_proj.weight"], p.get("in_proj.bias"))
    u, z = xz.chunk(2, -1) if gate else (xz, None)
    if "conv2d.weight" in p:
        pad = p["conv2d.weight"].shape[-1] // 2
        u = F.conv2d(u.permute(0, 3, 1, 2), p["conv2d.weight"], p.get("conv2d.bias"),
                     padding=pad, groups=u.shape[3]).permute(0, 2, 3, 1)  # fmt: skip
    u = F.silu(u)
    rows, columns, inner = u.shape[1:]
    flat = u.flatten(1, 2).transpose(1, 2)  # (batch, inner, H * W)
    places = torch.arange(rows * columns)
    turned = places.view(rows, columns).T.flatten()
    walks = {
        "cross": (places, turned, places.flip(0), turned.flip(0)),
        "uni": (places,) * 4,
        "bi": (places, places, places.flip(0), places.flip(0)),
    }[kind]
    total = torch.zeros_like(flat)
    rates, skips = p["A_logs"].view(4, inner, -1), p["Ds"].view(4, inner)
    for k, walk in enumerate(walks):
        seen = flat[:, :, walk]
        weight, state = p["dt_projs_weight"][k], rates.shape[2]
        steps = (p["x_proj_weight"][k] @ seen).split([weight.shape[1], state, state], 1)
        given = Operands(
            seen, weight @ steps[0], -rates[k].exp(), steps[1][:, None], steps[2][:, None],
            skips[k], None, p["dt_projs_bias"][k], True,
        )  # fmt: skip
        y = reference.selective_scan(given)
        total[:, :, walk] += y
    y = torch.unflatten(total.transpose(1, 2), 1, (rows, columns))
    if "out_norm.weight" in p:
        y = F.layer_norm(y, (inner,), p["out_norm.weight"], p["out_norm.bias"])
    if z is not None:
        y = y * (F.silu(z) if gate == "silu" else z)
    return F.linear(y, p["out_proj.weight"], p.get("out_proj.bias"))


GRIDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "v0": ({"forward_type": "v0"}, "cross", "silu"),
    "v2": ({}, "cross", "silu"),
    "v05": ({"forward_type": "v05_no32", "ssm_ratio": 1.0}, "cross", "silu"),
    "v05_noz": ({"forward_type": "v05_noz", "d_state": 1}, "cross", ""),
    "v052d": ({"forward_type": "v052d_nozact"}, "bi", "plain"),
    "v051d": ({"forward_type": "v051d_onnone"}, "uni", "silu"),
    "no convolution": ({"d_conv": 1, "bias": True}, "cross", "silu"),
    "width 5": ({"d_conv": 5, "conv_bias": False, "dt_rank": 3}, "cross", "silu"),
    "65 states": ({"d_state": 65}, "cross", "silu"),
}


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (2, 66)])  # 66 is beyond the fused operator
@pytest.mark.parametrize("name", GRIDS)
def test_ss2d_equals_its_formula(name: str, size: tuple[int, int]) -> None:
    arguments, kind, gate = GRIDS[name]
    torch.manual_seed(0)
    block = shaken(SS2D(12, **arguments))
    assert isinstance(block, SS2D)
    x = torch.randn(2, *size, 12)
    with torch.no_grad():
        expected = ss2d_by_formula(block, x, kind, gate)
        assert (block(x) - expected).abs().max() < ROUNDING * expected.abs().max()


def test_channels_first_is_the_same_function() -> None:
    torch.manual_seed(0)
    last, first = SS2D(12, bias=True), SS2D(12, bias=True, channel_first=True)
    first.load_state_dict(last.state_dict())
    x = torch.randn(2, 4, 5, 12)
    with torch.no_grad():
        assert torch.equal(first(x.permute(0, 3, 1, 2)), last(x).permute(0, 3, 1, 2))


def test_outer_projections_stored_as_convolutions_load() -> None:
    block = SS2D(12)
    state = block.state_dict()
    for name in ("in_proj.weight", "out_proj.weight"):
        state[name] = state[name][:, :, None, None]
    loaded = SS2D(12)
    loaded.load_state_dict(state)
    for name, weight in block.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name


@pytest.mark.parametrize("norm", [nn.LayerNorm, RMSNorm])
@pytest.mark.parametrize("mlp", [nn.Identity, lambda width: nn.Linear(width, width)])
def test_a_residual_block_is_sum_norm_mixer(norm: Any, mlp: Any) -> None:
    torch.manual_seed(0)
    block = shaken(Block(12, lambda width: nn.Linear(width, width), mlp, norm))
    x, before = torch.randn(2, 5, 12), torch.randn(2, 5, 12)
    with torch.no_grad():
        first, carried = block(x)
        assert torch.equal(first, block(x, torch.zeros(2, 5, 12))[0])
        found, total = block(x, before)
        expected = block.mixer(block.norm(x + before))
        wanted = x + before
        if block.mlp is not None:
            wanted = wanted + expected
            expected = block.mlp(block.norm2(wanted))
    assert torch.equal(found, expected)
    assert torch.equal(total, wanted)
    assert carried.shape == x.shape
    old = SimpleBlock(12, lambda width: nn.Linear(width, width), norm, residual_in_fp32=True)
    assert old(x.double().float())[1].dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_blocks_stay_near(dtype: torch.dtype) -> None:
    """Products of 8 or 11 bits over 64 channels, twice."""
    torch.manual_seed(0)
    tolerance = 2e-2 if dtype == torch.float16 else 1e-1
    for block, x in ((Mamba(32), torch.randn(2, 9, 32)), (SS2D(32), torch.randn(2, 4, 5, 32))):
        with torch.no_grad():
            expected = block(x)
            found = block.to(dtype)(x.to(dtype))
        assert found.dtype == dtype
        assert (found.float() - expected).abs().max() < tolerance * expected.abs().max()


def test_the_scans_own_weights_stay_float32() -> None:
    block = Mamba(32, dtype=torch.float16)
    assert (block.in_proj.weight.dtype, block.A_log.dtype) == (torch.float16, torch.float32)


def test_refusals_name_the_value() -> None:
    with pytest.raises(InputError, match="bimamba_type 'v1'"):
        Mamba(16, bimamba_type="v1")
    with pytest.raises(InputError, match="option 'nslices'"):
        Mamba(16, nslices=4)
    with pytest.raises(InputError, match="inference_params is given"):
        Mamba(16)(torch.zeros(1, 2, 16), inference_params=object())
    for name in ("v9", "v05_onsoftmax", "v052dc"):
        with pytest.raises(InputError, match=f"forward_type '{name}'"):
            SS2D(16, forward_type=name)
    with pytest.raises(InputError, match="dt_init 'zeros'"):
        Mamba(16, dt_init="zeros")


@pytest.mark.parametrize("kind", ["Mamba", "SS2D"])
def test_a_compiler_trains_what_eager_trains(kind: str) -> None:
    """One graph, no breaks; the same operators in the same order, but for fused additions."""
    torch.manual_seed(0)
    block, x = (
        (Mamba(16, bimamba_type="v2"), torch.randn(2, 5, 16))
        if kind == "Mamba"
        else (SS2D(16), torch.randn(2, 3, 4, 16))
    )
    weights = list(block.parameters())
    expected = torch.autograd.grad(block(x).square().sum(), weights)
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    found = torch.autograd.grad(compiled(x).square().sum(), weights)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= ROUNDING * other.abs().max()
