"""Remake the operators' test vectors, ``export/pmexport/vectors/*.json``.

    python tools/make_vectors.py

Inputs are random, with the statistics of the network; ``y`` comes from the step-by-step float64
oracle of the tests (``tests/support/kernel_oracle.py``), which shares no code with the kernels.
``docs/reference/vectors.md`` tells the format.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import kernel_cases as cases  # noqa: E402 (found on the path above)
import kernel_oracle as oracle  # noqa: E402

TARGET = ROOT / "export" / "pmexport" / "vectors"
_EIGHT = {
    "order": (0, 1, 2, 3, 0, 1, 2, 3),
    "reverse": (0, 0, 0, 0, 1, 1, 1, 1),
    "limb_mask": (1, 0, 0, 1, 0, 1, 1, 0),
}
#: Small, and of sizes that every kernel takes: d_inner is a multiple of 8.
CROSS: dict[str, dict[str, Any]] = {
    "global-local, the paper's network": {"frames": 3, "d_inner": 8, "d_state": 4, "dt_rank": 2},
    "every order, both ways": {
        **{"frames": 3, "joints": 4, "d_inner": 8, "d_state": 2, "dt_rank": 1},
        **_EIGHT,
    },
    "one step": {"frames": 1, "joints": 1, "d_inner": 8, "d_state": 2, "dt_rank": 1},
}
SCAN: dict[str, dict[str, Any]] = {
    "gate, skip, bias, one group reversed": {"batch": 2, "channels": 8, "length": 7, "d_state": 4},
    "nothing optional": {
        **{"batch": 1, "groups": 1, "channels": 8, "length": 5, "d_state": 2},
        **{"with_d": False, "with_z": False, "with_bias": False, "delta_softplus": False},
        "reverse": (0,),
    },
}


def numbers(array: np.ndarray) -> dict[str, Any]:
    """Shape and values in C order; float32 by the shortest digits that give it back."""
    if array.dtype == np.float32:
        values = [float(str(value)) for value in array.ravel()]
    else:
        values = [float(f"{value:.12g}") for value in array.ravel()]
    return {"shape": list(array.shape), "values": values}


def cross_cases() -> list[dict[str, Any]]:
    made = []
    for name, sizes in CROSS.items():
        case = cases.cross_scan_case(**sizes)
        attributes = {
            **{"d_state": case.A.shape[2], "dt_rank": case.dt_weight.shape[2]},
            **{"order": case.order, "reverse": case.reverse, "limb_mask": case.limb_mask},
            "limb_index": case.limb_index,
        }
        inputs = {n: getattr(case, n) for n in ("x", "x_dbl", "dt_weight", "dt_bias", "A", "D")}
        made.append(_case(name, attributes, inputs, oracle.cross_scan(case)))
    return made


def scan_cases() -> list[dict[str, Any]]:
    made = []
    for name, sizes in SCAN.items():
        case = cases.scan_case(**sizes)
        attributes = {
            "delta_softplus": int(case.delta_softplus),
            "reverse": case.reverse[: case.B.shape[1]],
        }
        order = ("u", "delta", "A", "B", "C", "D", "delta_bias", "z")
        inputs = {n: value for n in order if (value := getattr(case, n)) is not None}
        made.append(_case(name, attributes, inputs, oracle.scan(case)))
    return made


def _case(
    name: str, attributes: dict[str, Any], inputs: dict[str, Any], y: npt.NDArray[Any]
) -> dict[str, Any]:
    given = {key: numbers(value) for key, value in inputs.items()}
    return {"name": name, "attributes": attributes, "inputs": given, "y": numbers(y)}


@click.command()
@click.option("--to", default=TARGET, type=click.Path(path_type=Path), help="Folder to write to.")
def main(to: Path) -> None:
    """Write a file of vectors for each operator."""
    to.mkdir(parents=True, exist_ok=True)
    for operator, made in (("CrossSelectiveScan", cross_cases()), ("SelectiveScan", scan_cases())):
        content = {"operator": operator, "version": 1, "cases": made}
        text = json.dumps(content, separators=(",", ":")).replace('{"name"', '\n{"name"')
        (to / f"{operator}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
