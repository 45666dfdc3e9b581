"""What ``serve`` is told."""

from __future__ import annotations

from dataclasses import dataclass

from posemamba_runtime.keypoints.reader import MIN_CONFIDENCE
from posemamba_runtime.live.intake import Intake


@dataclass(frozen=True)
class ServeOptions:
    """What every replica is told; the names are those of the command's options."""

    model: str
    backend: str
    threads: int
    tf32: bool
    host: str
    port: int
    token: str
    cameras: int
    rate: float
    queue: int
    max_latency_ms: float
    window: int
    hop: int
    size: tuple[int, int] | None
    layout: str | None
    height_m: float

    def intake(self, size: tuple[int, int] | None, rate: float | None) -> Intake:
        """A reader of one camera's frames."""
        return Intake(
            wanted=None,
            size=size or self.size,
            layout=self.layout,
            min_confidence=MIN_CONFIDENCE,
            rate=rate,
            default_rate=self.rate,
        )
