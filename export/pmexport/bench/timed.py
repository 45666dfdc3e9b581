"""One runtime, timed and watched: what it took, who set the pace, what it cost in energy."""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmexport.bench.host import HOST_BOUND_SHARE, LAUNCH_BOUND_SHARE, Idle
from pmexport.bench.measure import Effort, HostBound, Measurement, Times, Warmup, measure
from pmexport.bench.meters import Conditions, Meter, Watch
from pmexport.bench.verdict import Sample, best_spread
from pmexport.bench.yardstick import Yardstick
from pmexport.format.environment import has_module
from pmexport.runtimes.base import Bound

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Host:
    """Whether the host kept the work waiting.

    Attributes:
        idle_share: of the time measured in which no thread of this process ran or wanted to; None
            where the system does not tell, or a device works instead.
        waited_share: of the same, all threads' waiting for cores that other programs had; None as
            above.
        yardstick_ms: what :class:`pmexport.bench.yardstick.Yardstick` took beside the calls; None
            where a device works.
        launch_share: of a call's computing that the host needs to start the work; None where a
            runtime cannot tell.
        bound: the host sets the pace.
        why: one sentence, empty if it does not.
    """

    idle_share: float | None
    waited_share: float | None
    yardstick_ms: float | None
    launch_share: float | None
    bound: bool
    why: str


@dataclass(frozen=True)
class RuntimeTimes:
    """What one runtime took.

    Attributes:
        load_s: from the file to the first result.
        warmup, total, steps, runs, unstable, samples_ms: as
            :class:`pmexport.bench.measure.Measurement`.
        best_spread_ms: as :func:`pmexport.bench.verdict.best_spread`, for a later comparison.
        host: who set the pace.
        clips_per_s, frames_per_s: at the median.
        host_peak_mib: most resident memory of the process from loading on; where the system cannot
            forget the runtimes before, since the process began.
        device_mib: growth of used GPU memory, pools and weights included; None without a GPU.
        conditions: power, clocks and heat of the device; None without a meter.
        energy_mj_per_frame: of the device, idle power included; None without a meter, or measured
            for less than a second.
        settings: IO binding, CUDA graph and what else its times depend on.
    """

    load_s: float
    warmup: Warmup
    runs: int
    total: Times
    steps: dict[str, Times]
    unstable: bool
    best_spread_ms: float
    host: Host
    clips_per_s: float
    frames_per_s: float
    host_peak_mib: float
    device_mib: float | None
    conditions: Conditions | None
    energy_mj_per_frame: float | None
    settings: dict[str, Any]
    samples_ms: list[float]

    @property
    def sample(self) -> Sample:
        """For a comparison with other times."""
        total, host = self.total, self.host
        return Sample(
            total.median,
            total.best,
            total.mad,
            self.runs,
            self.best_spread_ms,
            host.waited_share,
            host.yardstick_ms,
        )


def time_bound(
    bind: Callable[[], Bound],
    batch: int,
    frames: int,
    effort: Effort,
    meter: Meter | None = None,
    on_run: Callable[[], None] | None = None,
) -> RuntimeTimes:
    """Time what ``bind`` makes ready for inputs of so many clips and frames.

    Args:
        meter: of the device that does the work.
        on_run: called after every run that counts.
    """
    gc.collect()  # the runtime before this one
    _forget_peak()
    before = _device_bytes()
    start = time.perf_counter()
    bound = bind()
    bound.upload()
    bound.compute()
    bound.download()
    load_s = time.perf_counter() - start
    idle, watch = Idle(), None if meter is None else Watch(meter)
    yardstick = Yardstick() if isinstance(bound, HostBound) else None

    def after_run() -> None:
        for called in (yardstick, on_run):
            if called is not None:
                called()

    measured = measure(bound, effort, on_run=after_run, watching=_both(watch, idle))
    after = _device_bytes()
    clips = 1e3 * batch / measured.total.median
    conditions = None if watch is None else watch.conditions()
    return RuntimeTimes(
        load_s=load_s,
        warmup=measured.warmup,
        runs=measured.runs,
        total=measured.total,
        steps=measured.steps,
        unstable=measured.unstable,
        best_spread_ms=best_spread(measured.samples_ms),
        host=judge_host(measured, idle, yardstick),
        clips_per_s=clips,
        frames_per_s=clips * frames,
        host_peak_mib=_host_peak_bytes() / 2**20,
        device_mib=None if before is None or after is None else (after - before) / 2**20,
        conditions=conditions,
        energy_mj_per_frame=(
            None if conditions is None else conditions.energy_mj(measured.runs, batch * frames)
        ),
        settings=bound.settings,
        samples_ms=measured.samples_ms,
    )


@contextmanager
def _both(watch: Watch | None, idle: Idle) -> Iterator[None]:
    with watch or nullcontext(), idle:
        yield


def judge_host(measured: Measurement, idle: Idle, yardstick: Yardstick | None) -> Host:
    """Who set the pace.

    A device's work is compared with the time that the host needs to start it, where the runtime can
    tell the two apart. Everywhere else idle threads tell: computing on the host, and waiting for a
    device as CUDA usually does, keep one busy.

    Args:
        yardstick: measured beside it; None where there is a device to wait for.
    """
    launch = measured.launch_ms
    share = None if launch is None else launch / measured.steps["compute"].median
    if share is not None and yardstick is None:
        bound = share > LAUNCH_BOUND_SHARE
        why = f"starting the work takes {100 * share:.0f} % of computing" if bound else ""
        return Host(None, None, None, share, bound, why)
    bound = idle.share is not None and idle.share > HOST_BOUND_SHARE
    why = f"for {100 * (idle.share or 0):.0f} % of the time no thread computed" if bound else ""
    if yardstick is None:  # a device may be kept from its work, too
        return Host(idle.share, None, None, None, bound, why)
    return Host(idle.share, idle.waited, yardstick.best_ms, None, bound, why)


def _forget_peak() -> None:
    """Let the peak begin anew, where Linux can; not being able costs a figure's sharpness."""
    with suppress(OSError):
        _CLEAR.write_text("5", encoding="ascii")


def _host_peak_bytes() -> int:
    with suppress(OSError, ValueError, StopIteration):
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _device_bytes() -> int | None:
    """Used memory of the current GPU, whoever uses it."""
    if not has_module("torch"):
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return int(total - free)
