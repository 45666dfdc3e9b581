"""Streams that a robot may well feed: odd numbers, odd times, crowds, people who come and go; each
against the offline oracle."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from policy_oracle import Oracle, Settings, stand_in_network
from resampling_oracle import resampled
from runtime_api import BAD_ARGUMENT, NOT_READY, Lifter, RuntimeFailure, Stream
from runtime_failures import fails
from stream_driving import ATOL, Array, assert_poses, drive, recording, with_holes

FRAMES = 60
SIZE = {"keypoints": "h36m17", "width": 1920, "height": 1080}
INT64 = np.iinfo(np.int64)
NOW = 1.75e9  # seconds since 1970, which float64 holds to 0.24 us

EVEN = np.arange(FRAMES) / 30
#: A camera that goes from 30 frames a second to 240 and down to 5.
CHANGING = np.cumsum(np.repeat([1 / 30, 1 / 240, 1 / 5], FRAMES // 3))
SMOOTH: dict[str, Any] = {"smoothing": 0.4}
POLICIES: tuple[dict[str, Any], ...] = (
    {"policy": "last"},
    {"policy": "center"},
    {"policy": "lag", "lag": 8},
    {"policy": "blend", "hop": 4},
)

#: Name to what differs from one person in frames 0 to 59: arguments of `drive`, then options.
ODD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "first frame negative": ({"first": -(10**12)}, {}),
    "frames at the end of int64": ({"first": INT64.max - FRAMES + 1}, {}),
    "frames at its beginning": ({"first": INT64.min}, {}),
    "first time negative": ({"times": EVEN - 100}, SMOOTH),
    "times since 1970": ({"times": EVEN + NOW}, SMOOTH),
    "times that are all the same": ({"times": np.zeros(FRAMES)}, {}),
    "a rate that changes": ({"times": CHANGING}, SMOOTH),
    "12.5 frames a second": ({"times": np.arange(FRAMES) / 12.5}, {"rate": 12.5, **SMOOTH}),
    "seen in every tenth frame": ({"absent": set(range(FRAMES)) - set(range(0, FRAMES, 10))}, {}),
    "away inside a window": ({"absent": set(range(22, 26))}, {}),
    "away, smoothed": ({"absent": set(range(22, 26)), "times": EVEN}, SMOOTH),
    "metres and flip": ({}, {"height_m": 1.8, "flip": 1}),
}


def _last_seen(absent: set[int]) -> int:
    return max(set(range(FRAMES)) - absent)


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("name", ODD)
def test_odd_streams(name: str, policy: dict[str, Any], stand_in_lifter: Lifter) -> None:
    driving, options = ODD[name]
    chosen = Settings(**{"window": 9, **policy, **options})
    values = with_holes(4, recording(4, FRAMES), 0.05)
    stream = stand_in_lifter.stream(**chosen.options())
    found = drive(stand_in_lifter, stream, {0: values}, [1, 7, 2], **driving)[0]
    stream.close()
    absent: set[int] = driving.get("absent", set())
    holed = values.copy()
    holed[sorted(absent)] = np.nan
    known = holed[: _last_seen(absent) + 1]
    times = driving.get("times")
    assert_poses(found, Oracle(known, stand_in_network, chosen).poses(times), ATOL)


@pytest.mark.parametrize(
    "options",
    [
        {"window": 5, "hop": 12},
        {"window": 5, "hop": 12, "policy": "center"},
        {"window": 1, "hop": 59},
        {"window": 5, "hop": 1000},
        {"window": 9, "policy": "lag", "lag": 0},
        {"window": 27, "policy": "lag", "lag": 26, "hop": 27},
        *({"window": 9, "policy": "blend", "hop": hop} for hop in (5, 7, 8)),
        {"window": 2, "policy": "blend"},
    ],
    ids=str,
)
def test_hops_that_do_not_divide(options: dict[str, Any], stand_in_lifter: Lifter) -> None:
    chosen = Settings(**options)
    values = recording(5, FRAMES)
    stream = stand_in_lifter.stream(**chosen.options())
    found = drive(stand_in_lifter, stream, {0: values}, [3])[0]
    assert_poses(found, Oracle(values, stand_in_network, chosen).poses(), ATOL)


@pytest.mark.parametrize("policy", POLICIES[:3], ids=str)
@pytest.mark.parametrize(
    ("rate", "model_rate"), [(12.5, 50), (240, 50), (1, 50), (30, 29.97), (0.5, 240), (100, 10)]
)
def test_any_two_rates(
    rate: float, model_rate: float, policy: dict[str, Any], stand_in_lifter: Lifter
) -> None:
    """One frame a second for a network of 50 is no absence, though 49 of its frames lie between."""
    rng = np.random.default_rng(0)
    times = NOW + np.arange(FRAMES) / rate + rng.uniform(0, 0.2, FRAMES) / rate
    chosen = Settings(**{"window": 9, "rate": rate, "model_rate": model_rate, **policy})
    absent = {20, 21, 40}
    values = with_holes(7, recording(7, FRAMES), 0.05)
    stream = stand_in_lifter.stream(**chosen.options())
    found = drive(stand_in_lifter, stream, {0: values}, [4, 1], absent=absent, times=times)[0]
    values[sorted(absent)] = np.nan
    for frame in sorted(absent):  # stamped between their neighbours
        after = next(i for i in range(frame, FRAMES) if i not in absent)
        times[frame] = times[frame - 1] + (times[after] - times[frame - 1]) / (after - frame + 1)
    # Times of this size are rounded to 0.24 us, at a speed of up to 18 pixels a frame.
    assert_poses(found, resampled(values, times, stand_in_network, chosen), 1e-4)


def test_no_hop_is_one(stand_in_lifter: Lifter) -> None:
    values = recording(5, 12)
    found = [
        drive(stand_in_lifter, stand_in_lifter.stream(**SIZE, hop=hop), {0: values}, [5])[0]
        for hop in (0, 1)
    ]
    assert sorted(found[0]) == list(range(12))
    assert_poses(found[0], {frame: pose.joints for frame, pose in found[1].items()}, 0)


def test_a_crowd(stand_in_lifter: Lifter) -> None:
    """40 persons of ids all over the range, each with a length of their own."""
    chosen = Settings(window=9, policy="center", flip=1)
    ids = [int(i) for i in np.random.default_rng(0).choice(2**31 - 1, 40, replace=False)]
    people = {who: with_holes(turn, recording(turn, 11 + turn)) for turn, who in enumerate(ids)}
    stream = stand_in_lifter.stream(**chosen.options(), max_persons=40)
    found = drive(stand_in_lifter, stream, people, [5])
    for who, values in people.items():
        assert_poses(found[who], Oracle(values, stand_in_network, chosen).poses(), ATOL)
    stream.close()


def _push(stream: Stream, values: Array, first: int, person: int = 7) -> None:
    for offset, points in enumerate(values):
        stream.push(first + offset, points, person)


def _take(lifter: Lifter, stream: Stream, first: int) -> dict[int, Any]:
    lifter.step()
    return {pose.frame - first: pose for pose in stream.poses()}


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("leave", ["end", "flush", "away"])
def test_an_id_is_given_again(leave: str, policy: dict[str, Any], stand_in_lifter: Lifter) -> None:
    """Nothing of the first person is in the second one's poses, nor in their height."""
    chosen = Settings(**{"window": 9, "height_m": 1.7, **policy})
    stream = stand_in_lifter.stream(**chosen.options())
    first, second = recording(1, 20), recording(2, 20)
    _push(stream, first, 0)
    if leave == "end":
        stream.end(7)
        fails(lambda: stream.end(7), BAD_ARGUMENT, "person 7 is not in this stream")
    elif leave == "flush":
        stream.flush()
        stream.flush()
    start = 10_000 if leave == "away" else 0
    if leave != "away":
        found = _take(stand_in_lifter, stream, 0)
        assert_poses(found, Oracle(first, stand_in_network, chosen).poses(), ATOL)
    _push(stream, second, start)
    stream.flush()
    found = _take(stand_in_lifter, stream, start)
    of_second = {frame: pose for frame, pose in found.items() if frame >= 0}
    assert_poses(of_second, Oracle(second, stand_in_network, chosen).poses(), ATOL)
    stream.flush()
    assert stand_in_lifter.step() == 0
    stream.close()


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_reset_in_the_middle(policy: dict[str, Any], stand_in_lifter: Lifter) -> None:
    chosen = Settings(**{"window": 9, "smoothing": 0.4, "rate": 30.0, **policy})
    stream = stand_in_lifter.stream(**chosen.options())
    values = recording(3, 40)
    _push(stream, values[:15], 0)
    stand_in_lifter.step()
    _push(stream, values[15:18], 15)
    stream.reset(7)
    assert stream.ready() == 0
    _push(stream, values[18:], 18)
    stream.flush()
    found = _take(stand_in_lifter, stream, 18)
    expected = Oracle(values[18:], stand_in_network, chosen).poses(np.arange(18, 40) / 30)
    assert_poses(found, expected, ATOL)
    stream.close()


def test_frames_filled_in_between_two_that_are_close(stand_in_lifter: Lifter) -> None:
    """Three times between two stamps a microsecond apart, of which float64 holds none: the filter
    divides by the time between them."""
    stream = stand_in_lifter.stream(**SIZE, window=3, smoothing=0.5)
    values = recording(1, 2)
    stream.push(0, values[0], 0, NOW)
    stream.push(31, values[1], 0, NOW + 1.2e-6)
    stand_in_lifter.step()
    poses = list(stream.poses())
    assert len(poses) == 32
    assert all(np.isfinite(pose.joints).all() for pose in poses)
    stream.close()


def test_what_was_not_found_may_be_anywhere(stand_in_lifter: Lifter) -> None:
    """A detector's numbers for a keypoint of no confidence are no coordinates."""
    values = recording(1, 3, columns=3)
    stream = stand_in_lifter.stream(**SIZE, min_confidence=0.5)
    stream.push(0, values[0])
    values[1, 4] = (1e9, -3e38, 0.0)
    values[1, 5] = (7e5, 7e5, 0.49)
    stream.push(1, values[1])
    values[2, 4] = (1e9, 500, 0.5)
    fails(lambda: stream.push(2, values[2]), BAD_ARGUMENT, "keypoint 4 is at (1e+09, 500)")
    stand_in_lifter.step()
    assert [pose.filled for pose in stream.poses()] == [0, 1 << 4 | 1 << 5]
    stream.close()


def test_a_step_ends_though_the_camera_is_faster(
    stand_in_lifter: Lifter, stand_in_words: pytest.MonkeyPatch
) -> None:
    """What comes while a step runs waits for the next one; nothing of it is lost."""
    stand_in_words.setenv("STAND_IN_ORT", "sleep=5")
    stream = stand_in_lifter.stream(**SIZE, window=1)
    values = recording(1, 1)[0]
    running = threading.Event()
    running.set()
    pushed = 0

    def camera() -> None:
        nonlocal pushed
        while running.is_set() and pushed < 60_000:
            try:
                stream.push(pushed, values)
                pushed += 1
            except RuntimeFailure as failure:  # 16,384 wait
                assert failure.code == NOT_READY  # noqa: PT017
                time.sleep(0.001)

    thread = threading.Thread(target=camera)
    thread.start()
    while pushed < 1000:
        time.sleep(0.001)
    lifted = stand_in_lifter.step()
    assert running.is_set()
    assert thread.is_alive()  # it is not the camera that ended
    assert 1000 <= lifted <= 16384
    running.clear()
    thread.join()
    stand_in_words.delenv("STAND_IN_ORT")
    lifted += stand_in_lifter.step()
    assert [pose.frame for pose in stream.poses()] == list(range(pushed))
    assert lifted == pushed
    stream.close()
