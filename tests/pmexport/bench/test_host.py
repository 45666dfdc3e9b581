"""Who sets the pace: sleeps that are planted, and work that is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pmexport.bench.host import Idle, ThreadSeconds, thread_seconds
from pmexport.bench.measure import Effort, HostBound, measure
from pmexport.bench.report import condition_lines
from pmexport.bench.timed import RuntimeTimes, judge_host, time_bound
from pmexport.bench.yardstick import Yardstick
from pmexport.runtimes.base import Bound, FloatArray, Lift

CLIP = np.zeros((1, 2, 17, 2), np.float32)
QUICK = Effort(warmup_s=0.02, measure_s=0.4, runs=1000)


def busy(seconds: float) -> None:
    end = time.thread_time() + seconds  # of this thread's own: other load is not in it
    while time.thread_time() < end:
        pass


def timed(lift: Lift) -> RuntimeTimes:
    return time_bound(lambda: HostBound(lift, CLIP), 1, 2, QUICK)


def working(sleep_s: float) -> Lift:
    def lift(keypoints: FloatArray) -> FloatArray:
        busy(0.004)
        if sleep_s:
            time.sleep(sleep_s)
        return keypoints

    return lift


def test_a_planted_sleep_is_host_bound() -> None:
    found = timed(working(0.008))
    assert found.host.bound
    assert found.host.idle_share is not None
    assert 0.3 < found.host.idle_share < 0.8  # two thirds, less what other load takes
    assert any(line.startswith("host-bound: for ") for line in condition_lines(found))


def test_computing_is_not() -> None:
    found = timed(working(0.0))
    assert not found.host.bound, found.host
    assert not any("host-bound" in line for line in condition_lines(found))


def test_computing_in_a_pool_is_not() -> None:
    with ThreadPoolExecutor(1) as pool:

        def lift(keypoints: FloatArray) -> FloatArray:
            pool.submit(busy, 0.004).result()
            return keypoints

        assert not timed(lift).host.bound


def test_threads_that_cannot_be_asked_say_nothing(tmp_path: Path) -> None:
    assert thread_seconds(tmp_path / "gone") is None
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "schedstat").write_text("0 0 0\n")  # a system that keeps no account
    assert thread_seconds(tmp_path) is None
    (tmp_path / "1" / "schedstat").write_text("2000000000 500000000 7\n")
    assert thread_seconds(tmp_path) == {"1": (2.0, 0.5)}


@pytest.mark.parametrize(
    ("ran", "waited", "idle"),
    [(0.0, 0.0, 1.0), (0.5, 0.0, 0.5), (0.3, 0.2, 0.5), (0.7, 0.3, 0.0), (0.2, 1.0, 0.0)],
)
def test_idle_is_what_no_thread_used(ran: float, waited: float, idle: float) -> None:
    clock = iter((0.0, 1.0))
    before = {"1": ThreadSeconds(3.0, 1.0)}
    after = {"1": ThreadSeconds(3.0 + ran, 1.0 + waited), "2": ThreadSeconds(0.0, 0.0)}
    account = iter((before, after))
    with Idle(lambda: next(clock), lambda: next(account)) as watched:
        pass
    assert watched.share == pytest.approx(idle)
    assert watched.waited == pytest.approx(waited)


def test_waiting_is_of_all_threads_that_may_have_waited_for_each_other() -> None:
    clock = iter((0.0, 1.0))
    account = iter(({}, {"1": ThreadSeconds(0.5, 0.2), "2": ThreadSeconds(0.5, 0.3)}))
    with Idle(lambda: next(clock), lambda: next(account)) as watched:
        pass
    assert watched.waited == pytest.approx(0.5)


def test_waiting_and_the_yardstick_are_told_of_the_host_alone() -> None:
    measured = measure(HostBound(lambda keypoints: keypoints, CLIP), Effort(0.001, 0.001, 5))
    idle, yardstick = Idle(), Yardstick()
    idle.share, idle.waited = 0.1, 0.4
    yardstick()
    on_host, on_device = (judge_host(measured, idle, each) for each in (yardstick, None))
    assert (on_host.waited_share, on_host.yardstick_ms) == (0.4, yardstick.best_ms)
    assert (on_device.waited_share, on_device.yardstick_ms) == (None, None)


def test_a_measurement_keeps_its_yardstick() -> None:
    found = timed(working(0.0))
    assert found.sample.yardstick == found.host.yardstick_ms
    assert found.sample.yardstick is not None
    assert 0.0 < found.sample.yardstick < found.total.best  # far less than a call of 4 ms


class Device:
    """A made-up device: starting takes the host so long, the work itself so long."""

    def __init__(self, start_s: float, work_s: float) -> None:
        self.settings: dict[str, Any] = {}
        self.now = 0.0
        self._start, self._work = start_s, work_s
        self._ready = 0.0

    def upload(self) -> None: ...

    def enqueue(self) -> None:
        self.now += self._start
        self._ready = self.now + self._work

    def compute(self) -> None:
        self.enqueue()
        self._wait()

    def download(self) -> FloatArray:
        self._wait()
        return CLIP

    def _wait(self) -> None:
        self.now = max(self.now, self._ready)


@pytest.mark.parametrize(
    ("start_s", "bound"), [(0.00001, False), (0.002, False), (0.005, True), (0.05, True)]
)
def test_launches_that_take_longer_than_the_work(start_s: float, bound: bool) -> None:
    device = Device(start_s, 0.003)
    measured = measure(device, Effort(0.1, 100.0, 30), lambda: device.now)
    assert measured.launch_ms == pytest.approx(1e3 * start_s)
    idle = Idle()
    idle.share = 0.9  # threads that wait for a device
    host = judge_host(measured, idle, yardstick=None)
    assert host.bound is bound
    assert host.launch_share == pytest.approx(start_s / (start_s + 0.003))
    assert bool(host.why) is bound


def test_the_warm_up_lasts_until_times_settle() -> None:
    """A device that gets faster for a while, as one whose clock rises."""
    now = SimpleNamespace(s=0.0, calls=0)

    class Rising:
        settings: dict[str, Any] = {}  # noqa: RUF012

        def upload(self) -> None: ...

        def compute(self) -> None:
            now.calls += 1
            now.s += 0.010 if now.calls > 40 else 0.030 - 0.0005 * now.calls

        def download(self) -> FloatArray:
            return CLIP

    found = measure(Rising(), Effort(0.1, 100.0, 20), lambda: now.s)
    assert found.warmup.settled
    assert found.total.p99 < 1.15 * found.total.best
    assert found.warmup.seconds > 0.5


def test_a_warm_up_that_never_settles_ends_and_is_told() -> None:
    now = SimpleNamespace(s=0.0, calls=0)

    def slower() -> None:
        now.calls += 1
        now.s += 0.001 * now.calls

    bound: Bound = HostBound(lambda keypoints: (slower(), keypoints)[1], CLIP)
    found = measure(bound, Effort(0.1, 1.0, 5), lambda: now.s)
    assert not found.warmup.settled
    assert 1.0 <= found.warmup.seconds < 1.2


def test_peak_memory_is_of_this_runtime() -> None:
    """What an earlier one had and gave back does not count, where Linux can forget it."""

    def hungry(size: int) -> Callable[[], Bound]:
        def bind() -> Bound:
            np.ones(size, np.float64)  # touched, and gone
            return HostBound(lambda keypoints: keypoints, CLIP)

        return bind

    effort = Effort(0.01, 0.02, 10)
    large = time_bound(hungry(40_000_000), 1, 2, effort).host_peak_mib  # 305 MiB
    small = time_bound(hungry(1), 1, 2, effort).host_peak_mib
    assert large - small > 200
