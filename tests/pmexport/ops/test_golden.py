"""The authors' blocks, exported: their outputs in ONNX Runtime, and scans of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mamba_cases
import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from pmexport.exporting.module import export_module
from pmexport.exporting.module_request import FreeSize, InputSpec
from pmexport.format.file import open_model
from pmexport.format.names import CPU_PROVIDER
from pmexport.format.options import ExportOptions, OpsMode
from pmexport.ops import SS2D, Mamba, plain_pytorch, selective_scan_fn
from pmexport.runtimes.session import open_any_session
from posemamba.errors import InputError

#: Of the largest value: what float32 loses in another order of sums. Measured: at most 1.4e-6.
ROUNDING = 1e-5


def run(path: Path, **inputs: Any) -> list[Any]:
    session = open_any_session(open_model(path), None, [CPU_PROVIDER])
    found: list[Any] = session.run(None, inputs)
    return found


def exported(network: nn.Module, x: Any, folder: Path, ops: OpsMode, *axes: int) -> Path:
    path = folder / f"{ops}.onnx"
    dynamic = [FreeSize(f"size{axis}", (("x", axis),)) for axis in axes]
    export_module(network, [InputSpec("x", x.shape)], path, ExportOptions(ops=ops), dynamic=dynamic)
    return path


@pytest.mark.parametrize(
    ("name", "ops"),
    [
        *((name, "generic") for name in mamba_cases.BLOCKS),
        *((name, "standard") for name in ("mamba_d32_n8", "vim_v2_d16_n16_halved",
                                          "vmamba_v05_noz_d32_n1")),
        ("vmamba_v0_d32_n16", "fused"),
    ],
)  # fmt: skip
def test_the_authors_outputs(name: str, ops: OpsMode, tmp_path: Path) -> None:
    block = mamba_cases.build(name)
    x, y = mamba_cases.outputs(name)
    path = exported(block, x, tmp_path, ops, *mamba_cases.BLOCKS[name].dynamic)
    (found,) = run(path, x=x)
    assert np.abs(found - y).max() < mamba_cases.TOLERANCE
    # Another batch, and another size of the second free axis.
    other = np.concatenate([x, x[:1]]).take(range(5), mamba_cases.BLOCKS[name].dynamic[1])
    with torch.no_grad(), plain_pytorch():
        expected = block(torch.from_numpy(other)).numpy()
    (found,) = run(path, x=other)
    assert np.abs(found - expected).max() < mamba_cases.TOLERANCE
    nodes = {node.op_type for node in onnx.load(path).graph.node}
    wanted = {"generic": "SelectiveScan", "standard": "Scan", "fused": "CrossSelectiveScan"}[ops]
    assert wanted in nodes
    assert nodes & {"SelectiveScan", "CrossSelectiveScan", "Scan"} == {wanted}


class Scans(nn.Module):
    """Scans that differ in what is given, side by side on one input (batch, 12, L)."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape, generator=generator))

        self.A_log, self.D, self.bias = draw(12, 4), draw(12), draw(12)
        self.B, self.C = draw(12, 4), draw(12, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        A = -torch.exp(self.A_log)
        delta, b = torch.sin(x), x[:, :4]
        groups = torch.stack([x[:, :4], x[:, 4:8], x[:, 8:]], 1)
        D, bias = self.D, self.bias
        found = [
            selective_scan_fn(x, delta.abs(), A, b, b),
            selective_scan_fn(x, delta, A, b, b, D, x, bias, True),
            selective_scan_fn(x, delta, A, groups, groups, None, x, None, True),
            selective_scan_fn(x, delta.abs(), A, groups, b, D, None, bias.abs(), False),
            selective_scan_fn(x, delta, A, self.B, b, D, x, bias, True),
            selective_scan_fn(x, delta, A, groups, self.C, None, x, bias, True),
            selective_scan_fn(x, delta, A, self.B, self.C, D, None, None, True),
            # A rate that depends on the input is no constant of the graph.
            selective_scan_fn(x, delta, A * (1 + x.mean().abs()), b, b, D, None, bias, True),
        ]
        return tuple(y for y in found if isinstance(y, Tensor))


@pytest.mark.parametrize("ops", ["generic", "standard"])
def test_scans_of_every_kind(ops: OpsMode, tmp_path: Path) -> None:
    network = Scans().eval()
    x = torch.randn(2, 12, 9, generator=torch.Generator().manual_seed(1))
    path = exported(network, x, tmp_path, ops, 0, 2)
    for given in (x, torch.cat([x, x[:1]])[:, :, :1]):
        with torch.no_grad(), plain_pytorch():
            expected = network(given)
        for found, wanted in zip(run(path, x=given.numpy()), expected, strict=True):
            scale = max(1.0, float(wanted.abs().max()))
            assert np.abs(found - wanted.numpy()).max() < ROUNDING * scale
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    assert nodes.count({"generic": "SelectiveScan", "standard": "Scan"}[ops]) == 8


class States(nn.Module):
    """The state after the last step, of scans in groups and of constant B and C."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.A = nn.Parameter(-torch.rand(12, 3, generator=generator))
        self.B = nn.Parameter(torch.randn(12, 3, generator=generator))
        self.D = nn.Parameter(torch.randn(12, generator=generator))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        b, groups = x[:, :3], x.reshape(x.shape[0], 4, 3, -1)
        found = (
            *selective_scan_fn(x, x, self.A, b, b, self.D, x, None, True, True),
            *selective_scan_fn(x, x.abs(), self.A, groups, b, return_last_state=True),
            *selective_scan_fn(x, x.abs(), self.A, self.B, b, return_last_state=True),
        )
        return tuple(y for y in found if isinstance(y, Tensor))


@pytest.mark.parametrize("ops", ["generic", "standard"])
def test_states_are_exported(ops: OpsMode, tmp_path: Path) -> None:
    network = States().eval()
    x = torch.randn(2, 12, 9, generator=torch.Generator().manual_seed(1))
    path = exported(network, x, tmp_path, ops, 0, 2)
    for given in (x, torch.cat([x, x[:1]])[:, :, :1]):
        with torch.no_grad(), plain_pytorch():
            expected = network(given)
        found = run(path, x=given.numpy())
        assert len(found) == len(expected) == 6
        for one, wanted in zip(found, expected, strict=True):
            scale = max(1.0, float(wanted.abs().max()))
            assert np.abs(one - wanted.numpy()).max() < ROUNDING * scale


class Complex(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        A = torch.complex(-torch.ones(x.shape[1], 2), torch.ones(x.shape[1], 2))
        b = torch.cat([x[:, :2], x[:, :2]], -1)
        found = selective_scan_fn(x, x, A, b, b)
        assert isinstance(found, Tensor)
        return found


def test_what_the_operator_lacks_is_refused(tmp_path: Path) -> None:
    x = torch.zeros(1, 4, 3)
    with pytest.raises(InputError, match="a complex A cannot be exported") as refusal:
        exported(Complex(), x, tmp_path, "generic")
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


class Large(nn.Module):
    """More states, or more groups, than the kernels take."""

    def __init__(self, states: int, groups: int) -> None:
        super().__init__()
        self.rates = nn.Parameter(-torch.rand(groups, states))

    def forward(self, x: Tensor) -> Tensor:
        b = x[:, :, None, :].expand(-1, -1, self.rates.shape[1], -1)
        y = selective_scan_fn(x, x.abs(), self.rates, b, b)
        assert isinstance(y, Tensor)
        return y


@pytest.mark.parametrize("ops", ["generic", "standard"])
def test_more_states_than_version_1_takes(ops: OpsMode, tmp_path: Path) -> None:
    """Both ways of a Vim block of 80 states; 256 are the most that version 2 takes."""
    for name, network, shape in (
        ("Vim", Mamba(8, d_state=80, bimamba_type="v2"), (2, 5, 8)),
        ("SS2D", SS2D(8, d_state=80), (2, 3, 4, 8)),
        ("the most", Large(256, 2), (1, 2, 3)),
    ):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        path = exported(network.eval(), x, tmp_path, ops, 0)
        with torch.no_grad(), plain_pytorch():
            expected = network(x).numpy()
        scale = max(1.0, np.abs(expected).max())
        assert np.abs(run(path, x=x.numpy())[0] - expected).max() < ROUNDING * scale, name
        nodes = [node for node in onnx.load(path).graph.node if node.op_type == "SelectiveScan"]
        versions = {a.s for node in nodes for a in node.attribute if a.name == "plugin_version"}
        assert versions == ({b"2"} if ops == "generic" else set())


@pytest.mark.parametrize(
    ("states", "groups", "words"),
    [(257, 1, "d_state is 257, the kernels take at most 256"),
     (2, 9, "groups is 9, the kernels take at most 8")],
)  # fmt: skip
def test_sizes_beyond_the_kernels_name_what_still_works(
    states: int, groups: int, words: str, tmp_path: Path
) -> None:
    network, x = Large(states, groups).eval(), torch.randn(1, groups, 3)
    with pytest.raises(InputError, match=words) as refusal:
        exported(network, x, tmp_path, "generic")
    assert "--ops standard" in str(refusal.value)
    assert list(tmp_path.iterdir()) == []
    (found,) = run(exported(network, x, tmp_path, "standard"), x=x.numpy())
    with torch.no_grad(), plain_pytorch():
        expected = network(x).numpy()
    assert np.abs(found - expected).max() < ROUNDING * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize(("states", "version"), [(64, "1"), (65, "2"), (256, "2")])
def test_more_states_are_version_2(states: int, version: str, tmp_path: Path) -> None:
    """Version 1 takes 64, and is faster on a GPU."""
    network, x = Large(states, 2).eval(), torch.randn(2, 2, 7)
    path = exported(network, x, tmp_path, "generic", 0, 2)
    assert [node.plugin_version for node in open_model(path).own_nodes] == [version]
    other = torch.randn(3, 2, 5)
    (found,) = run(path, x=other.numpy())
    with torch.no_grad(), plain_pytorch():
        expected = network(other).numpy()
    # Sums over more states: rounding grows with what is summed.
    assert np.abs(found - expected).max() < ROUNDING * max(1.0, np.abs(expected).max())
