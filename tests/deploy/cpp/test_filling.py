"""Gaps in time, missing joints, persons who come and go, resampling, memory: what is promised."""

from __future__ import annotations

import numpy as np
import pytest
from policy_oracle import Oracle, Settings, stand_in_network
from runtime_api import BAD_ARGUMENT, NOT_READY, Lifter, RuntimeFailure, Stream
from stream_driving import ATOL, Array, assert_poses, drive, recording

ALL = (1 << 17) - 1
SIZE = {"keypoints": "h36m17", "width": 1920, "height": 1080}


def push_all(stream: Stream, values: Array, frames: list[int], person: int = 0) -> None:
    for frame, points in zip(frames, values, strict=True):
        stream.push(frame, points, person)


@pytest.mark.parametrize("policy", ["last", "center", "blend"])
def test_frames_left_out_are_filled_and_marked(policy: str, stand_in_lifter: Lifter) -> None:
    values = recording(1, 40)
    absent = {5, 6, 17, 30}
    chosen = Settings(window=9, policy=policy)
    found = drive(
        stand_in_lifter, stand_in_lifter.stream(**chosen.options()), {0: values}, [3], absent=absent
    )[0]
    holed = values.copy()
    holed[sorted(absent)] = np.nan
    assert_poses(found, Oracle(holed, stand_in_network, chosen).poses(), ATOL)
    assert {frame for frame, pose in found.items() if pose.filled == ALL} == absent
    assert all(pose.filled in (0, ALL) for pose in found.values())


def test_a_joint_not_found_is_marked(stand_in_lifter: Lifter) -> None:
    values = recording(1, 20)
    values[7:9, 13] = 0
    values[4, 2] = np.nan
    stream = stand_in_lifter.stream(**SIZE, window=9)
    found = drive(stand_in_lifter, stream, {0: values}, [1])[0]
    marks = {frame: pose.filled for frame, pose in found.items() if pose.filled}
    assert marks == {4: 1 << 2, 7: 1 << 13, 8: 1 << 13}


@pytest.mark.parametrize("away", [31, 1000, 1_000_000, 2**62])
def test_a_long_absence_starts_anew(away: int, stand_in_lifter: Lifter) -> None:
    values = recording(2, 30)
    chosen = Settings(window=9, policy="center")
    stream = stand_in_lifter.stream(**chosen.options())
    push_all(stream, values[:15], list(range(15)))
    push_all(stream, values[15:], [14 + away + 1 + i for i in range(15)])
    stream.flush()
    stand_in_lifter.step()
    found = list(stream.poses())
    assert len(found) == 30
    for part, start, first in ((values[:15], 0, 0), (values[15:], 15, 15 + away)):
        poses = {pose.frame - first: pose for pose in found[start : start + 15]}
        assert_poses(poses, Oracle(part, stand_in_network, chosen).poses(), ATOL)


def test_a_gap_as_long_as_allowed_is_filled(stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE, window=9, max_gap=5)
    values = recording(2, 2)
    push_all(stream, values, [0, 6])
    stand_in_lifter.step()
    assert [pose.frame for pose in stream.poses()] == list(range(7))
    stream.reset()
    push_all(stream, values, [0, 7])
    stand_in_lifter.step()
    assert [pose.frame for pose in stream.poses()] == [0, 7]


def test_never_seen_legs_give_no_pose_and_a_reason(stand_in_lifter: Lifter) -> None:
    values = recording(3, 12)
    values[:, [3, 6]] = 0
    stream = stand_in_lifter.stream(**SIZE, window=9)
    push_all(stream, values, list(range(12)))
    assert stand_in_lifter.step() == 0
    assert stream.poll() is None
    assert "person 0: 'right_ankle' was not found" in stream.runtime.last_error()
    push_all(stream, recording(3, 1), [12])  # once shown, they are held
    stand_in_lifter.step()
    assert [pose.frame for pose in stream.poses()] == [12]


def test_confidence_zero_everywhere_is_named(stand_in_lifter: Lifter) -> None:
    values = recording(3, 3, columns=3)
    values[..., 2] = 0.0
    stream = stand_in_lifter.stream(**SIZE)
    push_all(stream, values, [0, 1, 2])
    stand_in_lifter.step()
    assert stream.poll() is None
    assert "leave the third column out" in stream.runtime.last_error()


def test_a_joint_is_held_for_max_gap_frames(stand_in_lifter: Lifter) -> None:
    values = recording(3, 40)
    values[5:, 16] = np.nan
    stream = stand_in_lifter.stream(**SIZE, window=3, max_gap=10)
    found = drive(stand_in_lifter, stream, {0: values}, [1])[0]
    # Last seen in frame 4, which is at most 10 frames before the first of the window.
    assert max(found) == 4 + 10 + 2


def test_persons_come_and_go(stand_in_lifter: Lifter) -> None:
    """Ids that a tracker counts up for ever; nobody is there for long."""
    chosen = Settings(window=5, policy="center", max_gap=3)
    stream = stand_in_lifter.stream(**chosen.options(), max_persons=2)
    values = recording(6, 10)
    expected = Oracle(values, stand_in_network, chosen).poses()
    found: dict[int, int] = {}
    for person in range(60):
        push_all(stream, values, [20 * person + i for i in range(10)], person)
        stand_in_lifter.step()
        for pose in stream.poses():
            found[pose.person] = found.get(pose.person, 0) + 1
            first = 20 * pose.person
            np.testing.assert_allclose(pose.joints, expected[pose.frame - first], atol=ATOL)
    stream.flush()
    stand_in_lifter.step()
    for pose in stream.poses():
        found[pose.person] += 1
    # Whoever made room gave what was pending.
    assert found == dict.fromkeys(range(60), 10)


def test_one_person_too_many(stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE, max_persons=2)
    values = recording(1, 1)[0]
    for person in (4, 9):
        stream.push(0, values, person)
    with pytest.raises(
        RuntimeFailure, match=r"person 5 is one too many: 2 .* max_persons"
    ) as failure:
        stream.push(1, values, 5)
    assert failure.value.code == BAD_ARGUMENT
    stream.end(4)
    stream.push(1, values, 5)


def test_end_gives_what_is_pending(stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE, window=9, policy="center")
    push_all(stream, recording(1, 6), list(range(6)), 3)
    stand_in_lifter.step()
    assert len(list(stream.poses())) == 2
    stream.end(3)
    stand_in_lifter.step()
    assert [pose.frame for pose in stream.poses()] == [2, 3, 4, 5]
    stream.push(0, recording(1, 1)[0], 3)  # numbers may start again


def test_reset_forgets_one_person(stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE)
    for person in (0, 1):
        push_all(stream, recording(1, 4), [0, 1, 2, 3], person)
    stand_in_lifter.step()
    push_all(stream, recording(1, 1), [4], 0)
    stream.reset(0)
    assert stand_in_lifter.step() == 0
    assert {pose.person for pose in stream.poses()} == {1}
    push_all(stream, recording(1, 1), [0], 0)
    assert stand_in_lifter.step() == 1
    stream.reset()
    assert stream.ready() == 0


def test_resampling_to_half_the_rate(stand_in_lifter: Lifter) -> None:
    """60 frames a second for a network of 30: every second frame is a window, for each phase."""
    values = recording(5, 60)
    stream = stand_in_lifter.stream(**SIZE, window=9, rate=60.0, model_rate=30.0)
    found = drive(stand_in_lifter, stream, {0: values}, [4])[0]
    assert sorted(found) == list(range(60))
    for phase in (0, 1):
        # The frames of one phase alone, to a stream of their own rate.
        part = values[phase::2]
        expected = Oracle(part, stand_in_network, Settings(window=9)).poses()
        for index in range(8, len(part)):  # from the first whole window
            pose = found[2 * index + phase].joints
            np.testing.assert_allclose(pose, expected[index], atol=ATOL)


@pytest.mark.parametrize("policy", ["last", "center", "blend"])
def test_resampling_uneven_times(policy: str, stand_in_lifter: Lifter) -> None:
    """Straight motion seen at uneven times is straight at the model's rate: nothing is invented."""
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.02, 0.05, 50))
    places = rng.uniform(300, 700, (17, 2))
    speed = rng.uniform(-100, 100, (17, 2))
    values = (places + speed * times[:, None, None]).astype(np.float32)
    stream = stand_in_lifter.stream(
        **SIZE,
        window=9,
        policy=policy,
        rate=30.0,
        model_rate=50.0,
        hop=3 if policy == "blend" else 1,
    )
    found = drive(stand_in_lifter, stream, {0: values}, [4], times=times)[0]
    assert sorted(found) == list(range(50))
    clip = (values / 1920 * 2 - [1, 1080 / 1920]).astype(np.float64)
    for frame, pose in found.items():
        if 15 < frame < 35:
            # y of the stand-in's poses is the input's.
            y = clip[frame, :, 1] + 0.01 * np.arange(17)
            np.testing.assert_allclose(pose.joints[:, 1], y - y[0], atol=1e-5)
            assert pose.timestamp == pytest.approx(times[frame])


def test_timestamps_come_from_the_rate(stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE, rate=25.0)
    push_all(stream, recording(1, 3), [10, 12, 13])
    stand_in_lifter.step()
    assert [pose.timestamp for pose in stream.poses()] == pytest.approx([0.4, 0.44, 0.48, 0.52])


def test_metres(stand_in_lifter: Lifter) -> None:
    """A skeleton of the network's own size comes out at the person's height."""
    stream = stand_in_lifter.stream(**SIZE, height_m=1.8)
    values = recording(1, 1)[0]
    stream.push(0, values)
    stand_in_lifter.step()
    (pose,) = stream.poses()
    bones = [(10, 9), (9, 8), (8, 7), (7, 0)]
    legs = [(1, 2), (2, 3), (4, 5), (5, 6)]
    length = {pair: np.linalg.norm(pose.joints[pair[0]] - pose.joints[pair[1]])
              for pair in bones + legs}  # fmt: skip
    chain = sum(length[pair] for pair in bones) + sum(length[pair] for pair in legs) / 2
    assert chain == pytest.approx(0.961 * 1.8, rel=1e-5)


def test_too_much_waits_until_it_is_lifted(stand_in_lifter: Lifter) -> None:
    """16,384 frames without a step, then a sentence; nothing was lost."""
    stream = stand_in_lifter.stream(**SIZE, window=1)
    values = recording(1, 1)[0]
    for frame in range(16384):
        stream.push(frame, values)
    with pytest.raises(
        RuntimeFailure, match=r"16384 frames of person 0 .* pm_lifter_step"
    ) as failure:
        stream.push(16384, values)
    assert failure.value.code == NOT_READY
    assert stand_in_lifter.step() == 16384
    stream.push(16384, values)
    assert stream.ready() == 16384
    stream.close()


def test_many_absences_without_a_step_are_bounded(stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE, window=9)
    values = recording(1, 1)[0]
    for turn in range(1024):
        stream.push(turn * 1000, values)
    with pytest.raises(RuntimeFailure, match=r"1024 tracks .* pm_lifter_step"):
        stream.push(10**9, values)
    assert stand_in_lifter.step() == 1024
    stream.close()
