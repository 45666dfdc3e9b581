"""What a check found, as lines for people."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pmexport.check.run import CheckReport, RuntimeResult, Tolerance
from posemamba.text import table


def check_lines(report: CheckReport, *, per_joint: bool = False) -> list[str]:
    """The parity table and what belongs to it; the last line is the verdict."""
    model, checkpoint, baseline = report.model, report.checkpoint, report.baseline
    lengths = {row.frames for result in report.runtimes.values() for row in result.clips}
    batches = {row.batch for result in report.runtimes.values() for row in result.clips}
    runs = max(len(result.clips) for result in report.runtimes.values())
    scan = f"plain scan ({baseline.detail})"
    if baseline.scan == "fused":
        apart = baseline.plain_scan_max_abs
        off = "no number" if apart is None else f"{apart:.1e} from the plain scan"
        scan = f"native scan ({baseline.detail}; {off} on {baseline.plain_scan_frames} frames)"
    lines = [
        f"Check: {model['path']} ({model['precision']}) against {checkpoint['path']} "
        f"({checkpoint['variant']}, {checkpoint['scan_order']}, {checkpoint['frames']} frames)",
        f"  PyTorch {report.versions['torch']} fp32, {scan}",
        f"  {runs} runs on real clips of {_span(lengths)} frames, batch {_span(batches)}; "
        f"{report.mm_per_unit:g} mm a network unit",
        table(
            ("runtime", "max-abs", "p99-abs", "MPJPE drift", "worst joint", "result"),
            [_row(name, result) for name, result in report.runtimes.items()],
        ),
    ]
    if per_joint:
        lines.append(_joint_table(report.runtimes))
    lines.append(f"  tolerance: max-abs {report.tolerance.max_abs:g}, "
                 f"MPJPE drift {report.tolerance.mpjpe_mm:g} mm{_smallest(report)}")  # fmt: skip
    lines += [
        f"  {name}: {result.failure}" for name, result in report.runtimes.items() if result.failure
    ]
    if report.failure:
        lines.append(f"  {report.failure}")
    return [*lines, f"Check: {'passed' if report.passed else 'FAILED'}"]


def _row(name: str, result: RuntimeResult) -> tuple[str, ...]:
    verdict = "pass" if result.passed else "FAIL"
    if result.max_abs is None or result.p99_abs is None or result.mpjpe_mm is None:
        return (name, "-", "-", "-", "-", verdict)
    joint = max(result.per_joint_mm, key=lambda name: result.per_joint_mm[name])
    return (
        name,
        f"{result.max_abs:.1e}",
        f"{result.p99_abs:.1e}",
        f"{millimetres(result.mpjpe_mm)} mm",
        f"{joint} {millimetres(result.per_joint_mm[joint])} mm",
        verdict,
    )


def _joint_table(runtimes: dict[str, RuntimeResult]) -> str:
    measured = {name: result for name, result in runtimes.items() if result.per_joint_mm}
    if not measured:
        return "  no joint was measured"
    joints = next(iter(measured.values())).per_joint_mm
    return table(
        ("mean drift, mm", *measured),
        [
            (joint, *(millimetres(result.per_joint_mm[joint]) for result in measured.values()))
            for joint in joints
        ],
    )


def _smallest(report: CheckReport) -> str:
    smallest = smallest_tolerance(report.runtimes.values())
    if smallest is None:
        return ""
    if smallest.max_abs == 0.0:
        return "; there is no difference at all"
    return (
        f"; the smallest that passes: --atol {smallest.max_abs:.1e} "
        f"--mpjpe-mm {smallest.mpjpe_mm:.1e}"
    )


def millimetres(value: float) -> str:
    """Four decimals, or an exponent where they would show nothing."""
    return f"{value:.4f}" if value >= 1e-4 or value == 0.0 else f"{value:.1e}"


def _span(values: set[int]) -> str:
    return str(min(values)) if len(values) == 1 else f"{min(values)} to {max(values)}"


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
