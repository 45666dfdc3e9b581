"""Does an exported network of one's own give what PyTorch gives?

Integers must be equal; floats may differ by :data:`TOLERANCE` of the larger of one and the output's
largest number. Nothing here needs PyTorch: :mod:`pmexport.check.module_cases` asked it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmexport.check.reference import reference_path
from pmexport.check.request import CheckRequest
from pmexport.format.file import ModelFile
from pmexport.format.files import file_sha256
from pmexport.format.names import CPU_PROVIDER
from pmexport.runtimes.files import other_runtimes
from pmexport.runtimes.session import open_any_session
from posemamba.errors import InputError
from posemamba.files.input import require_file
from posemamba.files.output import replacing
from posemamba.text import one_line, problem, table

Array = NDArray[Any]

TOLERANCE = 1e-4
"""Both sides add the same float32 numbers in another order, about 1e-6 of the largest; a wrong
weight, direction or layer exceeds this many times."""
_FACTS = "module_reference"


@dataclass(frozen=True)
class ModuleCase:
    """One run: inputs by name, and what PyTorch gave."""

    name: str
    inputs: dict[str, Array]
    outputs: list[Array]


@dataclass(frozen=True)
class ModuleRow:
    """One output of one run.

    Attributes:
        max_abs: largest difference; None where there is none.
        scale: largest number of PyTorch's.
        failure: why it does not pass, else None.
    """

    case: str
    output: str
    shape: tuple[int, ...]
    max_abs: float | None
    scale: float
    failure: str | None


@dataclass(frozen=True)
class ModuleReport:
    """Everything a check of a network found."""

    rows: list[ModuleRow]
    atol: float

    @property
    def passed(self) -> bool:
        return all(row.failure is None for row in self.rows)

    def lines(self) -> list[str]:
        """A table, and the verdict."""
        rows = [
            [row.case, row.output, "x".join(map(str, row.shape)) or "scalar",
             "-" if row.max_abs is None else f"{row.max_abs:.2e}", f"{row.scale:.3g}",
             row.failure or "ok"]
            for row in self.rows
        ]  # fmt: skip
        header = ["run", "output", "shape", "max abs", "largest", ""]
        verdict = "passed" if self.passed else "FAILED"
        return [table(header, rows), f"Parity with PyTorch: {verdict} (tolerance {self.atol:g})"]

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": 1,  # of export-module.schema.json
            "passed": self.passed,
            "tolerance": self.atol,
            "runs": [vars(row) for row in self.rows],
        }


def run_module_check(
    model: ModelFile, cases: Sequence[ModuleCase], atol: float | None = None
) -> ModuleReport:
    """Run a model on the CPU and compare.

    Raises:
        InputError: ONNX Runtime cannot load it, or the cases are of another model.
    """
    session = open_any_session(model, None, [CPU_PROVIDER])
    names = [value.name for value in session.get_outputs()]
    wanted = {value.name for value in session.get_inputs()}
    tolerance = TOLERANCE if atol is None else atol
    rows: list[ModuleRow] = []
    for case in cases:
        if not wanted <= set(case.inputs) or len(names) != len(case.outputs):
            raise InputError(
                f"'{model.path}' takes {', '.join(sorted(wanted))} and gives {len(names)} "
                f"outputs, the reference has {', '.join(sorted(case.inputs))} and "
                f"{len(case.outputs)}: they are of another model"
            )
        given = {name: case.inputs[name] for name in wanted}
        try:
            found = session.run(None, given)
            failure = None
        except Exception as error:  # onnxruntime has many
            found, failure = [None] * len(names), f"cannot run: {one_line(error)[:160]}"
        rows += [
            _row(case.name, name, one, want, tolerance, failure)
            for name, one, want in zip(names, found, case.outputs, strict=True)
        ]
    return ModuleReport(rows, tolerance)


def _row(
    case: str, name: str, found: Array | None, wanted: Array, atol: float, failure: str | None
) -> ModuleRow:
    scale = float(np.abs(wanted.astype(np.float64)).max(initial=0.0))
    if found is None or found.shape != wanted.shape or found.dtype != wanted.dtype:
        other = "" if found is None else f"{found.dtype} {found.shape}, not {wanted.dtype}"
        return ModuleRow(case, name, wanted.shape, None, scale, failure or other)
    if not np.isfinite(wanted).all():
        return ModuleRow(case, name, wanted.shape, None, scale, "PyTorch gives NaN or infinity")
    if not np.isfinite(found).all():
        return ModuleRow(case, name, wanted.shape, None, scale, "NaN or infinity")
    difference = np.abs(found.astype(np.float64) - wanted.astype(np.float64))
    most = float(difference.max(initial=0.0))
    allowed = atol * max(1.0, scale) if wanted.dtype.kind == "f" else 0.0
    return ModuleRow(
        case, name, wanted.shape, most, scale, None if most <= allowed else f"beyond {allowed:.2g}"
    )


def check_kept_outputs(request: CheckRequest, model: ModelFile) -> ModuleReport:
    """Hold a model against the reference file that its export wrote.

    Raises:
        InputError: there is none, it is damaged, or an option that only a PoseMamba has a use for.
    """
    if request.reference is None:
        raise InputError(
            f"'{model.path}' is {model.module}, a network of your own: give --reference "
            f"{reference_path(model.path)}, which 'pmexport export-module' wrote, or export it "
            "again, which checks it"
        )
    given = {
        "--ckpt": request.checkpoint,
        "--inputs": request.inputs,
        "--weights": request.weights,
        "--scan-order": request.scan_order,
        "--mpjpe-mm": request.mpjpe_mm,
        "--load-outputs": request.load_outputs,
        **other_runtimes(request.runtimes),
    }
    model.refuse_options(given)
    return run_module_check(model, read_module_reference(request.reference), request.atol)


def write_module_reference(
    path: str | os.PathLike[str], model: str | os.PathLike[str], cases: Sequence[ModuleCase]
) -> None:
    """Keep inputs and PyTorch's outputs, so that a device checks without PyTorch.

    Raises:
        InputError: the file cannot be written.
    """
    path, model = Path(path), Path(model)
    arrays: dict[str, Any] = {}
    for index, case in enumerate(cases):
        arrays |= {f"in_{index}_{name}": value for name, value in case.inputs.items()}
        arrays |= {f"out_{index}_{place}": value for place, value in enumerate(case.outputs)}
    facts = {"names": [case.name for case in cases], "model_sha256": file_sha256(model)}
    arrays[_FACTS] = np.array(json.dumps(facts))
    with replacing(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def inspect_module_reference(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What is in a reference of ``pmexport export-module``, for people; None for other files."""
    path = Path(path)
    try:
        # NumPy leaves a damaged file open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            if _FACTS not in archive.files:
                return None
    except Exception:  # whoever reads it as another kind of file says what is wrong with it
        return None
    cases = read_module_reference(path)
    return {
        "file": {"path": str(path), "bytes": path.stat().st_size},
        "made_by": "pmexport export-module",
        "runs": {
            case.name: {
                **{name: "x".join(map(str, array.shape)) for name, array in case.inputs.items()},
                "outputs": len(case.outputs),
            }
            for case in cases
        },
    }


def read_module_reference(path: str | os.PathLike[str]) -> list[ModuleCase]:
    """Undo :func:`write_module_reference`.

    Raises:
        InputError: one line on the file and what is wrong with it.
    """
    path = Path(path)
    require_file(path, "'pmexport export-module' writes it beside the model")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        names = json.loads(str(arrays.pop(_FACTS)))["names"]
        cases = []
        for index, name in enumerate(names):
            into, out = f"in_{index}_", f"out_{index}_"
            given = {k.removeprefix(into): v for k, v in arrays.items() if k.startswith(into)}
            count = sum(key.startswith(out) for key in arrays)
            outputs = [arrays[f"{out}{place}"] for place in range(count)]
            cases.append(ModuleCase(str(name), given, outputs))
    except Exception:  # scrambled bytes reach zipfile, zlib and NumPy
        raise problem(
            path, "is no reference of 'pmexport export-module', or is damaged: export again"
        ) from None
    if not cases or not all(case.outputs for case in cases):
        raise problem(path, "holds no runs: export again")
    return cases
