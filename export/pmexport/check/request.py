"""What a check was asked for, and what it holds a model against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmexport.check.cases import Case
from pmexport.format.paths import NamesFiles
from pmexport.runtimes.base import FloatArray
from posemamba.pose.clips import DEFAULT_READING, Reading

if TYPE_CHECKING:
    from pmexport.check.baseline import Baseline

DEFAULT_MM_PER_UNIT = 1000.0
"""A network unit is half the image width. With a person of 1.7 m who fills most of the picture's
height that is near 1 m; one scale for all clips keeps the figures comparable."""


@dataclass(frozen=True)
class CheckRequest(NamesFiles):
    """What to check, and how strictly.

    Attributes:
        model: the exported file, or an engine.
        checkpoint: the weights it should have; None where ``reference`` has their poses.
        runtimes: names in :data:`pmexport.runtimes.registry.RUNTIMES`; none for the file's own.
        inputs: further clips, a file or folder that :func:`posemamba.pose.clips.load_clips` reads.
        reading: how they are read.
        scan_order: overrides the one the model's metadata names.
        atol, mpjpe_mm: override the precision's tolerance.
        mm_per_unit: millimetres of one network unit.
        any_checkpoint: compare even if the model was exported from another file.
        threads: threads of both sides; None lets them decide.
        weights: which set of a checkpoint that holds several; None for the model's own.
        reference: poses to hold the model against instead of PyTorch's, see
            :mod:`pmexport.check.reference`.
        keep_reference: where to write the inputs and PyTorch's poses of this check.
        load_outputs: poses that runners of Polygraphy gave, to be judged instead of runtimes.
        bisect: whether the module where two sides part will be looked for.
        max_drift_mm: bound of the drift that a keep list will be searched for.
        tf32: let float32 products on a GPU round their inputs to 10 bits.
    """

    model: Path
    checkpoint: Path | None = None
    runtimes: tuple[str, ...] = ()
    inputs: Path | None = None
    reading: Reading = DEFAULT_READING
    scan_order: str | None = None
    atol: float | None = None
    mpjpe_mm: float | None = None
    mm_per_unit: float = DEFAULT_MM_PER_UNIT
    any_checkpoint: bool = False
    threads: int | None = None
    weights: str | None = None
    reference: Path | None = None
    keep_reference: Path | None = None
    load_outputs: Path | None = None
    bisect: bool = False
    max_drift_mm: float | None = None
    tf32: bool = False


@dataclass(frozen=True)
class Expected:
    """What a model should give, and where that comes from.

    Attributes:
        poses: of each case, (batch, frames, joints, 3).
        checkpoint: for the report; None where it was not needed.
        baseline: how PyTorch computed the poses; None where a file held them.
        reference: that file, for the report.
        failure: why the poses cannot be believed.
    """

    cases: list[Case]
    poses: list[FloatArray]
    checkpoint: dict[str, Any] | None = None
    baseline: Baseline | None = None
    reference: dict[str, Any] | None = None
    failure: str | None = None
