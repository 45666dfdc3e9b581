"""Both operators' gradients as PyTorch sees them: by the kernels, in every layout and type."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from posemamba.config import PoseMambaConfig
from posemamba.errors import InputError
from posemamba.model.blocks import ScanBackend
from posemamba.model.network import PoseMamba
from posemamba.native import gradients, official_scan, scan_ops
from posemamba.native.official_scan import cross_selective_scan_official
from posemamba.scan import chunked, reference
from posemamba.scan.operands import Operands

BATCH, FRAMES, JOINTS, INNER, STATE, RANK = 2, 3, 5, 8, 4, 2
ORDER, REVERSE, MASK, LIMBS = [0, 1, 2, 3], [0, 1, 0, 1], [1, 0, 1, 0], [0, 0, 1, 2, 0]
CONSTANTS = (STATE, RANK, ORDER, REVERSE, MASK, LIMBS)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def cross_inputs(frames: int = FRAMES) -> list[Tensor]:
    return [
        draw(BATCH, frames, JOINTS, INNER),
        draw(BATCH, frames, JOINTS, 4 * (RANK + 2 * STATE)),
        draw(4, INNER, RANK),
        draw(4, INNER) - 2,
        -torch.exp(draw(4, INNER, STATE)),
        draw(4, INNER, seed=1),
    ]


def scan_inputs() -> list[Tensor]:
    rows, length = 2 * INNER, 7
    return [
        draw(BATCH, rows, length),
        draw(BATCH, rows, length, seed=1),
        -torch.exp(draw(rows, STATE)),
        draw(BATCH, 2, STATE, length),
        draw(BATCH, 2, STATE, length, seed=1),
        draw(rows),
        draw(rows, seed=1),
        draw(BATCH, rows, length, seed=2),
    ]


def cross(inputs: list[Tensor]) -> Tensor:
    y: Tensor = scan_ops.cross_selective_scan(*inputs, *CONSTANTS)
    return y


def scan(inputs: list[Tensor]) -> Tensor:
    y: Tensor = scan_ops.selective_scan(*inputs, True, [0, 1])
    return y


def cross_truth(inputs: list[Tensor]) -> Tensor:
    return reference.cross_selective_scan(*inputs, STATE, ORDER, REVERSE, MASK, LIMBS)


def scan_truth(inputs: list[Tensor]) -> Tensor:
    u, delta, A, B, C, D, bias, z = inputs
    return reference.selective_scan(Operands(u, delta, A, B, C, D, z, bias, True, [0, 1]))


OPS = pytest.mark.parametrize(
    ("op", "truth", "make"),
    [(cross, cross_truth, cross_inputs), (scan, scan_truth, scan_inputs)],
    ids=["cross_selective_scan", "selective_scan"],
)


def close(got: Tensor, want: Tensor, bound: float = 1e-5) -> bool:
    """Within float32's rounding of some hundred terms, by the largest value."""
    return bool((got.double() - want.double()).abs().max() <= bound * want.abs().max())


@OPS
def test_the_kernels_compute_them(
    op: Any,
    truth: Any,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And not the scan in PyTorch, which is not called."""
    monkeypatch.setattr(chunked, "selective_scan", None)
    leaves = [t.requires_grad_() for t in make()]
    exact = [t.detach().double().requires_grad_() for t in leaves]
    y, want = op(leaves), truth(exact)
    dy = torch.randn_like(y)
    found = torch.autograd.grad(y, leaves, dy)
    for got, expected in zip(found, torch.autograd.grad(want, exact, dy.double()), strict=True):
        assert close(got, expected)


@OPS
def test_inputs_that_need_none_get_none(op: Any, truth: Any, make: Any) -> None:
    every = [t.requires_grad_() for t in make()]
    all_of_them = torch.autograd.grad(op(every).sum(), every)
    for index in range(len(every)):
        some = [t.requires_grad_(i == index) for i, t in enumerate(make())]
        (alone,) = torch.autograd.grad(op(some).sum(), some[index])
        assert torch.equal(alone, all_of_them[index])


@OPS
def test_layouts_do_not_matter(op: Any, truth: Any, make: Any) -> None:
    """Transposed inputs, and a gradient that is one number expanded."""
    plain = [t.requires_grad_() for t in make()]
    want = torch.autograd.grad(op(plain).sum(), plain)
    turned = [t.mT.contiguous().mT if t.ndim > 1 else t for t in make()]
    turned = [t.requires_grad_() for t in turned]
    for got, expected in zip(torch.autograd.grad(op(turned).sum(), turned), want, strict=True):
        assert torch.equal(got, expected)


@OPS
def test_half_precision(op: Any, truth: Any, make: Any) -> None:
    """Activations in float16 have gradients of float16, weights theirs in float32."""
    weights = (2, 3, 4, 5) if op is cross else (2, 5, 6)
    leaves = [t if i in weights else t.half() for i, t in enumerate(make())]
    leaves = [t.requires_grad_() for t in leaves]
    exact = [t.detach().double().requires_grad_() for t in leaves]
    dy = torch.randn_like(op(leaves))
    found = torch.autograd.grad(op(leaves), leaves, dy)
    expected = torch.autograd.grad(truth(exact), exact, dy.double())
    for leaf, got, want in zip(leaves, found, expected, strict=True):
        assert got.dtype == leaf.dtype
        assert close(got, want, 1e-3 if got.dtype == torch.float16 else 1e-5)  # 2^-11, see above


@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16])
def test_narrow_weights_have_narrow_gradients(narrow: torch.dtype) -> None:
    inputs = cross_inputs()
    leaves = [*inputs[:2], *(t.to(narrow) for t in inputs[2:])]
    leaves = [t.requires_grad_() for t in leaves]
    found = torch.autograd.grad(cross(leaves).sum(), leaves)
    assert [g.dtype for g in found] == [torch.float32] * 2 + [narrow] * 4


def test_absent_inputs_of_selective_scan() -> None:
    inputs = scan_inputs()
    u, delta, A, B, C = (t.requires_grad_() for t in inputs[:5])
    y = scan_ops.selective_scan(u, delta, A, B, C, None, None, None, False, [0, 1])
    want = reference.selective_scan(Operands(u, delta, A, B, C, None, None, None, False, [0, 1]))
    for got, expected in zip(
        torch.autograd.grad(y.sum(), [u, delta, A, B, C]),
        torch.autograd.grad(want.sum(), [u, delta, A, B, C]),
        strict=True,
    ):
        assert close(got, expected)


def test_no_frames_give_gradients_of_zero() -> None:
    leaves = [t.requires_grad_() for t in cross_inputs(frames=0)]
    found = torch.autograd.grad(cross(leaves).sum(), leaves)
    assert [g.shape for g in found] == [t.shape for t in leaves]
    assert not any(g.any() for g in found)


@OPS
def test_second_derivatives_are_refused(op: Any, truth: Any, make: Any) -> None:
    leaves = [t.requires_grad_() for t in make()]
    (first,) = torch.autograd.grad(op(leaves).square().sum(), leaves[0], create_graph=True)
    with pytest.raises(InputError, match="first derivatives alone"):
        first.sum().backward()


@OPS
@pytest.mark.parametrize("learn", [False, True])
def test_forward_derivatives_are_refused(op: Any, truth: Any, make: Any, learn: bool) -> None:
    """PyTorch takes them for zero, of any custom operator: a wrong number without a word."""
    first, *rest = make()
    rest = [t.requires_grad_(learn) for t in rest]
    with pytest.raises(InputError, match="no forward derivatives"):
        torch.func.jvp(lambda x: op([x, *rest]), (first,), (torch.ones_like(first),))
    assert op([first, *rest]).isfinite().all(), "and afterwards it runs as before"


def test_opcheck() -> None:
    inputs = cross_inputs()
    dy = torch.ones_like(inputs[0])
    for official in (False, True):
        torch.library.opcheck(
            gradients.cross_selective_scan_backward, (dy, *inputs, *CONSTANTS, official)
        )
    plain = scan_inputs()
    for given in (plain, [*plain[:5], None, None, None]):
        torch.library.opcheck(
            gradients.selective_scan_backward, (torch.ones_like(plain[0]), *given, True, [0, 1])
        )
    leaves = [t.requires_grad_() for t in (inputs[0], inputs[1], inputs[1].clone(), *inputs[2:])]
    torch.library.opcheck(cross_selective_scan_official, (*leaves, *CONSTANTS))


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("scan", ["fused", "generic", "chunked", "reference"])
def test_activation_checkpointing(scan: ScanBackend, official: bool) -> None:
    """It gives what a backward pass saved once, not twice."""
    torch.manual_seed(0)
    config = PoseMambaConfig(d_model=16, depth=1, frames=5, drop_path=0.0)
    network = PoseMamba(config, scan=scan).set_official_limb_gradient(official).train()
    block, x = network.STEblocks[0], torch.randn(1, 5, 17, 16)
    plain = torch.autograd.grad(block(x).sum(), list(block.parameters()), allow_unused=True)
    again = torch.autograd.grad(
        checkpoint(block, x, use_reentrant=False).sum(), list(block.parameters()), allow_unused=True
    )
    for one, other in zip(plain, again, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)


def test_official_limb_gradient_goes_to_an_input_of_its_own() -> None:
    """The three inputs' gradients add up to the true one where x is not read twice."""
    inputs = [t.requires_grad_() for t in cross_inputs()]
    limb = inputs[1].detach().clone().requires_grad_()
    y = cross_selective_scan_official(inputs[0], inputs[1], limb, *inputs[2:], *CONSTANTS)
    dy = torch.randn_like(y)
    found = torch.autograd.grad(y, [inputs[1], limb, *inputs[2:]], dy)
    true = torch.autograd.grad(cross(inputs), inputs, dy)
    assert torch.equal(y, cross(inputs))
    assert close(found[0] + found[1], true[1])
    for got, want in zip(found[2:], true[2:], strict=True):
        assert torch.equal(got, want)
    per_direction = found[1].unflatten(-1, (4, -1)).abs().sum((0, 1, 2, 4))
    assert per_direction.bool().tolist() == [bool(m) for m in MASK]


def test_the_official_rule_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no kernel the scan is recomputed; run here on the CPU, as on a GPU."""
    inputs = cross_inputs()
    leaves = [t.requires_grad_() for t in (*inputs[:2], inputs[1].clone(), *inputs[2:])]
    dy = draw(BATCH, FRAMES, JOINTS, INNER, seed=3)
    found = []
    for devices in (gradients.NATIVE_GRADIENTS, ()):
        monkeypatch.setattr(official_scan, "NATIVE_GRADIENTS", devices)
        y = official_scan.cross_selective_scan_official(*leaves, *CONSTANTS)
        found.append(torch.autograd.grad(y, leaves, dy))
    for kernel, recomputed in zip(*found, strict=True):
        assert close(kernel, recomputed)
