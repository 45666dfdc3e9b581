"""Version 2 of both operators in PyTorch: contract, gradients, streams, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from posemamba.errors import InputError
from posemamba.native import scan_ops_v2 as ops
from posemamba.scan import indexed, reference
from posemamba.scan.operands import Operands

FRAMES, JOINTS, INNER, STATE, RANK = 2, 3, 4, 2, 2


def cross_arguments(grad: bool = False) -> dict[str, Any]:
    """Two directions with a repeat, an omission, an idle step, neighbours and a reset."""
    torch.manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, requires_grad=grad)

    return {
        "x": draw(1, FRAMES, JOINTS, INNER),
        "x_dbl": draw(1, FRAMES, JOINTS, 2 * (RANK + 2 * STATE)),
        "dt_weight": draw(2, INNER, RANK),
        "dt_bias": draw(2, INNER),
        "A": -torch.rand(2, INNER, STATE).requires_grad_(grad),
        "D": draw(2, INNER),
        "scan_index": torch.tensor([[0, 1, 0, 5], [4, -1, 2, 2]]),
        "neighbour_index": torch.tensor([[1, -1, 2, 5], [-1, 0, 3, -1]]),
        "reset_length": torch.tensor([3, 0]),
        "d_state": STATE,
        "dt_rank": RANK,
    }


def scan_arguments(grad: bool = False, **changes: Any) -> dict[str, Any]:
    torch.manual_seed(1)
    rows, length = 4, 5

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, requires_grad=grad)

    return {
        "u": draw(1, rows, length),
        "delta": draw(1, rows, length),
        "A": -torch.rand(rows, STATE).requires_grad_(grad),
        "B": draw(1, 2, STATE, length),
        "C": draw(1, 2, STATE, length),
        "D": draw(rows),
        "delta_bias": draw(rows),
        "z": draw(1, rows, length),
        "initial_state": draw(1, rows, STATE),
        "delta_softplus": True,
        "reverse": [0, 1],
    } | changes


#: Float32 operators against float64: sums of some ten terms near 1; their gradients sum over all
#: steps and cancel.
OUTPUTS, GRADIENTS = {"rtol": 1e-5, "atol": 1e-6}, {"rtol": 1e-4, "atol": 1e-5}


def plain_cross(given: dict[str, Any]) -> torch.Tensor:
    inputs = {k: v.double() if torch.is_tensor(v) and v.is_floating_point() else v
              for k, v in given.items() if k not in ("d_state", "dt_rank")}  # fmt: skip
    return indexed.cross_selective_scan(**inputs)


def plain_scan(given: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    state = given["initial_state"]
    named = {name: value for name, value in given.items() if name != "initial_state"}
    operands = Operands(**named).to(torch.float64)
    return reference.stateful_scan(operands, None if state is None else state.double())


@pytest.mark.parametrize("absent", [(), ("neighbour_index",), ("reset_length",)])
def test_cross_outputs_and_gradients(absent: tuple[str, ...]) -> None:
    given = cross_arguments(grad=True) | dict.fromkeys(absent)
    weights = torch.randn(1, FRAMES, JOINTS, INNER, generator=torch.Generator().manual_seed(2))
    got = ops.cross_selective_scan_v2(**given)
    want = plain_cross(given)
    torch.testing.assert_close(got.double(), want, **OUTPUTS)
    leaves = [v for v in given.values() if torch.is_tensor(v) and v.requires_grad]
    found = torch.autograd.grad((got * weights).sum(), leaves)
    expected = torch.autograd.grad((want * weights).sum(), leaves)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **GRADIENTS)


@pytest.mark.parametrize("absent", [(), ("initial_state",), ("D", "delta_bias", "z")], ids=str)
@pytest.mark.parametrize("outputs", [(0,), (1,), (0, 1)], ids=["y", "state", "both"])
def test_scan_outputs_and_gradients(absent: tuple[str, ...], outputs: tuple[int, ...]) -> None:
    given = scan_arguments(grad=True, **dict.fromkeys(absent))
    got, want = ops.selective_scan_v2(**given), plain_scan(given)
    leaves = [v for v in given.values() if torch.is_tensor(v)]
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one.double(), other, **OUTPUTS)
    found, expected = (
        torch.autograd.grad(sum((v[i] ** 2).sum() for i in outputs), leaves, allow_unused=True)
        for v in (got, want)
    )
    for one, other in zip(found, expected, strict=True):
        if one is None or other is None:  # what the outputs do not depend on
            assert not any(g.any() for g in (one, other) if g is not None)
        else:
            torch.testing.assert_close(one, other, **GRADIENTS)


def test_contracts() -> None:
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(
        ops.cross_selective_scan_v2, tuple(cross_arguments().values()), test_utils=checks
    )
    torch.library.opcheck(
        ops.selective_scan_v2, tuple(scan_arguments().values()), test_utils=checks
    )


def test_a_stream_is_one_long_scan_to_the_bit() -> None:
    given = scan_arguments(reverse=[0, 0], initial_state=None)
    whole, end = ops.selective_scan_v2(**given)
    state, pieces = None, []
    for cut in (slice(0, 2), slice(2, 3), slice(3, 5)):
        part = {name: given[name][..., cut] for name in ("u", "delta", "B", "C", "z")}
        y, state = ops.selective_scan_v2(**(given | part | {"initial_state": state}))
        pieces.append(y)
    assert torch.equal(torch.cat(pieces, dim=-1), whole)
    assert state is not None
    assert torch.equal(state, end)


@pytest.mark.parametrize("absent", [(), ("initial_state",)], ids=str)
def test_no_steps_keep_the_state(absent: tuple[str, ...]) -> None:
    given = scan_arguments(grad=True) | dict.fromkeys(absent)
    empty = {name: given[name][..., :0] for name in ("u", "delta", "B", "C", "z")}
    y, state = ops.selective_scan_v2(**(given | empty))
    assert y.shape == (1, 4, 0)
    start = given["initial_state"]
    assert torch.equal(state, torch.zeros_like(state) if start is None else start)
    if start is not None:
        (slope,) = torch.autograd.grad(state.square().sum(), start)
        assert torch.allclose(slope, 2 * start)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scan_index": torch.tensor([[6], [0]])}, "index of a table"),
        ({"scan_index": torch.tensor([[-2], [0]])}, "index of a table"),
        ({"scan_index": torch.tensor([[2**40], [0]])}, "index of a table"),
        ({"scan_index": torch.zeros(2, 1)}, "must hold integers"),
        ({"scan_index": torch.zeros(3, 1, dtype=torch.int64)}, "x_dbl is"),
        ({"neighbour_index": torch.zeros(2, 9, dtype=torch.int64)}, "neighbour_index is"),
        ({"reset_length": torch.tensor([-1, 0])}, "index of a table, or reset|reset length"),
    ],
)
def test_wrong_tables_are_one_line(change: dict[str, Any], words: str) -> None:
    given = cross_arguments() | {"neighbour_index": None, "reset_length": None} | change
    with pytest.raises(InputError, match=words) as caught:
        ops.cross_selective_scan_v2(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"initial_state": torch.zeros(1, 4, 3)}, "initial_state is"),
        ({"reverse": [0, 0, 0]}, "4 channels cannot be split"),
        ({"A": torch.zeros(4, 257)}, "B is"),
    ],
)
def test_wrong_states_are_one_line(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ops.selective_scan_v2(**scan_arguments(**change))


@pytest.mark.parametrize("dtype", [torch.float64, torch.int32])
@pytest.mark.parametrize(
    ("op", "given", "fixed"),
    [
        (ops.cross_selective_scan_v2, cross_arguments(), ("dt_weight", "dt_bias", "A", "D")),
        (ops.selective_scan_v2, scan_arguments(), ("A", "D", "delta_bias", "initial_state")),
    ],
)
def test_no_tensor_is_narrowed_in_silence(
    op: Any, given: dict[str, Any], fixed: tuple[str, ...], dtype: torch.dtype
) -> None:
    tensors = [
        name for name, t in given.items() if isinstance(t, torch.Tensor) and t.is_floating_point()
    ]
    for name in tensors[1:]:
        with pytest.raises(InputError, match=f": {name} is {dtype}, "):
            op(**given | {name: given[name].to(dtype)})
    wide = {name: given[name].to(dtype) for name in tensors if name not in fixed}
    with pytest.raises(InputError, match="takes float32 or float16, not"):
        op(**given | wide)
