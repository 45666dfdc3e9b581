"""``pmexport optimize``: an exported file rewritten for ONNX Runtime CUDA, and checked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from onnxscript import ir

from pmexport.check.run import TOLERANCES
from pmexport.format.files import check_target
from pmexport.passes.composed import rewrite_composed
from pmexport.passes.fused import find_fusable, rewrite_fused
from pmexport.passes.match_network import Network
from pmexport.runtimes.base import (
    FloatArray,
    Lift,
    OrtCpu,
    RuntimeOptions,
    open_session,
    read_onnx,
    session_lift,
)
from posemamba.errors import InputError
from posemamba.text import table

Fusion = Literal["auto", "fused", "composed"]
"""``fused``: two nodes a block, float16 and the paper's widths. ``composed``: standard matrix
products with our nodes between them, any type and size. ``auto``: the first where it fits."""

TARGET_KEY = "posemamba.target"
TARGET = "onnxruntime-cuda"

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


def optimize_model(path: Path, fusion: Fusion = "auto") -> bytes:
    """The rewritten model of a file, serialised; the file stays as it is.

    Raises:
        InputError: the file is no model of ``pmexport onnx --ops fused``, is optimised already, or
            ``fused`` was asked for and does not take it.
    """
    return _serialised(_rewritten(path, fusion)[0])


def optimize_file(
    path: Path, output: Path | None, fusion: Fusion = "auto", threads: int | None = None
) -> OptimizeReport:
    """Hold the rewritten model against the original on the CPU, and write it.

    Args:
        output: None for ``M.cuda.onnx`` beside ``M.onnx``.

    Raises:
        InputError: as :func:`optimize_model`, one of the two does not run, or ``output`` cannot be
            written; what was there stays.
    """
    from pmexport.format.facts import read_facts
    from posemamba.files.output import replacing

    facts = read_facts(path)
    output = output or path.with_suffix(".cuda.onnx")
    check_target(output, ".onnx", inputs=[path])
    clip = _clip(facts.batch or 2, facts.frames or min(_CHECK_FRAMES, facts.max_frames or 1))
    model, used, before = _rewritten(path, fusion)
    data = _serialised(model)
    expected = _run(OrtCpu(RuntimeOptions(threads=threads)).load(path), clip, path)
    lift: Lift
    if used == "fused":  # onnxruntime has these operators on CUDA alone
        from pmexport.runtimes.fused_torch import fused_lift

        lift = fused_lift(model, threads)
    else:
        lift = session_lift(open_session(path, threads, ["CPUExecutionProvider"], data))
    apart = float(np.abs(_run(lift, clip, path) - expected).max())
    with replacing(output) as partial:
        partial.write_bytes(data)
    return OptimizeReport(
        path=output,
        fusion=used,
        before=before,
        after=_types(model),
        max_abs=apart,
        limit=TOLERANCES[facts.precision].max_abs,
    )


def already_optimized(path: Path) -> bool:
    """Whether a file was written by ``pmexport optimize``."""
    properties = read_onnx(path).metadata_props
    return any(entry.key == TARGET_KEY and entry.value == TARGET for entry in properties)


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
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"'{path}' cannot be run at shape {clip.shape}: {reason}") from None


def _rewritten(path: Path, fusion: Fusion) -> tuple[ir.Model, Fusion, Counter[str]]:
    if already_optimized(path):
        raise InputError(f"'{path}' is optimised already: use it as it is")
    model = ir.load(path)
    before = _types(model)
    used: Fusion = "composed"
    try:
        network = _fusable(model, fusion)
        if network is not None:
            used = "fused"
            rewrite_fused(model, network)
        elif fusion == "fused":
            raise InputError(
                "the fused kernels take float16 at d_model 64, 128 or 256: export it with "
                "--precision fp16, or use --fusion composed"
            )
        else:
            rewrite_composed(model)
    except InputError as error:
        raise InputError(f"'{path}': {error}") from None
    except (ArithmeticError, AssertionError, AttributeError, LookupError, ValueError) as error:
        # A node lacks an input, an attribute or a shape that the exporter always writes.
        reason = " ".join(f"{type(error).__name__} {error}".split())[:100]
        raise InputError(
            f"'{path}' is not as 'pmexport onnx --ops fused' writes it ({reason}): export it again"
        ) from None
    model.metadata_props[TARGET_KEY] = TARGET
    return model, used, before


def _fusable(model: ir.Model, fusion: Fusion) -> Network | None:
    """The network to fuse; None to compose."""
    if fusion == "composed":
        return None
    try:
        return find_fusable(model)
    except InputError:  # such as an older operator set, whose GELU is several nodes
        if fusion == "fused":
            raise
        return None


def _serialised(model: ir.Model) -> bytes:
    data: bytes = ir.to_proto(model).SerializeToString()
    return data


def _types(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


def _clip(batch: int, frames: int) -> FloatArray:
    """Seeded keypoints all over the picture."""
    draw = np.random.default_rng(0).uniform(-1.0, 1.0, (batch, frames, 17, 2))
    return draw.astype(np.float32)
