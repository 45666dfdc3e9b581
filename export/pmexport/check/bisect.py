"""The first module whose output leaves tolerance between two sides, and both sides' values there.

Every side runs the worst clip of the check; tensors of both are compared in the order PyTorch
computes them, in groups that fit in memory. Whether looking changed the poses is measured, and what
was found in a run that it changed is looked for again in one that ends at that tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any, Protocol

import numpy as np

from pmexport.check.cases import Case
from pmexport.check.observe import Seen
from pmexport.check.points import Point
from pmexport.runtimes.base import FloatArray
from posemamba.errors import InputError
from posemamba.text import Json

_GROUP_BYTES = 256 * 2**20
"""Of one side's tensors that are held at a time."""


@dataclass(frozen=True)
class Limits:
    """How far a module's output may be from the other side's.

    Attributes:
        rms: root mean square of the difference, over that of the values.
        largest: largest difference, over the same.
    """

    rms: float
    largest: float


#: fp32: measured at most 1e-6 and 1e-5 through 20 blocks; a wrong weight or index gives 1e-2 and
#: more. fp16: rounding alone gives at most 1e-3 and 2.4e-2 in the trained S; a scan whose sums are
#: fp16 too is off by 5e-4 instead of 2e-4.
LIMITS: dict[str, Limits] = {
    "fp32": Limits(5e-5, 1e-3),
    "fp16": Limits(5e-3, 0.1),
    "fp16-sums": Limits(5e-3, 0.1),
}


class Side(Protocol):
    """One of the two that are compared."""

    name: str

    def poses(self, keypoints_2d: FloatArray) -> FloatArray:
        """As it is used, with nobody looking."""
        ...

    def see(self, keypoints_2d: FloatArray, points: Sequence[Point]) -> tuple[FloatArray, Seen]:
        """The poses of a run with these points looked at, and what was seen."""
        ...

    def see_last(self, keypoints_2d: FloatArray, point: Point) -> FloatArray:
        """A point in a run that ends there, so that looking changes nothing before it."""
        ...


@dataclass(frozen=True)
class Statistics:
    """What a tensor holds; of its finite values, None where there is none."""

    smallest: float | None
    largest: float | None
    mean: float | None
    rms: float | None
    not_finite: int


@dataclass(frozen=True)
class Difference:
    """One point on two sides.

    Attributes:
        point: as people read it.
        module, step, call: as :class:`pmexport.check.points.Point`.
        rms, largest: as :class:`Limits`; infinite where only one side is finite.
        where: index of the largest difference.
        values: statistics of each side, by its name.
    """

    point: str
    module: str
    step: str
    call: int
    shape: tuple[int, ...]
    rms: float
    largest: float
    where: tuple[int, ...]
    values: dict[str, Statistics]

    def within(self, limits: Limits) -> bool:
        return self.rms <= limits.rms and self.largest <= limits.largest


@dataclass(frozen=True)
class PairResult:
    """What was found between two sides.

    Attributes:
        sides: their names.
        first: the first point beyond the limits; None if there is none.
        before: the point compared last before it, which is within them.
        worst: the largest ``rms`` of all that was compared.
        compared: number of points.
        observed: by side, how far looking moved the poses, network units; 0 is bit for bit.
        confirmed: whether ``first`` is also beyond the limits where a run ends there; None where
            looking moved nothing, so that nothing had to be confirmed.
    """

    sides: tuple[str, str]
    first: Difference | None
    before: Difference | None
    worst: Difference | None
    compared: int
    observed: dict[str, float]
    confirmed: bool | None


@dataclass(frozen=True)
class BisectReport:
    """Everything a bisection found.

    Attributes:
        case: the clip that was run.
        own_error: by point, how much ``rms`` grew there, of the first pair; for ranking.
    """

    case: str
    frames: int
    limits: Limits
    pairs: list[PairResult]
    own_error: dict[Point, float]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it: an infinite difference is null."""
        told = asdict(replace(self, own_error={}))
        del told["own_error"]
        return dict(_finite(told))


def _finite(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def bisect(
    sides: Sequence[Side],
    case: Case,
    shapes: Mapping[Point, tuple[int, ...]],
    limits: Limits,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> BisectReport:
    """Compare every two sides, point by point.

    Args:
        shapes: of the points that all sides have, in the order they are computed.
        progress: told how many points are done, of how many.
    """
    keypoints = case.keypoints_2d
    plain = {side.name: side.poses(keypoints) for side in sides}
    moved = {side.name: 0.0 for side in sides}
    walks = {pair: _Walk(pair, limits) for pair in combinations([s.name for s in sides], 2)}
    done = 0
    for group in _groups(shapes):
        seen: dict[str, Seen] = {}
        for side in sides:
            poses, seen[side.name] = side.see(keypoints, group)
            moved[side.name] = max(moved[side.name], _apart(poses, plain[side.name]))
        for walk in walks.values():
            walk.take(group, seen)
        done += len(group)
        progress(done, len(shapes))
        if all(walk.first is not None for walk in walks.values()):
            break
    by_name = {side.name: side for side in sides}
    pairs = [walk.result(moved, by_name, keypoints) for walk in walks.values()]
    own_error = next(iter(walks.values())).own_error
    return BisectReport(case.name, keypoints.shape[1], limits, pairs, own_error)


class _Walk:
    """Two sides, compared point after point."""

    def __init__(self, names: tuple[str, str], limits: Limits) -> None:
        self.names, self.limits = names, limits
        self.first: Difference | None = None
        self.before: Difference | None = None
        self.worst: Difference | None = None
        self.compared = 0
        self.own_error: dict[Point, float] = {}
        self._last = 0.0

    def take(self, group: Sequence[Point], seen: Mapping[str, Seen]) -> None:
        one, two = self.names
        for point in group:
            found = difference(point, {one: seen[one][point], two: seen[two][point]})
            self.own_error[point] = max(found.rms - self._last, 0.0) if self._last < math.inf else 0
            self._last = found.rms
            if self.first is not None:
                continue
            self.compared += 1
            if self.worst is None or found.rms > self.worst.rms:
                self.worst = found
            if found.within(self.limits):
                self.before = found
            else:
                self.first = found

    def result(
        self, moved: Mapping[str, float], sides: Mapping[str, Side], keypoints: FloatArray
    ) -> PairResult:
        observed = {name: moved[name] for name in self.names}
        confirmed = None
        if self.first is not None and any(observed.values()):
            point = Point(self.first.module, self.first.step, self.first.call)
            alone = {name: sides[name].see_last(keypoints, point) for name in self.names}
            confirmed = not difference(point, alone).within(self.limits)
        return PairResult(
            self.names, self.first, self.before, self.worst, self.compared, observed, confirmed
        )


def difference(point: Point, values: Mapping[str, FloatArray]) -> Difference:
    """Compare a point on two sides.

    Raises:
        InputError: their shapes differ: these are not the same network.
    """
    (one, a), (two, b) = values.items()
    if a.shape != b.shape:
        raise InputError(
            f"'{point}' is {a.shape} in {one} and {b.shape} in {two}: these are not the same "
            "network: give the checkpoint the model was exported from"
        )
    finite = np.isfinite(a) & np.isfinite(b)
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.abs(a.astype(np.float64) - b)
    scale = math.sqrt(float(np.mean(np.square(a[finite], dtype=np.float64)))) if finite.any() else 0
    scale = max(scale, np.finfo(np.float32).tiny)
    broken = np.isfinite(a) != np.isfinite(b)
    apart[broken] = np.inf
    apart[~finite & ~broken] = 0.0  # both are broken there
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(apart)), apart.shape))
    rms = math.inf if broken.any() else math.sqrt(float(np.mean(np.square(apart)))) / scale
    return Difference(
        point=str(point),
        module=point.module,
        step=point.step,
        call=point.call,
        shape=tuple(a.shape),
        rms=rms,
        largest=float(apart[index]) / scale,
        where=index,
        values={one: statistics(a), two: statistics(b)},
    )


def statistics(values: FloatArray) -> Statistics:
    """Of a tensor's finite values."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        return Statistics(None, None, None, None, int(values.size))
    return Statistics(
        smallest=float(finite.min()),
        largest=float(finite.max()),
        mean=float(finite.mean()),
        rms=math.sqrt(float(np.mean(np.square(finite)))),
        not_finite=int(values.size - finite.size),
    )


def _groups(shapes: Mapping[Point, tuple[int, ...]]) -> Iterator[list[Point]]:
    """Points in order, as many at once as fit."""
    group: list[Point] = []
    size = 0
    for point, shape in shapes.items():
        needed = 4 * math.prod(shape)
        if group and size + needed > _GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(point)
        size += needed
    if group:
        yield group


def _apart(a: FloatArray, b: FloatArray) -> float:
    """Largest difference of two runs of one side; broken values in the same places are equal."""
    same = (a == b) | (~np.isfinite(a) & ~np.isfinite(b))
    if same.all():
        return 0.0
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(np.abs(a - b), nan=np.inf)[~same].max())
