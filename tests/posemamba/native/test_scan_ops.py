"""The PyTorch custom ops: PyTorch's own checks, slices without copies, gradients, error lines."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from posemamba.errors import InputError
from posemamba.native import scan_ops as ops
from posemamba.scan import reference
from posemamba.scan.operands import Operands
from posemamba.scan_order import get_scan_order
from posemamba.skeleton import LIMB_INDEX

BATCH, FRAMES, JOINTS, INNER, STATE, RANK, K = 2, 3, 17, 8, 16, 2, 4
LENGTH = FRAMES * JOINTS


def cross_arguments(
    dtype: torch.dtype = torch.float32, *, grad: bool = False, frames: int = FRAMES
) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    table = get_scan_order("global-local")
    tensors = [
        draw(BATCH, frames, JOINTS, INNER).to(dtype),
        draw(BATCH, frames, JOINTS, K * (RANK + 2 * STATE)).to(dtype),
        draw(K, INNER, RANK),
        draw(K, INNER),
        -torch.exp(draw(K, INNER, STATE)),
        draw(K, INNER),
    ]
    return (
        *[t.requires_grad_(grad) for t in tensors],
        STATE,
        RANK,
        list(table.order),
        list(table.reverse),
        list(table.limb_mask),
        list(LIMB_INDEX),
    )


def cross_reference(arguments: tuple[Any, ...]) -> Tensor:
    return reference.cross_selective_scan(*arguments[:7], *arguments[8:])


def scan_arguments(*, with_z: bool, grad: bool = False, length: int = LENGTH) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    rows = 2 * INNER
    tensors: list[Tensor | None] = [
        draw(BATCH, rows, length),
        draw(BATCH, rows, length),
        -torch.exp(draw(rows, STATE)),
        draw(BATCH, 2, STATE, length),
        draw(BATCH, 2, STATE, length),
        draw(rows),
        draw(rows),
        draw(BATCH, rows, length) if with_z else None,
    ]
    return (*[None if t is None else t.requires_grad_(grad) for t in tensors], True, [0, 1])


def scan_reference(arguments: tuple[Any, ...]) -> Tensor:
    u, delta, A, B, C, D, bias, z, softplus, reverse = arguments
    return reference.selective_scan(Operands(u, delta, A, B, C, D, z, bias, softplus, reverse))


# The backward of the reference is traced step by step, so these sequences are short.


@pytest.mark.parametrize("grad", [False, True])
def test_opcheck_cross_selective_scan(grad: bool) -> None:
    torch.library.opcheck(ops.cross_selective_scan, cross_arguments(grad=grad, frames=1))


@pytest.mark.parametrize("with_z", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_opcheck_selective_scan(with_z: bool, grad: bool) -> None:
    torch.library.opcheck(ops.selective_scan, scan_arguments(with_z=with_z, grad=grad, length=5))


@pytest.mark.parametrize(
    ("dtype", "bound"),
    # fp32: both run in fp32, rounding differs. fp16: half a unit in the last place of an output of
    # size up to 64 is 0.016 there, the interior adds nothing visible.
    [(torch.float32, 2e-5), (torch.float16, 1e-3)],
)
def test_cross_selective_scan_equals_the_reference(dtype: torch.dtype, bound: float) -> None:
    arguments = cross_arguments(dtype)
    wide = (*[t.double() for t in arguments[:6]], *arguments[6:])
    expected = cross_reference(wide)
    got = ops.cross_selective_scan(*arguments)
    assert got.dtype == dtype
    scale = expected.abs().max()
    assert (got.double() - expected).abs().max() / scale < bound


@pytest.mark.parametrize("with_z", [False, True])
def test_selective_scan_equals_the_reference(with_z: bool) -> None:
    arguments = scan_arguments(with_z=with_z)
    expected = scan_reference(arguments)
    got = ops.selective_scan(*arguments)
    assert (got - expected).abs().max() / expected.abs().max() < 2e-5  # fp32 rounding, see above


def test_slices_of_the_last_axis_give_the_same_bits() -> None:
    arguments = cross_arguments()
    wide = torch.full((BATCH, FRAMES, JOINTS, 3 * INNER), torch.nan)
    wide[..., INNER : 2 * INNER] = arguments[0]
    sliced = wide[..., INNER : 2 * INNER]
    assert not sliced.is_contiguous()
    got = ops.cross_selective_scan(sliced, *arguments[1:])
    assert torch.equal(got, ops.cross_selective_scan(*arguments))


def test_other_layouts_give_the_same_bits() -> None:
    arguments = cross_arguments()
    permuted = arguments[0].permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    got = ops.cross_selective_scan(permuted, *arguments[1:])
    assert torch.equal(got, ops.cross_selective_scan(*arguments))


def test_gradients_are_those_of_the_reference() -> None:
    for arguments, function, expected_function in (
        (cross_arguments(grad=True), ops.cross_selective_scan, cross_reference),
        (scan_arguments(with_z=True, grad=True), ops.selective_scan, scan_reference),
    ):
        wanted = [a for a in arguments if isinstance(a, Tensor)]
        got = torch.autograd.grad(function(*arguments).square().sum(), wanted)
        expected = torch.autograd.grad(expected_function(arguments).square().sum(), wanted)
        for one, other in zip(got, expected, strict=True):
            # Same formula, recomputed; only the forward value it is seeded with was rounded apart.
            assert (one - other).abs().max() <= 1e-4 * other.abs().max()


def test_reference_gradients_equal_finite_differences() -> None:
    arguments = cross_arguments()
    small = [t[:, :2].double() if i < 2 else t.double() for i, t in enumerate(arguments[:6])]
    tensors = [t.detach().requires_grad_(True) for t in small]
    assert torch.autograd.gradcheck(
        lambda *values: cross_reference((*values, *arguments[6:])), tensors, fast_mode=True
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int32])
def test_unsupported_dtypes_are_refused(dtype: torch.dtype) -> None:
    arguments = cross_arguments()
    activations = [tensor.to(dtype) for tensor in arguments[:2]]
    with pytest.raises(InputError, match="takes float32 or float16, not") as refusal:
        ops.cross_selective_scan(*activations, *arguments[2:])
    assert "posemamba.mamba.selective_scan_fn" in str(refusal.value)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex64, torch.int32])
@pytest.mark.parametrize(
    ("op", "names"),
    [
        (ops.cross_selective_scan, ("x_dbl", "dt_weight", "dt_bias", "A", "D")),
        (ops.selective_scan, ("delta", "A", "B", "C", "D", "delta_bias", "z")),
    ],
)
def test_no_tensor_is_narrowed_in_silence(op: Any, names: tuple[str, ...], dtype: Any) -> None:
    cross = op is ops.cross_selective_scan
    keys = CROSS_NAMES if cross else SCAN_NAMES
    arguments = dict(
        zip(keys, cross_arguments() if cross else scan_arguments(with_z=True), strict=True)
    )
    for name in names:
        changed = arguments | {name: arguments[name].to(dtype)}
        with pytest.raises(InputError, match=f": {name} is {dtype}, "):
            op(*changed.values())


def test_narrower_weights_are_widened() -> None:
    arguments = dict(zip(SCAN_NAMES, scan_arguments(with_z=False), strict=True))
    for name in ("A", "D", "delta_bias"):
        arguments[name] = arguments[name].half()
    wide = arguments | {name: arguments[name].float() for name in ("A", "D", "delta_bias")}
    assert torch.equal(ops.selective_scan(*arguments.values()), ops.selective_scan(*wide.values()))


@pytest.mark.parametrize("absent", [("D",), ("delta_bias",), ("D", "delta_bias")])
def test_absent_weights_count_as_zeros(absent: tuple[str, ...]) -> None:
    given = dict(zip(SCAN_NAMES, scan_arguments(with_z=True), strict=True))
    zeros = given | {name: torch.zeros_like(given[name]) for name in absent}
    got = ops.selective_scan(*(given | dict.fromkeys(absent)).values())
    assert torch.equal(got, ops.selective_scan(*zeros.values()))
    with pytest.raises(InputError, match="delta is"):  # the others are looked at nonetheless
        ops.selective_scan(*(given | dict.fromkeys(absent) | {"delta": given["u"][:1]}).values())


def test_an_order_code_out_of_range_is_refused() -> None:
    arguments = list(cross_arguments())
    arguments[8] = [0, 1, 0, 7]
    with pytest.raises(InputError, match="order"):
        ops.cross_selective_scan(*arguments)


def test_half_sums_are_for_float16() -> None:
    """A kernel without such sums, as here, gives the bits of float32 sums."""
    arguments = cross_arguments()
    with pytest.raises(InputError, match="half_sums is for float16, x is torch"):
        ops.cross_selective_scan(*arguments, half_sums=True)
    halves = (arguments[0].half(), arguments[1].half(), *arguments[2:])
    got = ops.cross_selective_scan(*halves, half_sums=True)
    assert torch.equal(got, ops.cross_selective_scan(*halves))


def test_gradients_with_half_sums_are_those_without() -> None:
    tensors = [t.half() if i < 2 else t for i, t in enumerate(cross_arguments()[:6])]
    rest = cross_arguments()[6:]
    found = []
    for half_sums in (False, True):
        given = [t.clone().requires_grad_() for t in tensors]
        ops.cross_selective_scan(*given, *rest, half_sums=half_sums).sum().backward()
        found.append([t.grad for t in given])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


CROSS_NAMES = ("x", "x_dbl", "dt_weight", "dt_bias", "A", "D", "d_state", "dt_rank", "order",
               "reverse", "limb_mask", "limb_index")  # fmt: skip
SCAN_NAMES = ("u", "delta", "A", "B", "C", "D", "delta_bias", "z", "delta_softplus", "reverse")


@pytest.mark.parametrize("name", CROSS_NAMES[:6])
def test_cross_scan_refuses_a_tensor_that_does_not_fit(name: str) -> None:
    """The kernels read by address: a short tensor would be read past its end."""
    arguments = dict(zip(CROSS_NAMES, cross_arguments(), strict=True))
    for axis in range(arguments[name].ndim):
        short = arguments[name].narrow(axis, 0, arguments[name].shape[axis] - 1)
        with pytest.raises(InputError, match="posemamba::cross_selective_scan: "):
            ops.cross_selective_scan(*(arguments | {name: short}).values())
    flat = {name: arguments[name].flatten()}
    with pytest.raises(InputError, match="posemamba::cross_selective_scan: "):
        ops.cross_selective_scan(*(arguments | flat).values())


@pytest.mark.parametrize("name", CROSS_NAMES[9:])
@pytest.mark.parametrize("change", [lambda v: v[:-1], lambda v: [*v, 0], lambda _: []])
def test_cross_scan_refuses_lists_of_another_length(name: str, change: Any) -> None:
    arguments = dict(zip(CROSS_NAMES, cross_arguments(), strict=True))
    with pytest.raises(InputError, match="reverse, limb_mask and limb_index have"):
        ops.cross_selective_scan(*(arguments | {name: change(arguments[name])}).values())


@pytest.mark.parametrize("name", SCAN_NAMES[:8])
def test_selective_scan_refuses_a_tensor_that_does_not_fit(name: str) -> None:
    arguments = dict(zip(SCAN_NAMES, scan_arguments(with_z=True), strict=True))
    for axis in range(arguments[name].ndim):
        short = arguments[name].narrow(axis, 0, arguments[name].shape[axis] - 1)
        with pytest.raises(InputError, match="posemamba::selective_scan: "):
            ops.selective_scan(*(arguments | {name: short}).values())
    with pytest.raises(InputError, match="posemamba::selective_scan: "):
        ops.selective_scan(*(arguments | {name: arguments[name].flatten(0)[None]}).values())


@pytest.mark.parametrize("reverse", [[], [0], [0, 1, 0]])
def test_selective_scan_refuses_groups_that_do_not_divide(reverse: list[int]) -> None:
    arguments = scan_arguments(with_z=False)
    with pytest.raises(InputError, match="posemamba::selective_scan: "):
        ops.selective_scan(*arguments[:-1], reverse)


def test_empty_batch_gives_an_empty_result() -> None:
    arguments = list(cross_arguments())
    arguments[0], arguments[1] = arguments[0][:0], arguments[1][:0]
    assert ops.cross_selective_scan(*arguments).shape == (0, FRAMES, JOINTS, INNER)


def test_torch_compile_sees_through_the_op() -> None:
    arguments = cross_arguments()

    def doubled(x: Tensor) -> Tensor:
        return ops.cross_selective_scan(x, *arguments[1:]) * 2

    compiled = torch.compile(doubled, fullgraph=True)
    assert torch.allclose(compiled(arguments[0]), doubled(arguments[0]))
