"""What Prometheus is told of a server."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56)
_WINDOWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """One server's; names begin with ``posemamba_``, those of its memory and CPU ``process_``."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.frames = Counter("posemamba_frames", "Frames that came in.", registry=registry)
        self.poses = Counter("posemamba_poses", "Poses that went out.", registry=registry)
        self.refused = Counter(
            "posemamba_refused", "Frames that give no pose, by reason.", ["why"], registry=registry
        )
        self.cameras = Gauge("posemamba_cameras", "Cameras connected.", registry=registry)
        self.queue = Gauge("posemamba_queued_frames", "Frames that wait.", registry=registry)
        self.latency = Histogram(
            "posemamba_latency_seconds",
            "From a frame's arrival to its pose.",
            registry=registry,
            buckets=_SECONDS,
        )
        self.batch = Histogram(
            "posemamba_batch_windows", "Windows of a step.", registry=registry, buckets=_WINDOWS
        )

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self._registry)
