"""Does an exported model give the poses its checkpoint gives in PyTorch?

Both sides run on real clips; the differences are reported in millimetres and held against
tolerances that have reasons, see :data:`pmexport.check.tolerance.TOLERANCES`. Where the poses are
in a reference file, neither PyTorch nor the checkpoint is needed.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pmexport.check.cases import Case
from pmexport.check.compare import Progress, RuntimeResult, compare
from pmexport.check.polygraphy_files import read_poses
from pmexport.check.request import CheckRequest, Expected
from pmexport.check.sides import require_fp16, require_observable
from pmexport.check.tolerance import TOLERANCES, Tolerance
from pmexport.engine.file import EngineFile
from pmexport.format.environment import package_versions
from pmexport.format.metadata import order_is_guessed
from pmexport.runtimes.base import Lift, Runnable, RuntimeOptions
from pmexport.runtimes.files import file_for, open_runnable, runtimes_of
from pmexport.runtimes.registry import RUNTIMES, require_usable
from pmexport.runtimes.tf32 import require_float32_products
from posemamba.errors import InputError

if TYPE_CHECKING:
    from pmexport.check.baseline import Baseline

SCHEMA = 1


@dataclass(frozen=True)
class CheckReport:
    """Everything a check found; ``to_dict`` is what ``--json`` writes.

    Attributes:
        checkpoint, baseline: None where ``reference`` stands for them.
        scan_order_guessed: nothing told the scan order, and this check cannot.
        tf32: float32 products of the GPU's runtimes rounded their inputs, as they were asked to.
    """

    model: dict[str, Any]
    checkpoint: dict[str, Any] | None
    baseline: Baseline | None
    reference: dict[str, Any] | None
    scan_order_guessed: bool
    tolerance: Tolerance
    mm_per_unit: float
    runtimes: dict[str, RuntimeResult]
    versions: dict[str, str | None]
    tf32: bool = False
    failure: str | None = None

    @property
    def passed(self) -> bool:
        return self.failure is None and all(result.passed for result in self.runtimes.values())

    def to_dict(self) -> dict[str, Any]:
        report = asdict(self)
        tolerances = report.pop("tolerance")
        return {"schema": SCHEMA, "passed": self.passed, **report, "tolerances": tolerances}


@dataclass(frozen=True)
class CheckOutcome:
    """A check with what it ran, for whoever looks further.

    Attributes:
        scan_order, weights: as they were chosen for the checkpoint.
        lifts: the runtimes, loaded.
    """

    request: CheckRequest
    model: Runnable
    scan_order: str | None
    weights: str | None
    expected: Expected
    lifts: dict[str, Lift]
    report: CheckReport

    def worst_case(self) -> Case:
        """The run to look at: of those within half of the largest difference, the longest.

        A run that failed counts as infinitely far off.
        """
        worst = [0.0] * len(self.expected.cases)
        for result in self.report.runtimes.values():
            for index, row in enumerate(result.clips):
                apart = math.inf if row.max_abs is None else row.max_abs
                worst[index] = max(worst[index], apart)
        near = [
            case
            for case, apart in zip(self.expected.cases, worst, strict=True)
            if apart >= max(worst) / 2
        ]
        return max(near, key=lambda case: case.keypoints_2d.shape[1])


def run_check(request: CheckRequest, progress: Progress | None = None) -> CheckReport:
    """As :func:`check`, of which only the report is wanted."""
    return check(request, progress).report


def check(
    request: CheckRequest, progress: Progress | None = None, opened: Runnable | None = None
) -> CheckOutcome:
    """Compare a model with its checkpoint, or with a reference.

    Args:
        request: see there.
        progress: wraps the runs of each side, to show how far it is.
        opened: ``request.model``, where the caller has looked into it already.

    Raises:
        InputError: a file is wrong, the two do not belong together, or a runtime cannot work
            here; a model that gives other poses is not an error but a report that did not pass.
    """
    _refuse_idle_options(request)
    model = opened or open_runnable(request.model)
    names = () if request.load_outputs else runtimes_of(model, request.runtimes)
    if request.tf32:
        require_float32_products(names, {model.precision})
    if request.bisect:
        require_observable(model, names)
    if request.max_drift_mm is not None:
        require_fp16(model)
    options = RuntimeOptions(
        threads=request.threads,
        scan_order=request.scan_order or model.metadata.get("scan_order"),
        weights=request.weights or model.metadata.get("weights"),
        precision=model.precision,
        tf32=request.tf32,
    )
    lifts: dict[str, Lift] = {}
    for name in names:
        runtime = RUNTIMES[name](options)
        file = file_for(runtime, model, request.checkpoint)  # before what this machine lacks
        lifts[name] = require_usable(name, runtime).load(file)
    each = progress or (lambda runs, _side: runs)
    expected = _expected(request, model, each)
    if request.load_outputs is not None:
        lifts = read_poses(request.load_outputs, expected.cases)
    tf32 = request.tf32 or (isinstance(model, EngineFile) and model.tf32)
    tolerance = _tolerance(request, "tf32" if tf32 else model.precision)
    results = {
        name: compare(
            expected.cases, expected.poses, run, tolerance, request.mm_per_unit, each, name
        )
        for name, run in lifts.items()
    }
    # An order that was named is no guess, and a user's own poses are the proof of one.
    told = request.scan_order or (expected.reference or {}).get("made_by") == "user"
    report = CheckReport(
        model=model.summary(),
        checkpoint=expected.checkpoint,
        baseline=expected.baseline,
        reference=expected.reference,
        scan_order_guessed=not told and order_is_guessed(model.metadata),
        tolerance=tolerance,
        mm_per_unit=request.mm_per_unit,
        runtimes=results,
        versions=package_versions(),
        tf32=tf32,
        failure=expected.failure,
    )
    order, weights = options.scan_order, options.weights
    return CheckOutcome(request, model, order, weights, expected, lifts, report)


def _refuse_idle_options(request: CheckRequest) -> None:
    """Who gives an option expects it to count.

    Raises:
        InputError: nothing to compare with, or an option that a reference leaves without use.
    """
    if request.max_drift_mm is not None and not request.bisect:
        raise InputError("--max-drift-mm is the bound of a keep list: add --bisect")
    if request.bisect and request.checkpoint is None:
        raise InputError("--bisect looks into PyTorch's modules: give the checkpoint with --ckpt")
    if request.bisect and request.reference is not None:
        raise InputError("--bisect holds a model against PyTorch: leave --reference out")
    if request.load_outputs is not None:
        idle = {"--runtime": request.runtimes, "--bisect": request.bisect, "--tf32": request.tf32}
        for option, given in idle.items():
            if given:
                raise InputError(
                    f"{option}: --load-outputs '{request.load_outputs}' has the poses already, "
                    "nothing is run: leave one of them out"
                )
    if request.reference is None:
        if request.checkpoint is None:
            raise InputError(
                "give --ckpt C, or --reference R.npz where PyTorch or the checkpoint is not at hand"
            )
        return
    unused = {
        "--inputs": request.inputs is not None,
        "--scan-order": request.scan_order is not None,
        "--weights": request.weights is not None,
        "--ckpt": request.checkpoint is not None,
    }
    if any(name.startswith("torch") for name in request.runtimes):
        unused = {"--inputs": unused["--inputs"]}  # those runtimes read the checkpoint
    for option, given in unused.items():
        if given:
            raise InputError(
                f"{option}: the clips and the poses are those of --reference "
                f"'{request.reference}': leave it out"
            )


def _expected(request: CheckRequest, model: Runnable, each: Progress) -> Expected:
    if request.reference is not None:
        from pmexport.check.reference_side import expected_of_reference

        return expected_of_reference(model, request.reference, request.any_checkpoint)
    from pmexport.check.checkpoint_side import expected_of_checkpoint

    return expected_of_checkpoint(model, request, each)


def _tolerance(request: CheckRequest, precision: str) -> Tolerance:
    usual = TOLERANCES[precision]
    return Tolerance(
        max_abs=usual.max_abs if request.atol is None else request.atol,
        mpjpe_mm=usual.mpjpe_mm if request.mpjpe_mm is None else request.mpjpe_mm,
    )
