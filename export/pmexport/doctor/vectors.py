"""The operators' test vectors, which docs/reference/vectors.md describes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Vector:
    """One call of an operator and what it gives.

    Attributes:
        attributes: of the node, ``plugin_version`` and ``plugin_namespace`` left out.
        inputs: float32, in the operator's order; optional ones may be absent.
        y: float64, of the step-by-step oracle.
    """

    name: str
    attributes: dict[str, Any]
    inputs: dict[str, NDArray[np.float32]]
    y: NDArray[np.float64]


def vectors(operator: str) -> list[Vector]:
    """Those of ``CrossSelectiveScan`` or ``SelectiveScan``."""
    text = (resources.files("pmexport") / "vectors" / f"{operator}.json").read_text("utf-8")
    return [
        Vector(
            case["name"],
            case["attributes"],
            {key: _array(value).astype(np.float32) for key, value in case["inputs"].items()},
            _array(case["y"]),
        )
        for case in json.loads(text)["cases"]
    ]


def _array(written: dict[str, Any]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.array(written["values"], np.float64)
    shape: tuple[int, ...] = tuple(written["shape"])
    return values.reshape(shape)
