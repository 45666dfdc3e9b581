"""Does an exported model give the poses its checkpoint gives in PyTorch?

Both sides run on real clips; the differences are reported in millimetres and held against
tolerances that have reasons, see :data:`pmexport.check.tolerance.TOLERANCES`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pmexport.check.baseline import Baseline, baseline_failure, choose_baseline
from pmexport.check.cases import build_cases
from pmexport.check.compare import Progress, RuntimeResult, compare
from pmexport.check.tolerance import TOLERANCES, Tolerance
from pmexport.format.environment import package_versions
from pmexport.format.file import ModelFile, open_model
from pmexport.runtimes.base import Lift, RuntimeOptions
from pmexport.runtimes.registry import usable_runtime
from pmexport.runtimes.torch_cpu import torch_lift
from posemamba.checkpoint.read import read_checkpoint
from posemamba.errors import InputError
from posemamba.pose.clips import bundled_clips, load_clips
from posemamba.text import plural

SCHEMA = 1

DEFAULT_MM_PER_UNIT = 1000.0
"""A network unit is half the image width. With a person of 1.7 m who fills most of the picture's
height that is near 1 m; one scale for all clips keeps the figures comparable."""


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
    failure: str | None = None

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
        runtimes: names in :data:`pmexport.runtimes.registry.RUNTIMES`.
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


def run_check(request: CheckRequest, progress: Progress | None = None) -> CheckReport:
    """Compare a model with its checkpoint.

    Args:
        request: see there.
        progress: wraps the runs of each side, to show how far it is.

    Raises:
        InputError: a file is wrong, the two do not belong together, or a runtime cannot work
            here; a model that gives other poses is not an error but a report that did not pass.
    """
    model = open_model(request.model)
    order = request.scan_order or model.metadata.get("scan_order")
    checkpoint = read_checkpoint(request.checkpoint, scan_order=order)
    options = RuntimeOptions(
        threads=request.threads,
        scan_order=order,
        precision=model.precision,
    )
    lifts: dict[str, Lift] = {}
    for name in request.runtimes:
        runtime = usable_runtime(name, options)
        lifts[name] = runtime.load(model if runtime.reads == "model" else request.checkpoint)
    if not request.any_checkpoint:
        _belong_together(model, request.checkpoint, checkpoint.sha256)
    clips = dict(bundled_clips())
    if request.inputs is not None:
        clips |= load_clips(request.inputs)
    config = checkpoint.config
    if model.frames is not None and model.frames > config.frames:
        raise InputError(
            f"'{model.path}' takes {plural(model.frames, 'frame')}, the checkpoint at most "
            f"{config.frames}: give the checkpoint it was exported from"
        )

    if model.channels != config.channels:
        raise InputError(
            f"'{model.path}' takes {plural(model.channels, 'channel')} for each joint, the "
            f"checkpoint {config.channels}: give the checkpoint it was exported from"
        )
    network = checkpoint.build()
    cases = build_cases(
        clips,
        longest=config.frames,
        frames=model.frames,
        batch=model.batch,
        channels=config.channels,
    )
    each = progress or (lambda runs, _side: runs)
    baseline = choose_baseline(network, cases[0].keypoints_2d, request.threads)
    lift = torch_lift(network, request.threads)
    expected = [lift(case.keypoints_2d) for case in each(cases, "PyTorch")]
    tolerance = _tolerance(request, model.precision)
    results = {
        name: compare(cases, expected, run, tolerance, request.mm_per_unit, each, name)
        for name, run in lifts.items()
    }
    return CheckReport(
        model=model.summary(),
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
        versions=package_versions(),
        failure=baseline_failure(cases, expected, baseline),
    )


def _belong_together(model: ModelFile, checkpoint: Path, sha256: str) -> None:
    source = model.metadata.get("checkpoint_sha256")
    override = "or compare anyway with --any-ckpt"
    if source is None:
        raise InputError(
            f"'{model.path}' does not say which checkpoint it came from: export it with "
            f"'pmexport onnx', {override}"
        )
    if source != sha256:
        raise InputError(
            f"'{model.path}' was exported from another checkpoint (SHA-256 "
            f"{source[:12]}, '{checkpoint}' has {sha256[:12]}): give that "
            f"one, {override}"
        )


def _tolerance(request: CheckRequest, precision: str) -> Tolerance:
    usual = TOLERANCES[precision]
    return Tolerance(
        max_abs=usual.max_abs if request.atol is None else request.atol,
        mpjpe_mm=usual.mpjpe_mm if request.mpjpe_mm is None else request.mpjpe_mm,
    )
