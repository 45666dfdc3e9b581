"""What a check found, as lines for people."""

from __future__ import annotations

from pmexport.check.compare import RuntimeResult, smallest_tolerance
from pmexport.check.run import CheckReport
from pmexport.format.metadata import guess_warning
from posemamba.text import plural, table

_ON_CPU = ("ort-cpu", "torch")


def check_lines(report: CheckReport, *, per_joint: bool = False) -> list[str]:
    """The parity table and what belongs to it; the last line is the verdict."""
    lengths = {row.frames for result in report.runtimes.values() for row in result.clips}
    batches = {row.batch for result in report.runtimes.values() for row in result.clips}
    runs = max(len(result.clips) for result in report.runtimes.values())
    clips = "real clips" if report.reference is None else "its clips"
    lines = [
        f"Check: {report.model['path']} ({_precision(report)}) against {_against(report)}",
        *_baseline_lines(report),
        *_sums_lines(report),
        f"  {plural(runs, 'run')} on {clips} of {_span(lengths)} "
        f"{'frame' if lengths == {1} else 'frames'}, batch {_span(batches)}; "
        f"{report.mm_per_unit:g} mm per network unit",
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
    if not report.passed and report.reference and report.reference["made_by"] == "user":
        lines.append(
            "  these are not your poses: other weights, other inputs, or another scan order, which "
            "'pmexport onnx --scan-order' sets"
        )
    if report.scan_order_guessed:
        lines.append(guess_warning(report.model["scan_order"], report.model["path"]))
    return [*lines, f"Check: {'passed' if report.passed else 'FAILED'}"]


def _precision(report: CheckReport) -> str:
    return f"{report.model['precision']}{', TF32 products on the GPU' * report.tf32}"


def _against(report: CheckReport) -> str:
    """The checkpoint or the reference, and what it is."""
    checkpoint, reference = report.checkpoint, report.reference
    if checkpoint is not None:
        sizes = f"{checkpoint['variant']}, {checkpoint['scan_order']}"
        return f"{checkpoint['path']} ({sizes}, {_frames(checkpoint['frames'])})"
    assert reference is not None
    if reference["made_by"] == "user":
        return f"reference {reference['path']} (your own poses)"
    made = f"PyTorch {reference['torch']}'s poses of {reference['checkpoint']}"
    return f"reference {reference['path']} ({made}, {reference['scan_order']})"


def _baseline_lines(report: CheckReport) -> list[str]:
    """How PyTorch computed its side, where it ran."""
    baseline = report.baseline
    if baseline is None:
        return []
    scan = f"plain scan ({baseline.detail})"
    if baseline.scan == "fused":
        apart = baseline.plain_scan_max_abs
        off = "NaN or infinite" if apart is None else f"{apart:.1e} from the plain scan"
        scan = f"native scan ({baseline.detail}; {off} on {_frames(baseline.plain_scan_frames)})"
    return [f"  PyTorch {report.versions['torch']} fp32, {scan}"]


def _sums_lines(report: CheckReport) -> list[str]:
    """Which runtimes do not show what ``fp16-sums`` adds."""
    exact = [name for name in report.runtimes if name in _ON_CPU]
    if report.model["precision"] != "fp16-sums" or not exact:
        return []
    return [
        f"  {' and '.join(exact)}: sums in fp32, so this is fp16's drift; what fp16-sums adds "
        "shows on a GPU alone: --runtime ort-cuda, --runtime torch-cuda"
    ]


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


def _frames(count: int) -> str:
    return plural(count, "frame")
