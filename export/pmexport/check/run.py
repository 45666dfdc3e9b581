"""Does an exported model give the poses its checkpoint gives in PyTorch?

Both sides run on real clips; the differences are reported in millimetres and held against
tolerances that have reasons, see :data:`TOLERANCES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmexport.check.cases import Case, build_cases
from pmexport.format.files import file_sha256
from pmexport.runtimes.base import RUNTIMES, FloatArray, Lift, Runtime, RuntimeOptions, torch_lift
from posemamba.errors import InputError

if TYPE_CHECKING:
    from pmexport.format.facts import ModelFacts
    from posemamba.model.network import PoseMamba

SCHEMA = 1

DEFAULT_MM_PER_UNIT = 1000.0
"""A network unit is half the image width. With a person of 1.7 m who fills most of the picture's
height that is near 1 m; one scale for all clips keeps the figures comparable."""

_PLAIN_SCAN_FRAMES = 9
"""Frames on which the native scan of the baseline is itself compared with the plain one: enough
to cross every joint and frame boundary, and a fraction of a second for the largest model."""


@dataclass(frozen=True)
class Tolerance:
    """Largest differences a check accepts.

    Attributes:
        max_abs: of any coordinate, in network units.
        mpjpe_mm: of the mean joint distance of any run, in mm.
    """

    max_abs: float
    mpjpe_mm: float


#: fp32: the two sides add the same numbers in another order. That costs about 1e-6 even through 40
#: blocks; 1e-4 leaves room for other CPUs, and a wrong scan direction, limb list or layer exceeds
#: it many times. fp16: 11 bits of mantissa through 40 blocks. 0.5 mm is a hundredth of the model's
#: own error on Human3.6M (about 40 mm), and no coordinate may be off by 20 mm whatever the mean.
TOLERANCES: dict[str, Tolerance] = {
    "fp32": Tolerance(max_abs=1e-4, mpjpe_mm=0.01),
    "fp16": Tolerance(max_abs=2e-2, mpjpe_mm=0.5),
}


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


@dataclass(frozen=True)
class Baseline:
    """How PyTorch computed the poses that the others are held against.

    Attributes:
        scan: ``fused`` (native op) or ``reference`` (plain PyTorch).
        detail: instruction set of the native op, or why there is none.
        plain_scan_max_abs: difference of the native from the plain scan; 0 for the plain one,
            None where it is no number.
    """

    scan: str
    detail: str
    threads: int
    plain_scan_max_abs: float | None
    plain_scan_frames: int


@dataclass(frozen=True)
class CheckReport:
    """Everything a check found; ``to_dict`` is what ``--json`` writes."""

    model: dict[str, Any]
    checkpoint: dict[str, Any]
    baseline: Baseline
    tolerance: Tolerance
    mm_per_unit: float
    runtimes: dict[str, RuntimeResult]
    versions: dict[str, str | None]
    failure: str | None = field(default=None)

    @property
    def passed(self) -> bool:
        return self.failure is None and all(result.passed for result in self.runtimes.values())

    def to_dict(self) -> dict[str, Any]:
        report = asdict(self)
        tolerances = report.pop("tolerance")
        return {"schema": SCHEMA, "passed": self.passed, **report, "tolerances": tolerances}


@dataclass(frozen=True)
class CheckRequest:
    """What to check, and how strictly.

    Attributes:
        model: the exported file.
        checkpoint: the weights it should have.
        runtimes: names in :data:`pmexport.runtimes.base.RUNTIMES`.
        inputs: further clips, an ``.npz`` as :func:`posemamba.pose.clips.load_clips` reads.
        scan_order: overrides the one the model's metadata names.
        atol, mpjpe_mm: override the precision's tolerance.
        mm_per_unit: millimetres of one network unit.
        any_checkpoint: compare even if the model was exported from another file.
        threads: threads of both sides; None lets them decide.
    """

    model: Path
    checkpoint: Path
    runtimes: tuple[str, ...] = ("ort-cpu",)
    inputs: Path | None = None
    scan_order: str | None = None
    atol: float | None = None
    mpjpe_mm: float | None = None
    mm_per_unit: float = DEFAULT_MM_PER_UNIT
    any_checkpoint: bool = False
    threads: int | None = None


def run_check(
    request: CheckRequest, progress: Callable[[list[Case], str], Iterable[Case]] | None = None
) -> CheckReport:
    """Compare a model with its checkpoint.

    Args:
        request: see there.
        progress: wraps the runs of each side, to show how far it is.

    Raises:
        InputError: a file is wrong, the two do not belong together, or a runtime cannot work
            here; a model that gives other poses is not an error but a report that did not pass.
    """
    from pmexport.format.facts import read_facts
    from posemamba.checkpoint.read import read_checkpoint
    from posemamba.pose.clips import bundled_clips, load_clips

    facts = read_facts(request.model)
    order = request.scan_order or facts.scan_order
    checkpoint = read_checkpoint(request.checkpoint, scan_order=order)
    options = RuntimeOptions(
        threads=request.threads,
        scan_order=order,
        precision="fp16" if facts.precision == "fp16" else "fp32",
    )
    lifts = {name: _load(name, options, request) for name in request.runtimes}
    if not request.any_checkpoint:
        _belong_together(request, facts, checkpoint.sha256)
    clips = dict(bundled_clips())
    if request.inputs is not None:
        clips |= load_clips(request.inputs)
    config = checkpoint.config
    if facts.frames is not None and facts.frames > config.frames:
        raise InputError(
            f"'{request.model}' takes {facts.frames} frames, the checkpoint at most "
            f"{config.frames}: give the checkpoint it was exported from"
        )

    network = checkpoint.build()
    cases = build_cases(clips, longest=config.frames, frames=facts.frames, batch=facts.batch)
    each = progress or (lambda runs, _side: runs)
    baseline = _baseline(network, cases[0].keypoints_2d, request.threads)
    lift = torch_lift(network, request.threads)
    expected = [lift(case.keypoints_2d) for case in each(cases, "PyTorch")]
    tolerance = _tolerance(request, facts.precision)
    results = {
        name: _compare(cases, expected, run, tolerance, request.mm_per_unit, each, name)
        for name, run in lifts.items()
    }
    return CheckReport(
        model={
            "path": str(request.model),
            "sha256": file_sha256(request.model),
            **facts.summary(),
        },
        checkpoint={
            "path": str(request.checkpoint),
            "sha256": checkpoint.sha256,
            "variant": config.variant,
            "frames": config.frames,
            "scan_order": config.scan_order,
        },
        baseline=baseline,
        tolerance=tolerance,
        mm_per_unit=request.mm_per_unit,
        runtimes=results,
        versions=_versions(),
        failure=_baseline_failure(cases, expected, baseline),
    )


def _load(name: str, options: RuntimeOptions, request: CheckRequest) -> Lift:
    runtime: Runtime = RUNTIMES[name](options)
    problem = runtime.available()
    if problem is not None:
        raise InputError(f"runtime '{name}' cannot be used: {problem}")
    return runtime.load(request.model if runtime.reads == "model" else request.checkpoint)


def _belong_together(request: CheckRequest, facts: ModelFacts, sha256: str) -> None:
    override = "or compare anyway with --any-ckpt"
    if facts.checkpoint_sha256 is None:
        raise InputError(
            f"'{request.model}' does not say which checkpoint it came from: export it with "
            f"'pmexport onnx', {override}"
        )
    if facts.checkpoint_sha256 != sha256:
        raise InputError(
            f"'{request.model}' was exported from another checkpoint (SHA-256 "
            f"{facts.checkpoint_sha256[:12]}, '{request.checkpoint}' has {sha256[:12]}): give that "
            f"one, {override}"
        )


def _tolerance(request: CheckRequest, precision: str) -> Tolerance:
    usual = TOLERANCES[precision]
    return Tolerance(
        max_abs=usual.max_abs if request.atol is None else request.atol,
        mpjpe_mm=usual.mpjpe_mm if request.mpjpe_mm is None else request.mpjpe_mm,
    )


def _baseline(network: PoseMamba, clip: FloatArray, threads: int | None) -> Baseline:
    """Choose the network's scan, and hold the native one against the plain one."""
    import torch

    from posemamba.native.library import load_cpu_library

    used = threads or torch.get_num_threads()
    short = clip[:1, :_PLAIN_SCAN_FRAMES]
    plain = torch_lift(network.set_scan("reference"), threads)(short)
    try:
        detail = load_cpu_library().pm_cpu_isa().decode()
    except InputError:
        return Baseline("reference", "no native kernels", used, 0.0, 0)
    native = torch_lift(network.set_scan("fused"), threads)(short)
    apart = float(np.abs(native - plain).max())
    known = apart if math.isfinite(apart) else None
    return Baseline("fused", detail, used, known, short.shape[1])


def _baseline_failure(
    cases: Sequence[Case], expected: Sequence[FloatArray], baseline: Baseline
) -> str | None:
    """Why PyTorch's own poses cannot be a baseline."""
    for case, poses in zip(cases, expected, strict=True):
        where = _not_finite(poses)
        if where is not None:
            return f"PyTorch itself gives {where} in {case.name}: these weights are broken"
    apart = baseline.plain_scan_max_abs
    if apart is None or apart > TOLERANCES["fp32"].max_abs:
        off = "no number" if apart is None else f"{apart:.1e} off the plain one"
        return (
            f"PyTorch's native scan ({baseline.detail}) is {off}: the kernels are wrong on this "
            "machine, see 'pmexport doctor'"
        )
    return None


def _compare(
    cases: Sequence[Case],
    expected: Sequence[FloatArray],
    lift: Lift,
    tolerance: Tolerance,
    mm_per_unit: float,
    each: Callable[[list[Case], str], Iterable[Case]],
    name: str,
) -> RuntimeResult:
    from posemamba.pose.metrics import joint_errors
    from posemamba.skeleton import JOINT_NAMES

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
        reason = " ".join(str(error).split())[:200]
        return None, f"cannot run {case.name} of shape {case.keypoints_2d.shape}: {reason}"
    if got.shape != want.shape:
        return None, f"gives poses {got.shape} for {case.name}, PyTorch {want.shape}"
    where = _not_finite(got)
    if where is not None and _not_finite(want) is None:
        return None, f"gives {where} in {case.name}"
    return (got, "") if where is None else (None, f"gives {where} in {case.name}, as PyTorch does")


def _not_finite(poses: FloatArray) -> str | None:
    """``NaN at frame 3, joint left_knee`` of the first value that is no number."""
    from posemamba.skeleton import JOINT_NAMES

    bad = np.argwhere(~np.isfinite(poses))  # rows of (batch, frame, joint, axis)
    if not len(bad):
        return None
    clip, frame, joint, axis = (int(i) for i in bad[0])
    kind = "NaN" if math.isnan(float(poses[clip, frame, joint, axis])) else "an infinite value"
    return f"{kind} at frame {frame}, joint {JOINT_NAMES[joint]}"


def _versions() -> dict[str, str | None]:
    from pmexport.doctor.diagnose import package_versions

    return package_versions(("pmexport", "numpy", "onnx", "onnxruntime", "torch"))
