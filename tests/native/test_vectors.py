"""The published test vectors: what the implementations give, and that they tell wrong ones."""

from __future__ import annotations

import kernel_api
import numpy as np
import pytest
from ort_cases import session

from pmexport.doctor.vectors import Vector, vectors

OPERATORS = ("CrossSelectiveScan", "SelectiveScan")
CASES = [(operator, vector) for operator in OPERATORS for vector in vectors(operator)]
#: docs/reference/ops.md, "Numerics": what is right in float32.
BOUND = 5e-6


def name(value: object) -> str:
    return value.name if isinstance(value, Vector) else str(value)


def error(got: np.ndarray, vector: Vector) -> float:
    assert got.shape == vector.y.shape
    return float(np.abs(got - vector.y).max() / np.abs(vector.y).max())


@pytest.mark.parametrize(("operator", "vector"), CASES, ids=name)
def test_the_native_kernels_give_them(operator: str, vector: Vector) -> None:
    lib = kernel_api.load_library()
    given, told = vector.inputs, vector.attributes
    if operator == "CrossSelectiveScan":
        shape = {key: tuple(told[key]) for key in ("order", "reverse", "limb_mask", "limb_index")}
        got = kernel_api.run_cross_scan(lib, kernel_api.CrossScanCase(**given, **shape))
    else:
        reverse = (*told["reverse"], *(0,) * (kernel_api.MAX_DIRECTIONS - len(told["reverse"])))
        case = kernel_api.ScanCase(
            **given, delta_softplus=bool(told["delta_softplus"]), reverse=reverse
        )
        got = kernel_api.run_scan(lib, case)
    assert error(got, vector) < BOUND


@pytest.mark.parametrize(("operator", "vector"), CASES, ids=name)
def test_onnx_runtime_gives_them(operator: str, vector: Vector) -> None:
    inputs = dict(vector.inputs)
    absent = ()
    if operator == "SelectiveScan":
        absent = tuple(n for n in ("D", "delta_bias", "z") if n not in inputs)
    run = session(operator, inputs, vector.attributes, absent=absent)
    (got,) = run.run(None, inputs)
    assert error(got, vector) < BOUND


def test_they_tell_wrong_implementations() -> None:
    """What an implementation may forget changes some vector by far more than the bound."""
    vector = vectors("CrossSelectiveScan")[1]
    lib = kernel_api.load_library()
    told = {
        key: tuple(vector.attributes[key])
        for key in ("order", "reverse", "limb_mask", "limb_index")
    }
    for key in told:
        wrong = told | {key: (0,) * len(told[key])}
        got = kernel_api.run_cross_scan(lib, kernel_api.CrossScanCase(**vector.inputs, **wrong))
        assert error(got, vector) > 1e-3, key
