"""What a stream does, computed offline with NumPy from the whole recording: the independent oracle.

It knows nothing of rings, steps or batches. Gaps are filled and joints converted by
``posemamba.pose.keypoints``, windows cut by slices, and the policies are their definitions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError
from posemamba.pose.keypoints import detections_to_h36m
from posemamba.pose.preprocess import flip, normalize_2d

Array = npt.NDArray[Any]
#: (batch, frames, 17, 2) to (batch, frames, 17, 3)
Network = Callable[[Array], Array]


def stand_in_network(clips: Array) -> Array:
    """As deploy/cpp/tests/stand_in_network.h."""
    batch, frames = clips.shape[:2]
    poses = np.empty((batch, frames, 17, 3), dtype=np.float32)
    before = clips[:, 0, :, 0].astype(np.float32)
    for t in range(frames):
        before = np.float32(0.8) * before + np.float32(0.2) * clips[:, t, :, 0]
        poses[:, t, :, 0] = clips[:, t, :, 0] + np.float32(0.1) * clips[:, -1, :, 0]
        poses[:, t, :, 1] = clips[:, t, :, 1] + 0.01 * np.arange(17)
        poses[:, t, :, 2] = before + np.float32(0.001 * (frames - t))
    return poses


@dataclass
class Settings:
    """A stream's options, by the names of the C interface."""

    keypoints: str = "h36m17"
    width: int = 1920
    height: int = 1080
    window: int = 27
    hop: int = 1
    policy: str = "last"
    lag: int = 0
    rate: float = 0.0
    model_rate: float = 0.0
    min_confidence: float = 0.0
    flip: int = 0
    smoothing: float = 0.0
    height_m: float = 0.0
    max_gap: int = 0

    def options(self) -> dict[str, Any]:
        return vars(self)

    @property
    def gap(self) -> int:
        return self.max_gap or max(self.window, 30)

    @property
    def behind(self) -> int:
        """Frames of a window after the one whose pose is given."""
        return {"last": 0, "center": (self.window - 1) // 2}.get(self.policy, self.lag)


class Oracle:
    """Poses of one person's unbroken track.

    Args:
        values: (frames, joints, 2 or 3) pixels, NaN for frames left out.
        network: what lifts.
        settings: of the stream.
        shortest: frames that the network takes at least.
    """

    def __init__(
        self, values: Array, network: Network, settings: Settings, shortest: int = 1
    ) -> None:
        points = values.astype(np.float64)
        unseen = ~np.isfinite(points[..., :2]).all(axis=-1)
        unseen |= (points[..., :2] == 0).all(axis=-1) | (points[..., :2] < 0).all(axis=-1)
        if points.shape[-1] == 3:
            confidence = points[..., 2].astype(np.float32)
            unseen |= ~((confidence > 0) & (confidence >= np.float32(settings.min_confidence)))
        self.points = np.where(unseen[..., None], np.nan, points[..., :2])
        self.network = network
        self.settings = settings
        self.shortest = shortest

    def _lift(self, start: int, stop: int) -> Array | None:
        """The network's poses of frames start to stop, (frames, 17, 3); None: a joint lacks."""
        s = self.settings
        first = max(0, start - s.gap)
        try:
            joints = detections_to_h36m(self.points[first:stop], s.keypoints)[start - first :]
        except InputError:
            return None
        clip = normalize_2d(joints, s.width, s.height).astype(np.float32)
        padding = max(0, self.shortest - len(clip))
        clip = np.concatenate([np.repeat(clip[:1], padding, axis=0), clip])[None]
        poses = self.network(clip)
        if s.flip:
            poses = (poses + flip(self.network(flip(clip)))) / 2
        return poses[0, padding:].astype(np.float64)

    def raw(self) -> dict[int, Array]:
        """Frame to the network's pose of it, by the policy."""
        return self._blend() if self.settings.policy == "blend" else self._lag()

    def _lag(self) -> dict[int, Array]:
        s = self.settings
        poses = {}
        for frame in range(0, len(self.points), s.hop):
            start = max(0, frame - (s.window - 1 - s.behind))
            lifted = self._lift(start, min(frame + s.behind + 1, len(self.points)))
            if lifted is not None:
                poses[frame] = lifted[frame - start]
        return poses

    def _blend(self) -> dict[int, Array]:
        s = self.settings
        total = len(self.points)
        sums = np.zeros((total, 17, 3))
        weights = np.zeros(total)
        edge = np.minimum(np.arange(s.window), np.arange(s.window)[::-1]) + 0.5
        ramp = min(s.window / 2, max(s.window - s.hop, 1))  # where windows come in and go out
        hann = np.sin(np.pi / 2 * np.minimum(edge / ramp, 1.0)) ** 2
        start = 0
        while start + s.window <= total:
            lifted = self._lift(start, start + s.window)
            if lifted is not None:
                sums[start : start + s.window] += hann[:, None, None] * lifted
                weights[start : start + s.window] += hann
            start += s.hop
        if start < total:  # the rest: one whole window that comes in where the others end
            begin = max(0, total - s.window)
            lifted = self._lift(begin, total)
            if lifted is not None:
                fade = np.minimum((np.arange(total - start) + 0.5) / max(s.window - s.hop, 1), 1.0)
                weight = np.sin(np.pi / 2 * fade) ** 2
                sums[start:] += weight[:, None, None] * lifted[start - begin :]
                weights[start:] += weight
        return {i: sums[i] / weights[i] for i in range(total) if weights[i] > 0}

    def poses(self, times: Array | None = None) -> dict[int, Array]:
        """Frame to its pose as the stream gives it: root at 0, smoothed, in metres."""
        s = self.settings
        result = {}
        smooth: Smoother | None = Smoother(s.smoothing) if s.smoothing else None
        heights: list[float] = []
        for frame, raw in sorted(self.raw().items()):
            pose = raw - (0 if s.flip else raw[0])
            pose[0] = 0.0
            if smooth is not None:
                assert times is not None
                pose = smooth(pose, times[frame])
            if s.height_m:
                if len(heights) < 256:
                    heights.append(_height(pose))
                pose = pose * (0.961 * s.height_m / np.median(heights))
            result[frame] = pose
        return result


class Smoother:
    """The One-Euro filter by its paper, cutoff 1 Hz at rest and for the speed."""

    def __init__(self, beta: float) -> None:
        self.beta = beta
        self.last: Array | None = None
        self.speed: Array | None = None
        self.time = 0.0

    def __call__(self, value: Array, time: float) -> Array:
        if self.last is None or self.speed is None:
            self.last, self.speed, self.time = value, np.zeros_like(value), time
            return value
        step = time - self.time

        def alpha(cutoff: Array | float) -> Array:
            return np.asarray(1.0 / (1.0 + (1.0 / (2 * np.pi * np.asarray(cutoff))) / step))

        share = alpha(1.0)
        self.speed = share * (value - self.last) / step + (1 - share) * self.speed
        share = alpha(1.0 + self.beta * np.abs(self.speed))
        self.last = share * value + (1 - share) * self.last
        self.time = time
        return self.last


def _height(pose: Array) -> float:
    def bone(a: int, b: int) -> float:
        return float(np.linalg.norm(pose[a] - pose[b]))

    legs = bone(1, 2) + bone(2, 3) + bone(4, 5) + bone(5, 6)
    return bone(10, 9) + bone(9, 8) + bone(8, 7) + bone(7, 0) + legs / 2
