"""One runtime against the expected poses, in network units and millimetres."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pmexport.check.cases import Case
from pmexport.check.tolerance import Tolerance
from pmexport.format.failures import reason
from pmexport.runtimes.base import FloatArray, Lift
from posemamba.pose.metrics import joint_errors
from posemamba.skeleton import JOINT_NAMES

Progress = Callable[[list[Case], str], Iterable[Case]]
"""Wraps the runs of one side, given its name, to show how far it is."""


@dataclass(frozen=True)
class CaseResult:
    """Differences of one run; None where the run failed."""

    name: str
    batch: int
    frames: int
    max_abs: float | None
    mpjpe_mm: float | None


@dataclass(frozen=True)
class RuntimeResult:
    """Differences of one runtime over all runs.

    Attributes:
        max_abs: largest of any coordinate, network units.
        p99_abs: 99th percentile over all coordinates, network units.
        mpjpe_mm: mean joint distance of the worst run, mm.
        per_joint_mm: mean distance of each joint over all frames, mm.
        failure: why there are no numbers, or why they do not count; None if all is well.
    """

    passed: bool
    max_abs: float | None
    p99_abs: float | None
    mpjpe_mm: float | None
    per_joint_mm: dict[str, float]
    clips: list[CaseResult]
    failure: str | None = None


def compare(
    cases: Sequence[Case],
    expected: Sequence[FloatArray],
    lift: Lift,
    tolerance: Tolerance,
    mm_per_unit: float,
    each: Progress,
    name: str,
) -> RuntimeResult:
    """Run a model on every case and hold its poses against the expected ones.

    Args:
        each: wraps the cases, to show how far it is.
        name: of the runtime, for ``each``.
    """
    rows: list[CaseResult] = []
    coordinate_errors: list[FloatArray] = []
    joint_mm: list[Any] = []
    failure = None
    for case, want in zip(each(list(cases), name), expected, strict=True):
        shape = case.keypoints_2d.shape
        got, problem = _run(lift, case, want)
        if got is None:
            failure = failure or problem
            rows.append(CaseResult(case.name, shape[0], shape[1], None, None))
            continue
        coordinate_errors.append(np.abs(got - want).ravel())
        distances = joint_errors(got, want) * mm_per_unit  # (batch, frames, joints)
        joint_mm.append(distances.reshape(-1, distances.shape[-1]))
        worst = float(coordinate_errors[-1].max())
        rows.append(CaseResult(case.name, shape[0], shape[1], worst, float(distances.mean())))
    if not coordinate_errors:
        return RuntimeResult(False, None, None, None, {}, rows, failure)
    errors = np.concatenate(coordinate_errors)
    means = np.concatenate(joint_mm).mean(axis=0)  # (joints,)
    max_abs = float(errors.max())
    mpjpe_mm = max(row.mpjpe_mm for row in rows if row.mpjpe_mm is not None)
    return RuntimeResult(
        passed=failure is None and max_abs <= tolerance.max_abs and mpjpe_mm <= tolerance.mpjpe_mm,
        max_abs=max_abs,
        p99_abs=float(np.percentile(errors, 99)),
        mpjpe_mm=mpjpe_mm,
        per_joint_mm={joint: float(mm) for joint, mm in zip(JOINT_NAMES, means, strict=True)},
        clips=rows,
        failure=failure,
    )


def _run(lift: Lift, case: Case, want: FloatArray) -> tuple[FloatArray | None, str]:
    """The runtime's finite poses, or None and why there are none."""
    try:
        got = lift(case.keypoints_2d)
    except Exception as error:  # each runtime has its own classes, and any of them is a failure
        return None, f"cannot run {case.name} of shape {case.keypoints_2d.shape}: {reason(error)}"
    if got.shape != want.shape:
        return None, f"gives poses {got.shape} for {case.name}, expected {want.shape}"
    where = not_finite(got)
    if where is not None and not_finite(want) is None:
        return None, f"gives {where} in {case.name}"
    return (got, "") if where is None else (None, f"gives {where} in {case.name}, as PyTorch does")


def not_finite(poses: FloatArray) -> str | None:
    """``NaN at frame 3, joint left_knee`` of the first value that is NaN or infinite."""
    bad = np.argwhere(~np.isfinite(poses))  # rows of (batch, frame, joint, axis)
    if not len(bad):
        return None
    clip, frame, joint, axis = (int(i) for i in bad[0])
    kind = "NaN" if math.isnan(float(poses[clip, frame, joint, axis])) else "an infinite value"
    return f"{kind} at frame {frame}, joint {JOINT_NAMES[joint]}"


def smallest_tolerance(results: Iterable[RuntimeResult]) -> Tolerance | None:
    """The tightest tolerance, in two digits, that every runtime would pass; None if none would."""
    rows = list(results)
    if any(row.failure or row.max_abs is None or row.mpjpe_mm is None for row in rows):
        return None
    return Tolerance(
        max_abs=_round_up(max(row.max_abs or 0.0 for row in rows)),
        mpjpe_mm=_round_up(max(row.mpjpe_mm or 0.0 for row in rows)),
    )


def _round_up(value: float) -> float:
    """To two significant digits, never down."""
    if value <= 0.0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    rounded = float(f"{math.ceil(value / step - 1e-9) * step:.2g}")
    return rounded if rounded >= value else float(f"{rounded + step:.2g}")
