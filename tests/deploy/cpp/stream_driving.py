"""Recordings pushed into streams in any chunks, and what came out by person and frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from runtime_api import Lifter, Pose, Stream

Array = npt.NDArray[Any]
#: float32 poses of size 1 and the float32 sums of the stand-in network.
ATOL = 2e-6


def recording(seed: int, frames: int, joints: int = 17, *, columns: int = 2) -> Array:
    """A person who moves smoothly within a 1920 x 1080 image: (frames, joints, columns) pixels."""
    rng = np.random.default_rng(seed)
    places = rng.uniform((600, 300), (1200, 800), (1, joints, 2))
    phases = rng.uniform(0, 6, (1, joints, 2))
    speeds = rng.uniform(0.02, 0.2, (1, joints, 2))
    times = np.arange(frames)[:, None, None]
    points = places + 90 * np.sin(phases + speeds * times)
    if columns == 3:
        points = np.concatenate([points, rng.uniform(0.5, 1, (frames, joints, 1))], axis=-1)
    values: Array = points.astype(np.float32)
    return values


def with_holes(seed: int, values: Array, share: float = 0.1) -> Array:
    """Some keypoints not found for 1 to 4 frames, in each of the ways that detectors say so."""
    rng = np.random.default_rng(seed)
    holed: Array = values.copy()
    frames, joints = values.shape[:2]
    ways: list[Any] = [np.nan, (0, 0), (-1, -1), np.inf]
    for frame, joint in zip(*np.nonzero(rng.random((frames, joints)) < share), strict=True):
        holed[frame : frame + rng.integers(1, 5), joint, :2] = ways[rng.integers(len(ways))]
    if values.shape[-1] == 3:
        holed[..., 2] = np.where(rng.random((frames, joints)) < share, 0.0, holed[..., 2])
    return holed


def drive(
    lifter: Lifter,
    stream: Stream,
    people: dict[int, Array],
    chunks: list[int],
    *,
    absent: set[int] | None = None,
    times: Array | None = None,
    first: int = 0,
) -> dict[int, dict[int, Pose]]:
    """Push everybody frame by frame, step after each chunk, flush at the end.

    Args:
        people: person to (frames, joints, columns).
        chunks: numbers of frames between steps, repeated as long as there are frames.
        absent: frames that nobody is pushed in.
        times: of each frame, seconds.
        first: number of the first frame.

    Returns:
        person to frame to pose, in which every frame came once and in order.
    """
    frames = max(len(values) for values in people.values())
    found: dict[int, dict[int, Pose]] = {person: {} for person in people}
    newest = dict.fromkeys(people, -1)

    def poll() -> None:
        for pose in stream.poses():
            assert pose.frame - first > newest[pose.person]
            newest[pose.person] = pose.frame - first
            found[pose.person][pose.frame - first] = pose

    left = chunks[0]
    turn = 0
    for frame in range(frames):
        for person, values in people.items():
            if frame < len(values) and frame not in (absent or ()):
                time = float("nan") if times is None else float(times[frame])
                stream.push(first + frame, values[frame], person, time)
        left -= 1
        if left == 0:
            lifter.step()
            poll()
            turn += 1
            left = chunks[turn % len(chunks)]
    stream.flush()
    lifter.step()
    poll()
    return found


def assert_poses(found: dict[int, Pose], expected: dict[int, Array], atol: float) -> None:
    assert sorted(found) == sorted(expected)
    if expected:
        got = np.stack([found[frame].joints for frame in sorted(found)])
        want = np.stack([expected[frame] for frame in sorted(expected)])
        np.testing.assert_allclose(got, want, rtol=0, atol=atol)
