"""Limits that a benchmark must keep: ``p95=12,fps=400,jitter=3,drops=1@30``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pmexport.bench.timed import RuntimeTimes
from posemamba.errors import InputError
from posemamba.text import suggestion

DEFAULT_RATE = 30.0
"""Frames a second of a live stream where a gate names none."""


@dataclass(frozen=True)
class Gate:
    """One limit.

    Attributes:
        name: in :data:`KINDS`.
        rate: frames a second, of ``drops`` alone.
    """

    name: str
    limit: float
    rate: float = DEFAULT_RATE

    @property
    def text(self) -> str:
        """As it is written."""
        rate = f"@{self.rate:g}" if self.name == "drops" else ""
        return f"{self.name}={self.limit:g}{rate}"


@dataclass(frozen=True)
class GateResult:
    """What a runtime did with a gate."""

    runtime: str
    gate: str
    found: float
    unit: str
    met: bool

    @property
    def line(self) -> str:
        verdict = "met" if self.met else "MISSED"
        return f"Gate {self.gate}: {self.runtime} has {self.found:.4g} {self.unit}: {verdict}"


@dataclass(frozen=True)
class Kind:
    """How a gate is measured; ``least``: the limit is the least, not the most."""

    unit: str
    measure: Callable[[RuntimeTimes, Gate], float]
    least: bool = False


def drop_share(samples_ms: Sequence[float], rate: float) -> float:
    """Percent of a live stream's frames that come while the call before is still running.

    One call a frame, its times as they were measured, one after the other: a frame that finds the
    model busy is lost.

    Args:
        samples_ms: of whole calls.
        rate: frames a second.
    """
    period = 1e3 / rate
    arrived = 0
    for took in samples_ms:
        arrived += max(1, math.ceil(took / period - 1e-9))  # this frame, and those during the call
    return 100.0 * (arrived - len(samples_ms)) / arrived


KINDS: dict[str, Kind] = {
    "p50": Kind("ms", lambda times, _: times.total.median),
    "p90": Kind("ms", lambda times, _: times.total.p90),
    "p95": Kind("ms", lambda times, _: times.total.p95),
    "p99": Kind("ms", lambda times, _: times.total.p99),
    "jitter": Kind("ms from median to p99", lambda times, _: times.total.p99 - times.total.median),
    "fps": Kind("frames/s", lambda times, _: times.frames_per_s, least=True),
    "drops": Kind("% dropped", lambda times, gate: drop_share(times.samples_ms, gate.rate)),
}


def parse_gates(text: str) -> tuple[Gate, ...]:
    """``p95=12,fps=400`` as gates.

    Raises:
        InputError: no such gate, no number, or a gate twice.
    """
    gates: dict[str, Gate] = {}
    for part in text.split(","):
        name, equals, value = part.strip().casefold().partition("=")
        if name not in KINDS:
            raise InputError(f"--gate '{name}' is no gate{suggestion(name, list(KINDS))}")
        if name in gates:
            raise InputError(f"--gate names {name} twice: name it once")
        limit, at, rate = value.partition("@")
        if not equals or (at and name != "drops"):
            example = "drops=1@30" if name == "drops" else f"{name}=12"
            raise InputError(f"--gate '{part.strip()}': write it as {example}")
        gates[name] = Gate(name, _number(part, limit, 0.0), _number(part, rate, 1e-3) if at
                           else DEFAULT_RATE)  # fmt: skip
    return tuple(gates.values())


def _number(part: str, text: str, least: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf:
        raise InputError(f"--gate '{part.strip()}': '{text}' is no number from {least:g}")
    return number


def judge(gates: Sequence[Gate], runtimes: dict[str, RuntimeTimes]) -> list[GateResult]:
    """Every gate for every runtime."""
    results = []
    for name, times in runtimes.items():
        for gate in gates:
            kind = KINDS[gate.name]
            found = kind.measure(times, gate)
            met = found >= gate.limit if kind.least else found <= gate.limit
            results.append(GateResult(name, gate.text, found, kind.unit, met))
    return results
