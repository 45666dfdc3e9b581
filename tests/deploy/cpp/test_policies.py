"""Every policy, window, hop and chunking against the offline oracle, with the stand-in network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policy_oracle import Oracle, Settings, stand_in_network
from runtime_api import Lifter
from stream_driving import ATOL, assert_poses, drive, recording, with_holes

BASE: dict[str, Any] = {"window": 9}
POLICIES: tuple[dict[str, Any], ...] = (
    {"policy": "last"},
    {"policy": "center"},
    {"policy": "lag", "lag": 2},
    {"policy": "lag", "lag": 8},
    {"policy": "blend"},
    {"policy": "blend", "hop": 4},
)
VARIED: tuple[dict[str, Any], ...] = (
    {},
    {"window": 1},
    {"window": 8},
    {"window": 27},
    {"hop": 3},
    {"flip": 1},
    {"height_m": 1.75},
    {"smoothing": 0.4, "rate": 50.0},
    {"max_gap": 3},
)


def compare(lifter: Lifter, values: Any, chosen: Settings, chunks: list[int]) -> None:
    stream = lifter.stream(**chosen.options())
    found = drive(lifter, stream, {0: values}, chunks)[0]
    times = np.arange(len(values)) / chosen.rate if chosen.rate else None
    assert_poses(found, Oracle(values, stand_in_network, chosen).poses(times), ATOL)
    stream.close()


@pytest.mark.parametrize("varied", VARIED, ids=str)
@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_policies(policy: dict[str, Any], varied: dict[str, Any], stand_in_lifter: Lifter) -> None:
    chosen = Settings(**{**BASE, **policy, **varied})
    if chosen.policy == "lag" and chosen.lag >= chosen.window:
        chosen.lag = chosen.window - 1
    if chosen.policy == "blend":
        chosen.hop = min(chosen.hop, max(1, chosen.window // 2))
    for frames in (1, 2, 40):
        compare(stand_in_lifter, recording(3, frames), chosen, [1])


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("chunks", [[1], [7], [1000], [1, 5, 2]], ids=str)
def test_chunking_does_not_matter(
    policy: dict[str, Any], chunks: list[int], stand_in_lifter: Lifter
) -> None:
    values = with_holes(1, recording(2, 60))
    compare(stand_in_lifter, values, Settings(**{**BASE, **policy}), chunks)


@st.composite
def streams(draw: st.DrawFn) -> tuple[Settings, int, list[int], int, float]:
    window = draw(st.integers(1, 27))
    policy = draw(st.sampled_from(["last", "center", "lag", "blend"]))
    most = max(1, window - 1) if policy == "blend" else 6
    chosen = Settings(
        window=window,
        policy=policy,
        hop=draw(st.integers(1, most)),
        lag=draw(st.integers(0, window - 1)) if policy == "lag" else 0,
        flip=draw(st.integers(0, 1)),
        max_gap=draw(st.sampled_from([0, 1, 4, 50])),
    )
    people = draw(st.integers(1, 8))
    chunks = draw(st.lists(st.integers(1, 80), min_size=1, max_size=4))
    share = draw(st.sampled_from([0.0, 0.05, 0.4]))
    return chosen, people, chunks, draw(st.integers(0, 10**6)), share


@given(streams())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_stream(
    stand_in_lifter: Lifter, drawn: tuple[Settings, int, list[int], int, float]
) -> None:
    """One to eight persons of different lengths, holes, any policy and chunking."""
    chosen, count, chunks, seed, share = drawn
    people = {
        person * 3: with_holes(seed + person, recording(seed + person, 20 + 7 * person), share)
        for person in range(count)
    }
    stream = stand_in_lifter.stream(**chosen.options())
    found = drive(stand_in_lifter, stream, people, chunks)
    for person, values in people.items():
        assert_poses(found[person], Oracle(values, stand_in_network, chosen).poses(), ATOL)
    stream.close()


@pytest.mark.parametrize("policy", ["last", "center", "blend"])
@pytest.mark.parametrize("flip", [0, 1])
def test_many_windows_at_once(policy: str, flip: int, stand_in_lifter: Lifter) -> None:
    """More due windows than fit a batch."""
    chosen = Settings(window=5, policy=policy, flip=flip)
    compare(stand_in_lifter, recording(8, 300), chosen, [1000])


def test_two_streams_share_a_step(stand_in_lifter: Lifter) -> None:
    """Streams of other windows and sizes in one step do not mix."""
    first = Settings(window=5, policy="center")
    second = Settings(window=12, width=1280, height=720, policy="last")
    values = recording(5, 40)
    streams = [stand_in_lifter.stream(**chosen.options()) for chosen in (first, second)]
    for frame, points in enumerate(values):
        for stream in streams:
            stream.push(frame, points)
        if frame % 6 == 0:
            stand_in_lifter.step()
    for stream in streams:
        stream.flush()
    stand_in_lifter.step()
    for chosen, stream in zip((first, second), streams, strict=True):
        found = {pose.frame: pose for pose in stream.poses()}
        assert_poses(found, Oracle(values, stand_in_network, chosen).poses(), ATOL)
        stream.close()


@pytest.mark.parametrize(
    ("options", "frames", "seconds"),
    [
        ({"policy": "last"}, 0, 0.0),
        ({"policy": "center", "window": 27}, 13, 13 / 50),
        ({"policy": "center", "window": 8}, 3, 3 / 50),
        ({"policy": "lag", "lag": 5, "window": 9}, 5, 0.1),
        ({"policy": "blend", "window": 9, "hop": 3}, 8, 8 / 50),
        # 0.159 s at 50 frames a second are 8 frames.
        ({"policy": "last", "smoothing": 0.1}, 8, 1 / (2 * np.pi)),
        # 4 frames at the model's 25 a second are 8 of the input.
        ({"policy": "lag", "lag": 4, "model_rate": 25.0}, 8, 4 / 25),
    ],
)
def test_delay_is_told(
    options: dict[str, Any], frames: int, seconds: float, stand_in_lifter: Lifter
) -> None:
    stream = stand_in_lifter.stream(
        keypoints="h36m17", width=1920, height=1080, rate=50.0, **options
    )
    assert stream.delay() == (frames, pytest.approx(seconds))


@pytest.mark.parametrize("policy", ["last", "center", "lag", "blend"])
def test_delay_is_kept(policy: str, stand_in_lifter: Lifter) -> None:
    """After each frame the newest pose lies behind by what delay() says, and no more."""
    stream = stand_in_lifter.stream(
        keypoints="h36m17", width=1920, height=1080, window=9, policy=policy,
        lag=4 if policy == "lag" else 0, hop=2 if policy == "blend" else 1,
    )  # fmt: skip
    delay, _ = stream.delay()
    newest = -1
    for frame, points in enumerate(recording(4, 40)):
        stream.push(frame, points)
        stand_in_lifter.step()
        newest = max([newest, *(pose.frame for pose in stream.poses())])
        assert newest >= frame - delay
