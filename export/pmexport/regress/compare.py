"""A regression report held against an older one: poses that drifted further, cells that slowed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pmexport.bench.compare import checked_sample, measured_on, refuse_other_machine
from pmexport.bench.verdict import compare_samples
from pmexport.format.environment import environment
from pmexport.format.files import read_report_json
from pmexport.regress.run import Cell, RegressReport, RegressRequest, cell_key
from posemamba.text import one_line, plural, problem

MORE_DRIFT = 1.5
"""Drift that grew by this factor is told; other compilers and threads alone make a fifth."""
LEAST_DRIFT_MM = 0.001
"""Below this a factor of rounding errors says nothing."""


@dataclass(frozen=True)
class Change:
    """One cell, then and now; ``worse``: the exit code is 1 for it."""

    cell: str
    what: str
    worse: bool

    @property
    def line(self) -> str:
        return f"Compare: {self.cell}: {self.what}"


def read_cells(path: str | os.PathLike[str]) -> dict[str, Any]:
    """An older report: its cells by name, ``frames`` and ``machine``.

    Raises:
        InputError: no report of ``pmexport regress``.
    """
    path = Path(path)
    report = read_report_json(path, "pmexport regress --json")
    try:
        cells = {cell.key: cell for cell in map(_cell, report["cells"])}
        machine = measured_on(report["environment"])
        return {"path": path, "cells": cells, "frames": report["frames"], "machine": machine}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise problem(path, "is no report of 'pmexport regress': write it again") from None


def _cell(row: Mapping[str, Any]) -> Cell:
    sample = row["sample"]
    held = None if sample is None else checked_sample(**sample)
    drift = row["mpjpe_mm"]
    if not isinstance(row["passed"], bool) or not (drift is None or float(drift) >= 0):
        raise ValueError
    return Cell(**{**row, "sample": held})


def refuse_incomparable(old: Mapping[str, Any], request: RegressRequest) -> None:
    """Make sure that a report says something of a run, before it is made.

    Raises:
        InputError: of another machine, timed at another length, or no cell in common.
    """
    refuse_other_machine(old["path"], old["machine"], environment(request.threads))
    if old["frames"] != request.frames:
        was, now = (
            plural(frames, "frame") if frames else "the most frames"
            for frames in (old["frames"], request.frames)
        )
        raise problem(old["path"], f"was timed at {was}, this at {now}: give --frames as there")
    asked = product(
        (path.name for path in request.checkpoints), request.precisions, request.runtimes
    )
    if not any(cell_key(*names) in old["cells"] for names in asked):
        had = next(iter(old["cells"]), "none")
        raise problem(
            old["path"],
            f"has other cells ({one_line(had)} and so on): give checkpoints, precisions and "
            "runtimes as there",
        )


def changes(old: Mapping[str, Any], new: RegressReport) -> list[Change]:
    """Every cell that both have, and those that only one has."""
    found = []
    for cell in new.cells:
        before = old["cells"].get(cell.key)
        found += [Change(cell.key, "new", False)] if before is None else _changes(before, cell)
    gone = set(old["cells"]) - {cell.key for cell in new.cells}
    return [*found, *(Change(key, "gone", False) for key in sorted(gone))]


def _changes(old: Cell, new: Cell) -> list[Change]:
    if old.passed != new.passed:
        return [Change(new.key, "passes now" if new.passed else f"fails now: {new.failure}",
                       not new.passed)]  # fmt: skip
    found = []
    if old.mpjpe_mm is not None and new.mpjpe_mm is not None:
        grew = new.mpjpe_mm > max(MORE_DRIFT * old.mpjpe_mm, old.mpjpe_mm + LEAST_DRIFT_MM)
        if grew:
            what = f"drift grew from {old.mpjpe_mm:.4f} to {new.mpjpe_mm:.4f} mm"
            found.append(Change(new.key, what, True))
    if old.sample is not None and new.sample is not None:
        compared = compare_samples(new.key, old.sample, new.sample)
        what = compared.line.removeprefix(f"Compare: {new.key} ")
        found.append(Change(new.key, what, compared.verdict == "slower"))
    return found
