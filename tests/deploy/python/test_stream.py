"""Streams give what the policies say of the whole recording, however it is fed; and their verbs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stream_oracle import blended, lagging, normalised, rooted, with_flip

from posemamba.pose.clips import bundled_clips
from posemamba.pose.preprocess import denormalize_2d
from posemamba_runtime import BadArgument, Lifter, Pose, Stream
from posemamba_runtime._structs import floats

SIZE = (1920, 1080)
#: The issue's bound; float32 sums go in other orders in batches of other sizes.
TOLERANCE = 1e-4
MOST = 8


@pytest.fixture(scope="module")
def lifter(model: Path) -> Lifter:
    return Lifter(model, "onnxruntime-cpu", threads=1)


@pytest.fixture(scope="module")
def people() -> Any:
    """Real movement: (persons, frames, 17, 2) pixels, each person at another time of the clip."""
    clip = next(iter(bundled_clips().values()))
    pixels = denormalize_2d(clip, *SIZE).astype(np.float32)
    return np.stack([pixels[2 * person : 2 * person + 60] for person in range(MOST)])


def feed(
    lifter: Lifter, stream: Stream, keypoints: npt.NDArray[np.float32], step: Callable[[int], bool]
) -> dict[tuple[int, int], Pose]:
    """Push everybody frame by frame, step where asked, flush; the poses by person and frame."""
    poses = {}

    def take() -> None:
        for pose in stream:
            assert (pose.person, pose.frame) not in poses
            poses[pose.person, pose.frame] = pose

    for frame in range(keypoints.shape[1]):
        for person, values in enumerate(keypoints[:, frame]):
            stream.push(values, frame, frame / 30, person)
        if step(frame):
            lifter.step()
            take()
    stream.flush()
    lifter.step()
    take()
    return poses


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_policies(data: st.DataObject, lifter: Lifter, people: Any) -> None:
    frames = data.draw(st.integers(1, 60), "frames")
    persons = data.draw(st.integers(1, MOST), "persons")
    window = data.draw(st.integers(1, 27), "window")
    policy = data.draw(st.sampled_from(["last", "center", "lag", "blend"]), "policy")
    hop = data.draw(st.integers(1, max(window - 1, 1) if policy == "blend" else 9), "hop")
    lag = data.draw(st.integers(0, window - 1), "lag") if policy == "lag" else 0
    flip = data.draw(st.booleans(), "flip")
    steps = data.draw(st.sets(st.integers(0, frames - 1)), "steps")
    stream = lifter.stream(
        "h36m17", SIZE, window=window, hop=hop, policy=policy, lag=lag, flip=flip
    )
    keypoints = people[:persons, :frames]
    got = feed(lifter, stream, keypoints, steps.__contains__)
    network = (with_flip if flip else rooted)(lifter.lift)
    behind = {"last": 0, "center": (window - 1) // 2, "lag": lag, "blend": window - 1}[policy]
    for person in range(persons):
        clip = normalised(keypoints[person], SIZE)
        expected = (
            blended(network, clip, window, hop)
            if policy == "blend"
            else lagging(network, clip, window, behind, hop)
        )
        assert {frame for who, frame in got if who == person} == set(expected)
        for frame, joints in expected.items():
            np.testing.assert_allclose(got[person, frame].joints, joints, atol=TOLERANCE)
            assert not got[person, frame].filled.any()
            assert got[person, frame].timestamp == frame / 30
    assert stream.delay.frames == behind
    assert math.isnan(stream.delay.seconds)


def test_the_delay_is_kept(lifter: Lifter, people: Any) -> None:
    """After each step, the newest pose is no further behind than the stream said."""
    for policy, lag in (("last", 0), ("center", 0), ("lag", 5), ("blend", 0)):
        stream = lifter.stream("h36m17", SIZE, window=9, policy=policy, lag=lag, rate=30)
        assert stream.delay.seconds == pytest.approx(stream.delay.frames / 30)
        for frame in range(20):
            stream.push(people[0, frame], frame)
            lifter.step()
            newest = max((pose.frame for pose in stream), default=None)
            if frame >= stream.delay.frames:
                assert newest is not None
                assert frame - newest <= stream.delay.frames


def test_one_batch_for_everybody(lifter: Lifter, people: Any) -> None:
    streams = [lifter.stream("h36m17", SIZE) for _ in range(2)]
    for stream in streams:
        for person in range(3):
            stream.push(people[person, 0], 0, 0.0, person)
    assert lifter.step() == 6
    assert [stream.ready for stream in streams] == [3, 3]
    assert lifter.step() == 0


def test_joints_that_were_not_found_are_marked(lifter: Lifter, people: Any) -> None:
    stream = lifter.stream("h36m17", SIZE, rate=30)
    stream.push(people[0, 0], 0)
    values = np.concatenate([people[0, 1], np.ones((17, 1))], axis=1)
    for joint, missing in enumerate([(np.nan, np.nan, 1), (0, 0, 1), (-1, -1, 1), (900, 500, 0)]):
        values[joint] = missing
    stream.push(values, 1)
    stream.push(people[0, 3], 3)  # frame 2 was dropped
    lifter.step()
    filled = [np.flatnonzero(pose.filled).tolist() for pose in stream]
    assert filled == [[], [0, 1, 2, 3], list(range(17)), []]


def unaligned(values: Any) -> Any:
    """As in a message with an odd header: C may not read a float there."""
    found = np.frombuffer(b"\0" + values.tobytes(), np.float32, offset=1).reshape(values.shape)
    assert not found.flags.aligned
    assert floats("values", found).flags.aligned
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.astype(np.float64),
        lambda a: a.astype(np.int32),
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: np.asfortranarray(a),
        lambda a: [list(row) for row in a],
        lambda a: memoryview(a),
        lambda a: unaligned(a),
    ],
)
def test_any_layout_of_numbers(change: Callable[[Any], Any], lifter: Lifter) -> None:
    values = np.arange(300, 334, dtype=np.float32).reshape(17, 2)
    poses = []
    for points in (values, change(values)):
        stream = lifter.stream("h36m17", SIZE)
        stream.push(points, 0, 0.0)
        lifter.step()
        poses.append(next(iter(stream)).joints)
    np.testing.assert_array_equal(*poses)


def test_what_is_masked_was_not_found(lifter: Lifter, people: Any) -> None:
    stream = lifter.stream("h36m17", SIZE)
    stream.push(people[0, 0], 0, 0.0)
    for frame, kind in ((1, np.float32), (2, np.int64)):  # which has no NaN
        masked = np.ma.masked_array(people[0, frame].astype(kind), np.zeros((17, 2), bool))
        masked[3, 1] = masked[5, 0] = np.ma.masked
        stream.push(masked, frame, frame / 30)
    lifter.step()
    assert [np.flatnonzero(pose.filled).tolist() for pose in stream] == [[], [3, 5], [3, 5]]


def test_metres(lifter: Lifter, people: Any) -> None:
    heights = {}
    for height in (1.6, 1.8):
        stream = lifter.stream("h36m17", SIZE, rate=30, height_m=height)
        stream.push(people[0, 0], 0)
        lifter.step()
        heights[height] = next(iter(stream)).joints
    np.testing.assert_allclose(heights[1.8], heights[1.6] * 1.8 / 1.6, atol=1e-6)
    joints = heights[1.8].astype(np.float64)
    bones = [(10, 9), (9, 8), (8, 7), (7, 0)]
    legs = [(1, 2), (2, 3), (4, 5), (5, 6)]
    length = sum(np.linalg.norm(joints[a] - joints[b]) for a, b in bones)
    length += sum(np.linalg.norm(joints[a] - joints[b]) for a, b in legs) / 2
    assert length == pytest.approx(0.961 * 1.8, abs=1e-5)


def test_end_and_reset(lifter: Lifter, people: Any) -> None:
    stream = lifter.stream("h36m17", SIZE, window=9, policy="center", rate=30)
    for person in (3, 5):
        stream.push(people[0, 0], 0, person=person)
    stream.end(3)
    assert lifter.step() == 1
    assert [pose.person for pose in stream] == [3]
    stream.reset(5)
    stream.flush()
    assert lifter.step() == 0
    stream.push(people[0, 0], 0, person=5)  # as if never seen
    stream.flush()
    lifter.step()
    stream.reset()
    assert stream.poll() is None


COCO = np.full((17, 3), 0.9, np.float32) * [1000, 600, 1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"values": COCO[:16]}, "16"),
        ({"values": np.ones((17, 4)) * 300}, "4"),
        ({"values": np.ones(34) * 300}, "(34,)"),
        ({"values": COCO.astype(complex)}, "complex"),
        ({"values": [["x", "y"]] * 17}, "no numbers"),
        ({"values": COCO / 2000}, "fractions"),
        ({"values": COCO[:, :2] * 1e6}, "pixels"),
        ({"frame": 0}, "frame"),
        ({"frame": 2**63}, "must fit 64 bits"),
        ({"frame": 2.5}, "whole number"),
        ({"frame": None}, "whole number"),
        ({"timestamp": -1.0}, "timestamp"),
        ({"timestamp": math.inf}, "timestamp"),
        ({"timestamp": "noon"}, "must be a number"),
        ({"person": 2**31}, "must fit 32 bits"),
        ({"person": -1}, "person"),
        ({"person": "Ann"}, "whole number"),
    ],
)
def test_bad_pushes(arguments: dict[str, Any], words: str, lifter: Lifter) -> None:
    stream = lifter.stream("coco17", SIZE)
    stream.push(COCO, 0, 0.0)
    given = {"values": COCO, "frame": 1, "timestamp": 1 / 30, **arguments}
    with pytest.raises(BadArgument) as refused:
        stream.push(**given)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    stream.push(COCO, 1, 1 / 30)  # nothing was changed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keypoints": "coco19"}, "coco19"),
        ({"keypoints": 17}, "keypoints is 17"),
        ({"size": (0, 1080)}, "0 x 1080"),
        ({"size": (1920.0, 1080)}, "width is 1920.0"),
        ({"size": 1920}, "(width, height)"),
        ({"size": (1920, 1080, 3)}, "(width, height)"),
        ({"window": 28}, "28"),
        ({"window": -1}, "window"),
        ({"window": 2**32 + 9}, "must fit 32 bits"),
        ({"hop": -1}, "hop"),
        ({"policy": "newest"}, "newest"),
        ({"policy": "blend", "hop": 27}, "hop"),
        ({"policy": "lag", "lag": 27}, "lag"),
        ({"lag": 3}, "lag"),
        ({"rate": -1}, "rate"),
        ({"rate": math.nan}, "rate"),
        ({"rate": "fast"}, "rate"),
        ({"min_confidence": -0.5}, "min_confidence"),
        ({"max_persons": 0}, "max_persons"),
        ({"smoothing": math.inf}, "smoothing"),
        ({"height_m": 170}, "height_m"),
        ({"max_gap": -1}, "max_gap"),
    ],
)
def test_bad_streams(options: dict[str, Any], words: str, lifter: Lifter) -> None:
    with pytest.raises(BadArgument) as refused:
        lifter.stream(**options)
    assert words in str(refused.value)


def test_a_closed_stream_is_refused(model: Path) -> None:
    lifter = Lifter(model)
    with lifter.stream() as stream:
        stream.push(COCO, 0, 0.0)
    stream.close()
    for call in (
        lambda: stream.push(COCO, 1, 1.0),
        stream.poll,
        stream.flush,
        stream.reset,
        lambda: stream.delay,
        lambda: stream.ready,
        lambda: next(iter(stream)),
    ):
        with pytest.raises(BadArgument, match="closed"):
            call()
    assert lifter.step() == 0
