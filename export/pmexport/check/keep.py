"""The smallest list of modules to keep fp32 that brings an fp16 model's drift under a bound.

The checkpoint is exported once in fp32; a candidate list costs typing that graph and running it.
First everything is kept: what is still off then is no matter of fp16. Then modules are added, those
with the largest error of their own first, twice as many each time, until the bound holds; then as
many as can are taken away again, whole halves first, and what is left is tried in its parts. In the
end no entry can be left out. That is the smallest of its kind; another list may be as short.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnxscript import ir

from pmexport.check.bisect import BisectReport
from pmexport.check.cases import Case
from pmexport.check.points import split_block
from pmexport.check.run import CheckOutcome
from pmexport.exporting.export import export_onnx
from pmexport.format.file import ModelFile, open_model
from pmexport.format.names import CPU_PROVIDER
from pmexport.format.options import ExportOptions
from pmexport.passes.fp16 import to_fp16
from pmexport.passes.fp16_rules import is_kept
from pmexport.runtimes.base import FloatArray
from pmexport.runtimes.session import open_session, session_lift
from posemamba.checkpoint.read import load_checkpoint
from posemamba.pose.metrics import joint_errors
from posemamba.text import printable

Keep = tuple[str, ...]


@dataclass(frozen=True)
class KeepReport:
    """What was found.

    Attributes:
        entries: the list, in the network's order; None where no list helps.
        drift_mm: MPJPE drift of the worst run with it; with everything kept where no list helps.
        without_mm: and with nothing kept, infinite where poses are not finite.
        limit_mm: what was asked for.
        tried: lists that were run.
    """

    entries: Keep | None
    drift_mm: float
    without_mm: float
    limit_mm: float
    tried: int

    def comment(self, model: str) -> list[str]:
        """What a keep list says of itself."""
        return [
            f"pmexport check {printable(model)} --bisect --max-drift-mm {self.limit_mm:g}",
            f"drift with it {self.drift_mm:.3g} mm, without {self.without_mm:.3g} mm",
        ]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it: an infinite drift is null."""
        told = asdict(self)
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in told.items()
        }


class _Typed:
    """A checkpoint's fp32 graph, typed again for every list.

    Args:
        folder: of the exported model.
        cases, expected: runs, and PyTorch's poses of them.
    """

    def __init__(
        self, outcome: CheckOutcome, model: ModelFile, folder: Path, progress: Callable[[int], None]
    ) -> None:
        assert outcome.request.checkpoint is not None
        network = load_checkpoint(
            outcome.request.checkpoint, scan_order=outcome.scan_order, weights=outcome.weights
        )
        self.path = folder / "fp32.onnx"
        export_onnx(
            network,
            self.path,
            ExportOptions(
                frames=model.frames,
                batch=model.batch,
                opset=model.opset,
                ops=model.metadata.get("ops", "fused"),
            ),
        )
        self.file = open_model(self.path)
        self.names = [node.name for node in self.file.nodes]
        self._threads = outcome.request.threads
        self._mm = outcome.request.mm_per_unit
        self._progress = progress
        self._known: dict[tuple[Keep, int], float] = {}

    @property
    def tried(self) -> int:
        return len(self._known)

    def drift(self, keep: Keep, cases: Sequence[tuple[Case, FloatArray]]) -> float:
        """MPJPE drift of the worst run, mm; infinite where poses are not finite."""
        key = (keep, len(cases))
        if key not in self._known:
            model = ir.load(self.path)
            to_fp16(model, keep)
            data = ir.to_proto(model).SerializeToString()
            lift = session_lift(open_session(self.file, self._threads, [CPU_PROVIDER], data))
            worst = 0.0
            for case, want in cases:
                poses = lift(case.keypoints_2d)
                whole = bool(np.isfinite(poses).all())
                apart = float(joint_errors(poses, want).mean()) * self._mm if whole else math.inf
                worst = max(worst, apart)
            self._known[key] = worst
            self._progress(self.tried)
        return self._known[key]

    def parts(self, entry: str) -> Keep:
        """The modules and nodes directly inside of an entry."""
        depth = entry.count(".") + 2
        inside = [name for name in self.names if name.startswith(f"{entry}.")]
        return tuple(dict.fromkeys(".".join(name.split(".")[:depth]) for name in inside))


def smallest_keep(
    outcome: CheckOutcome,
    bisection: BisectReport,
    limit_mm: float,
    progress: Callable[[int], None] = lambda tried: None,
) -> KeepReport:
    """Search for the list.

    Args:
        outcome: of an fp16 model and its checkpoint.
        bisection: of the same check, to know where to begin.
        progress: told how many lists were run.
    """
    model = outcome.model
    assert isinstance(model, ModelFile)
    pairs = list(zip(outcome.expected.cases, outcome.expected.poses, strict=True))
    worst = outcome.worst_case()
    chosen = [pair for pair in pairs if pair[0] is worst]
    with TemporaryDirectory(prefix="pmexport-") as folder:
        typed = _Typed(outcome, model, Path(folder), progress)
        everything = tuple(dict.fromkeys(_outer(name) for name in typed.names))
        without = typed.drift((), pairs)
        if without <= limit_mm:
            return KeepReport((), without, without, limit_mm, typed.tried)
        with_all = typed.drift(everything, pairs)
        if with_all > limit_mm:
            return KeepReport(None, with_all, without, limit_mm, typed.tried)
        order = _ranked(everything, bisection)
        found = _search(typed, order, chosen, limit_mm)
        if typed.drift(found, pairs) > limit_mm:  # enough for the worst run, not for another
            found = _search(typed, order, pairs, limit_mm)
        places = {name: index for index, name in enumerate(typed.names)}
        entries = sorted(found, key=lambda entry: min(
            index for name, index in places.items() if is_kept(name, [entry])))  # fmt: skip
        return KeepReport(tuple(entries), typed.drift(found, pairs), without, limit_mm, typed.tried)


def _search(
    typed: _Typed, order: Keep, cases: Sequence[tuple[Case, FloatArray]], limit_mm: float
) -> Keep:
    """A list of which no entry can be left out; all of ``order`` holds the bound."""

    def holds(keep: Keep) -> bool:
        return typed.drift(keep, cases) <= limit_mm

    count = 1
    while count < len(order) and not holds(order[:count]):
        count *= 2
    found = _without_idle(order[:count], holds)
    finer: Keep = tuple(part for entry in found for part in typed.parts(entry))
    return _without_idle(finer, holds) if finer and holds(finer) else found


def _without_idle(keep: Keep, holds: Callable[[Keep], bool]) -> Keep:
    """Take away what is not needed: runs of entries, halves first, then single ones."""
    size = max(len(keep) // 2, 1)
    while True:
        for fewer in _leaving_out(keep, size):
            if fewer and holds(fewer):
                keep = fewer
                break
        else:
            if size == 1:
                return keep
            size = size // 2
        size = min(size, max(len(keep) // 2, 1))


def _leaving_out(keep: Keep, size: int) -> Iterator[Keep]:
    """The list without each run of so many entries, the last and least suspicious first."""
    for end in range(len(keep), 0, -size):
        yield keep[: max(end - size, 0)] + keep[end:]


def _outer(name: str) -> str:
    """``STEblocks.3.mlp`` of a node's name; outside of blocks the module itself."""
    block, inner = split_block(name)
    return f"{block}.{inner.split('.')[0]}" if block else name.split(".")[0]


def _ranked(everything: Keep, bisection: BisectReport) -> Keep:
    """Modules by the error that is their own, the largest first; what broke comes before all."""
    errors: Mapping[str, float] = {}
    errors = dict.fromkeys(everything, 0.0)
    for point, own in bisection.own_error.items():
        name = _outer(f"{point.module}.")
        errors[name] = max(errors.get(name, 0.0), own)
    return tuple(sorted(everything, key=lambda name: -errors[name]))
