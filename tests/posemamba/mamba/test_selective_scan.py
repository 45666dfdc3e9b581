"""The drop-in for mamba-ssm's ``selective_scan_fn``: one base case, and rows that change one thing.

The oracle is NumPy in float64 (``mamba_oracle``).
"""

from __future__ import annotations

import inspect
from typing import Any

import mamba_oracle
import numpy as np
import pytest
import torch
from torch import Tensor

from posemamba.errors import InputError
from posemamba.mamba import plain_pytorch, selective_scan_fn
from posemamba.native import scan_ops

BATCH, ROWS, STATE, LENGTH = 2, 12, 5, 37
#: Of the largest entry. Both sides add a few hundred terms; the narrow types are rounded once, to
#: half a unit in the last place of 24, 11, 8 and 53 bits.
TOLERANCES = {
    torch.float32: 5e-6, torch.float16: 1e-3, torch.bfloat16: 6e-3, torch.float64: 1e-13,
}  # fmt: skip


def case(**changes: Any) -> dict[str, Any]:
    """Arguments of the function: everything given, one group; ``changes`` replaces some."""
    sizes = {"rows": ROWS, "state": STATE, "length": LENGTH, "batch": BATCH}
    sizes |= {name: changes.pop(name) for name in list(changes) if name in sizes}
    batch, rows, state, length = (sizes[n] for n in ("batch", "rows", "state", "length"))
    dtype = changes.pop("dtype", torch.float32)
    complex_a = changes.pop("complex_a", False)
    steps = 2 * length if complex_a else length
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def weight(*shape: int) -> Tensor:
        return torch.complex(draw(*shape), draw(*shape)) if complex_a else draw(*shape)

    projections = {
        "constant": lambda: weight(rows, state),
        "3d": lambda: draw(batch, state, steps).to(dtype),
        **{g: lambda g=g: draw(batch, g, state, steps).to(dtype) for g in range(1, rows + 1)},
    }
    A = -torch.rand(rows, state, generator=generator, dtype=torch.float64)
    if complex_a:
        A = torch.complex(A, draw(rows, state))
    wide = {torch.float64: torch.complex128 if complex_a else torch.float64}
    narrow = torch.complex64 if complex_a else torch.float32
    weights = wide.get(dtype, narrow)
    made: dict[str, Any] = {
        "u": draw(batch, rows, length).to(dtype),
        "delta": (0.5 * draw(batch, rows, length)).to(dtype),
        "A": A.to(weights),
        "B": projections[changes.pop("B", 1)](),
        "C": projections[changes.pop("C", 1)](),
        "D": draw(rows).to(torch.float64 if dtype == torch.float64 else torch.float32),
        "z": draw(batch, rows, length).to(dtype),
        "delta_bias": draw(rows).to(torch.float64 if dtype == torch.float64 else torch.float32),
        "delta_softplus": True,
    }
    for name in ("B", "C"):
        if made[name].ndim == 2:
            made[name] = made[name].to(weights)
    unlike = {n: v for n, v in changes.items() if v is not None and n != "delta_softplus"}
    return made | changes | {n: made[n].to(v) for n, v in unlike.items()}


def oracle(arguments: dict[str, Any]) -> tuple[Any, Any]:
    def wide(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value.to(torch.complex128 if value.is_complex() else torch.float64).numpy()

    return mamba_oracle.selective_scan(**{n: wide(v) for n, v in arguments.items()})


def relative(found: Tensor, wanted: Any) -> float:
    kind = torch.complex128 if found.is_complex() else torch.float64
    return float(np.abs(found.to(kind).numpy() - wanted).max() / np.abs(wanted).max())


CASES: dict[str, dict[str, Any]] = {
    "everything": {},
    "no D": {"D": None},
    "no z": {"z": None},
    "no bias": {"delta_bias": None},
    "no softplus": {"delta_softplus": False},
    "nothing": {"D": None, "z": None, "delta_bias": None, "delta_softplus": False},
    "3-D": {"B": "3d", "C": "3d"},
    "groups": {"B": 3, "C": 3},
    "B has groups": {"B": 3},
    "C has groups": {"C": 6, "B": 2},
    "3-D B, groups in C": {"B": "3d", "C": 2},
    "constant B": {"B": "constant"},
    "constant C": {"C": "constant", "B": 2},
    "constant both": {"B": "constant", "C": "constant"},
    "a group a channel": {"B": 12, "C": 12},
    "one step": {"length": 1},
    "one state": {"state": 1},
    "64 states": {"state": 64},
    "more states than the kernels take": {"state": 65},
    "one channel": {"rows": 1},
    "odd": {"rows": 7, "length": 131, "batch": 3},
    "half": {"dtype": torch.float16},
    "brain": {"dtype": torch.bfloat16},
    "double": {"dtype": torch.float64},
    "double weights": {"A": torch.float64, "D": torch.float64},
    "half weights": {"A": torch.float16, "delta_bias": torch.bfloat16},
    "mixed": {"delta": torch.float16, "z": torch.bfloat16},
    "half, constant B": {"dtype": torch.float16, "B": "constant"},
    "double, constant C": {"dtype": torch.float64, "C": "constant"},
    "complex": {"complex_a": True},
    "complex, groups": {"complex_a": True, "B": 3, "C": "3d"},
    "complex, constant": {"complex_a": True, "B": "constant", "C": "constant"},
    "complex, half": {"complex_a": True, "dtype": torch.float16, "z": None},
    "complex, double": {"complex_a": True, "dtype": torch.float64, "C": "constant"},
}


@pytest.mark.parametrize("name", CASES)
def test_equals_the_formula(name: str) -> None:
    arguments = case(**CASES[name])
    expected, last = oracle(arguments)
    tolerance = TOLERANCES[arguments["u"].dtype]
    y = selective_scan_fn(**arguments)
    assert isinstance(y, Tensor)
    assert y.dtype == arguments["u"].dtype
    assert relative(y, expected) < tolerance
    with_state = selective_scan_fn(**arguments, return_last_state=True)
    assert isinstance(with_state, tuple)
    assert relative(with_state[0], expected) < tolerance
    assert relative(with_state[1], last) < TOLERANCES[torch.float32]
    with plain_pytorch():
        plain = selective_scan_fn(**arguments)
    assert isinstance(plain, Tensor)
    assert relative(plain, expected) < tolerance


def test_the_native_kernel_is_used_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[torch.dtype] = []
    native = scan_ops.selective_scan

    def watched(**given: Any) -> Tensor:
        calls.append(given["u"].dtype)
        return native(**given)

    monkeypatch.setattr(scan_ops, "selective_scan", watched)
    for name in ("everything", "half", "brain", "constant B", "nothing", "B has groups"):
        selective_scan_fn(**case(**CASES[name]))
    assert calls == [torch.float32, torch.float16, *[torch.float32] * 4]
    for name in ("double", "double weights", "complex", "more states than the kernels take"):
        selective_scan_fn(**case(**CASES[name]))
    with plain_pytorch():
        selective_scan_fn(**case())
    assert len(calls) == 6


GRADIENTS = [
    "everything", "nothing", "groups", "B has groups", "constant B", "constant C",
    "constant both", "complex", "complex, constant", "one step",
]  # fmt: skip


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_finite_differences(name: str) -> None:
    small = {"rows": 6, "state": 2, "length": 4, "dtype": torch.float64}
    arguments = case(**(small | CASES[name]))
    flags = {n: v for n, v in arguments.items() if not isinstance(v, Tensor)}
    tensors = {n: v.requires_grad_() for n, v in arguments.items() if isinstance(v, Tensor)}

    def function(*values: Tensor) -> Any:
        named = dict(zip(tensors, values, strict=True))
        return selective_scan_fn(**named, **flags, return_last_state=True)

    assert torch.autograd.gradcheck(function, tuple(tensors.values()), fast_mode=True)


@pytest.mark.parametrize("name", ["everything", "nothing", "groups", "constant C", "brain"])
def test_gradients_of_the_kernel_are_those_of_pytorch(name: str) -> None:
    """The same formula; only what the forward pass rounded differs: 1e-4, and 8 bits in brain."""
    arguments = case(**CASES[name])
    tensors = [v.requires_grad_() for v in arguments.values() if isinstance(v, Tensor)]

    def gradients() -> Any:
        y = selective_scan_fn(**arguments)
        assert isinstance(y, Tensor)
        return torch.autograd.grad(y.float().square().sum(), tensors)

    native = gradients()
    with plain_pytorch():
        expected = gradients()
    tolerance = 2e-2 if name == "brain" else 1e-4
    for one, other in zip(native, expected, strict=True):
        assert one.dtype == other.dtype
        assert (one - other).abs().max() <= tolerance * other.abs().max()


@pytest.mark.parametrize("name", ["everything", "double", "half", "constant B"])
def test_second_derivatives_are_refused(name: str) -> None:
    """A number without the terms of the scan's own second derivative would look like one."""
    arguments = case(**CASES[name])
    u = arguments["u"].requires_grad_()
    y = selective_scan_fn(**arguments)
    assert isinstance(y, Tensor)
    (gradient,) = torch.autograd.grad(y.square().sum(), u, create_graph=True)
    with pytest.raises(InputError, match="first derivatives alone"):
        torch.autograd.grad(gradient.square().sum(), u)


def test_the_signature_is_mamba_ssms() -> None:
    parameters = inspect.signature(selective_scan_fn).parameters
    assert [(p.name, p.default) for p in parameters.values()] == [
        *((name, inspect.Parameter.empty) for name in ("u", "delta", "A", "B", "C")),
        ("D", None), ("z", None), ("delta_bias", None),
        ("delta_softplus", False), ("return_last_state", False),
    ]  # fmt: skip


WRONG = {
    "B": ((BATCH, STATE, LENGTH + 1), "B is"),
    "C": ((BATCH, 5, STATE, LENGTH), "groups that divide 12"),
    "A": ((ROWS + 1, STATE), "A is"),
    "D": ((1,), r"D is \[1\], it must be \[12\]"),
    "z": ((1, ROWS, LENGTH), "z is"),
    "delta": ((BATCH, ROWS, 1), "delta is"),
    "delta_bias": ((ROWS, 1), "delta_bias is"),
    "u": ((ROWS, LENGTH), "u is"),
}


@pytest.mark.parametrize("name", WRONG)
def test_tensors_that_do_not_fit_are_refused(name: str) -> None:
    shape, words = WRONG[name]
    with pytest.raises(InputError, match=words) as refusal:
        selective_scan_fn(**(case() | {name: torch.zeros(shape)}))
    assert "\n" not in str(refusal.value)


def test_groups_that_do_not_divide_each_other_are_refused() -> None:
    with pytest.raises(InputError, match="B has 3 groups and C 4"):
        selective_scan_fn(**case(B=3, C=4))


@pytest.mark.parametrize("name", ["u", "delta", "B", "z", "A", "D"])
def test_types_nobody_scans_are_refused(name: str) -> None:
    for dtype in (torch.int64, torch.bool):
        changed = case() | {name: case()[name].to(dtype)}
        with pytest.raises(InputError, match=f"{name} is {dtype}"):
            selective_scan_fn(**changed)


@pytest.mark.parametrize("name", ["u", "delta", "B", "C", "z", "D", "delta_bias"])
def test_a_complex_number_where_none_can_be_is_refused(name: str) -> None:
    changed = case() | {name: case()[name].to(torch.complex64)}
    with pytest.raises(InputError, match=f"{name} is torch.complex64"):
        selective_scan_fn(**changed)
