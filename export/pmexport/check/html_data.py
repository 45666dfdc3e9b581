"""What an HTML report shows of a check: one clip's poses and errors, as small JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pmexport.check.run import CheckOutcome
from pmexport.runtimes.base import FloatArray
from posemamba.skeleton import JOINT_NAMES, PARENTS

_MOST_FRAMES = 243


def report_data(outcome: CheckOutcome) -> dict[str, Any]:
    """The table of a check, and the worst clip of each runtime, frame by frame.

    Numbers that are not finite are null; a runtime that does not run has no clip.
    """
    report = outcome.report
    case = outcome.worst_case()
    index = next(i for i, one in enumerate(outcome.expected.cases) if one is case)
    want = outcome.expected.poses[index][0][:_MOST_FRAMES]
    runtimes = []
    for name, result in report.runtimes.items():
        row: dict[str, Any] = {
            "name": name,
            "passed": result.passed,
            "failure": result.failure,
            "max_abs": result.max_abs,
            "p99_abs": result.p99_abs,
            "mpjpe_mm": result.mpjpe_mm,
            "per_joint_mm": list(result.per_joint_mm.values()),
            "clips": [[clip.name, clip.mpjpe_mm] for clip in result.clips],
            "errors": None,
            "poses": None,
        }
        got = _poses(outcome, name, case.keypoints_2d)
        if got is not None and got.shape[1:] == outcome.expected.poses[index].shape[1:]:
            poses = got[0][:_MOST_FRAMES]
            row["poses"] = _rounded(poses, 4)
            apart = np.linalg.norm(poses - want, axis=-1) * report.mm_per_unit
            row["errors"] = _rounded(apart, 5)
        runtimes.append(row)
    return {
        "model": str(report.model["path"]),
        "precision": report.model["precision"],
        "against": str((report.checkpoint or report.reference or {}).get("path")),
        "passed": report.passed,
        "failure": report.failure,
        "tolerance": {"max_abs": report.tolerance.max_abs, "mpjpe_mm": report.tolerance.mpjpe_mm},
        "clip": case.name,
        "joints": list(JOINT_NAMES),
        "parents": list(PARENTS),
        "expected": _rounded(want, 4),
        "runtimes": runtimes,
    }


def _poses(outcome: CheckOutcome, name: str, keypoints_2d: FloatArray) -> FloatArray | None:
    try:
        return outcome.lifts[name](keypoints_2d)
    except Exception:  # the check has told why
        return None


def _rounded(values: FloatArray, digits: int) -> list[Any]:
    if values.ndim > 1:
        return [_rounded(each, digits) for each in values]
    return [round(float(v), digits) if math.isfinite(v) else None for v in np.asarray(values)]
