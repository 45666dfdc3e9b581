"""``pmexport optimize``: an exported file rewritten for ONNX Runtime CUDA, and checked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnxscript import ir

from pmexport.check import TOLERANCES
from pmexport.cuda_rewrite import TARGET, TARGET_KEY, rewrite_for_cuda
from pmexport.files import check_target
from pmexport.runtimes import FloatArray, OrtCpu, RuntimeOptions, read_onnx
from posemamba.console import table
from posemamba.errors import InputError

_CHECK_FRAMES = 27
"""Frames of the comparison with the original: every kind of neighbour, and well under a second."""


@dataclass(frozen=True)
class OptimizeReport:
    """What a rewrite changed.

    Attributes:
        path: the new file.
        before, after: nodes by type.
        max_abs: largest difference of a coordinate to the original on the CPU, network units.
        limit: what it may be.
    """

    path: Path
    before: Counter[str]
    after: Counter[str]
    max_abs: float
    limit: float

    @property
    def passed(self) -> bool:
        return self.max_abs <= self.limit


def optimize_model(path: Path) -> bytes:
    """The rewritten model of a file, serialised; the file stays as it is.

    Raises:
        InputError: the file is no model of ``pmexport onnx --ops fused``.
    """
    return _serialised(_rewritten(path)[0])


def optimize_file(path: Path, output: Path, threads: int | None = None) -> OptimizeReport:
    """Write the rewritten model, and hold it against the original in ONNX Runtime on the CPU.

    Raises:
        InputError: the file is no model of ``pmexport onnx --ops fused``, or ``output`` cannot be
            written; nothing is left there.
    """
    from pmexport.inspect import read_facts
    from posemamba.atomic import replacing

    check_target(output, ".onnx", inputs=[path])
    facts = read_facts(path)
    model, before = _rewritten(path)
    with replacing(output) as partial:
        partial.write_bytes(_serialised(model))
    cpu = OrtCpu(RuntimeOptions(threads=threads))
    clip = _clip(facts.batch or 2, facts.frames or min(_CHECK_FRAMES, facts.max_frames or 1))
    apart = float(np.abs(cpu.load(output)(clip) - cpu.load(path)(clip)).max())
    return OptimizeReport(
        path=output,
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
    kinds = sorted(report.before | report.after, key=lambda kind: (-report.before[kind], kind))
    rows = [(kind, _count(report.before[kind]), _count(report.after[kind])) for kind in kinds]
    rows.append(("all", str(report.before.total()), str(report.after.total())))
    verdict = "passed" if report.passed else "FAILED"
    return [
        table(("nodes", "before", "after"), rows),
        f"Check on the CPU: {verdict}, max-abs {report.max_abs:.1e} from the original "
        f"(tolerance {report.limit:g})",
    ]


def _count(nodes: int) -> str:
    return str(nodes) if nodes else "-"


def _rewritten(path: Path) -> tuple[ir.Model, Counter[str]]:
    if already_optimized(path):
        raise InputError(f"'{path}' is optimised already: use it as it is")
    model = ir.load(path)
    before = _types(model)
    try:
        rewrite_for_cuda(model)
    except InputError as error:
        raise InputError(f"'{path}': {error}") from None
    return model, before


def _serialised(model: ir.Model) -> bytes:
    data: bytes = ir.to_proto(model).SerializeToString()
    return data


def _types(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


def _clip(batch: int, frames: int) -> FloatArray:
    """Seeded keypoints all over the picture."""
    draw = np.random.default_rng(0).uniform(-1.0, 1.0, (batch, frames, 17, 2))
    return draw.astype(np.float32)
