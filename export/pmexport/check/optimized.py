"""An optimised model held against the original on the CPU, then written."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pmexport.check.tolerance import TOLERANCES
from pmexport.format.failures import reason
from pmexport.format.file import ModelFile, open_model
from pmexport.format.names import CPU_PROVIDER
from pmexport.format.options import Fusion
from pmexport.passes.optimize import Optimized, optimize_model
from pmexport.runtimes.base import FloatArray, Lift, RuntimeOptions
from pmexport.runtimes.ort_cpu import OrtCpu
from pmexport.runtimes.session import open_session, session_lift
from posemamba.errors import InputError
from posemamba.files.output import check_file, replacing
from posemamba.skeleton import NUM_JOINTS
from posemamba.text import table

_CHECK_FRAMES = 27
"""Frames of the comparison with the original: every kind of neighbour, and well under a second."""


@dataclass(frozen=True)
class OptimizeReport:
    """What a rewrite changed.

    Attributes:
        path: the new file.
        fusion: which rewrite it got.
        before, after: nodes by type.
        max_abs: largest difference of a coordinate to the original on the CPU, network units.
        limit: what it may be.
    """

    path: Path
    fusion: Fusion
    before: Counter[str]
    after: Counter[str]
    max_abs: float
    limit: float

    @property
    def passed(self) -> bool:
        return self.max_abs <= self.limit


def optimize_file(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None,
    fusion: Fusion = "auto",
    threads: int | None = None,
) -> OptimizeReport:
    """Rewrite a model, hold the result against it, and write that.

    Args:
        output: None for ``M.cuda.onnx`` beside ``M.onnx``.

    Raises:
        InputError: as :func:`pmexport.passes.optimize.optimize_model`, one of the two does not run,
            or ``output`` cannot be written; what was there stays.
    """
    path = Path(path)
    model = open_model(path)
    output = Path(output or path.with_suffix(".cuda.onnx"))
    check_file(output, suffix=".onnx", inputs=[path])
    optimized = optimize_model(model, fusion)
    data = optimized.serialised()
    apart = rewrite_apart(model, optimized, threads)
    with replacing(output) as partial:
        partial.write_bytes(data)
    return OptimizeReport(
        path=output,
        fusion=optimized.fusion,
        before=Counter(node.op_type for node in model.nodes),
        after=Counter(node.op_type for node in optimized.model.graph),
        max_abs=apart,
        limit=TOLERANCES[model.precision].max_abs,
    )


def rewrite_apart(model: ModelFile, optimized: Optimized, threads: int | None = None) -> float:
    """Largest difference of a coordinate between a model and its rewrite, on the CPU.

    Raises:
        InputError: one of the two does not run.
    """
    most = model.metadata.get("max_frames", 1)
    clip = _clip(model.batch or 2, model.frames or min(_CHECK_FRAMES, most), model.channels)
    expected = _run(OrtCpu(RuntimeOptions(threads=threads)).load(model), clip, model.path)
    lift: Lift
    if optimized.fusion == "fused":  # onnxruntime has these operators on CUDA alone
        from pmexport.runtimes.fused_torch import fused_lift

        lift = fused_lift(optimized.model, threads)
    else:
        data = optimized.serialised()
        lift = session_lift(open_session(model, threads, [CPU_PROVIDER], data))
    return float(np.abs(_run(lift, clip, model.path) - expected).max())


def report_lines(report: OptimizeReport) -> list[str]:
    """Nodes by type before and after, and the verdict."""
    before, after = report.before, report.after
    kinds = sorted(before | after, key=lambda kind: (-before[kind], -after[kind], kind))
    rows = [(kind, _count(before[kind]), _count(after[kind])) for kind in kinds]
    rows.append(("all", str(before.total()), str(after.total())))
    verdict = "passed" if report.passed else "FAILED"
    return [
        f"Optimize: {report.fusion} for ONNX Runtime CUDA, saved as {report.path}",
        table(("nodes", "before", "after"), rows),
        f"Check on the CPU: {verdict}, max-abs {report.max_abs:.1e} from the original "
        f"(tolerance {report.limit:g})",
    ]


def _count(nodes: int) -> str:
    return str(nodes) if nodes else "-"


def _run(lift: Lift, clip: FloatArray, path: Path) -> FloatArray:
    """Poses of a clip.

    Raises:
        InputError: the model does not run.
    """
    try:
        return lift(clip)
    except Exception as error:  # onnxruntime and PyTorch raise classes of their own
        raise InputError(f"'{path}' cannot be run at shape {clip.shape}: {reason(error)}") from None


def _clip(batch: int, frames: int, channels: int) -> FloatArray:
    """Seeded keypoints all over the picture."""
    draw = np.random.default_rng(0).uniform(-1.0, 1.0, (batch, frames, NUM_JOINTS, channels))
    return draw.astype(np.float32)
