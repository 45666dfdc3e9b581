"""What a stream must give, from the whole recording at once: each policy in a few lines of NumPy.

Written from the header's words, not from the library's code, which never has the whole recording.
Everything is in frames; nobody is missing, nothing is filled.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
#: (frames, 17, 2) normalised keypoints to (frames, 17, 3).
Network = Callable[[Floats], Floats]

LEFT, RIGHT = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]


def normalised(pixels: npt.ArrayLike, size: tuple[int, int]) -> Floats:
    """x to [-1, 1], y by the same scale."""
    width, height = size
    return 2 * np.asarray(pixels, np.float64) / width - [1, height / width]


def mirrored(values: Floats) -> Floats:
    """The other side of a mirror: x negated, left and right joints exchanged."""
    other = values.copy()
    other[..., 0] *= -1
    other[..., LEFT + RIGHT, :] = other[..., RIGHT + LEFT, :]
    return other


def rooted(network: Network) -> Network:
    """Its poses relative to the root."""

    def lift(clip: Floats) -> Floats:
        poses = np.asarray(network(clip), np.float64)
        return poses - poses[:, :1]

    return lift


def with_flip(network: Network) -> Network:
    """As the authors evaluate: the mean with the mirrored clip, mirrored back, then root := 0."""

    def lift(clip: Floats) -> Floats:
        poses = (network(clip) + mirrored(network(mirrored(clip)))) / 2
        poses[:, 0] = 0
        return poses

    return lift


def lagging(network: Network, clip: Floats, window: int, lag: int, hop: int) -> dict[int, Floats]:
    """Policies "last" (lag 0), "center" and "lag": by frame, its pose in the window that ends
    ``lag`` frames after it; the recording's ends cut windows short."""
    poses = {}
    for frame in range(0, len(clip), hop):
        first = max(0, frame + lag - window + 1)
        poses[frame] = network(clip[first : frame + lag + 1])[frame - first]
    return poses


def blended(network: Network, clip: Floats, window: int, hop: int) -> dict[int, Floats]:
    """Policy "blend": windows ``hop`` apart, weighted by sin^2 over what they share with the
    one before and after, at most half of them; one more window, as long, ends with the recording
    and comes in over what it shares."""
    frames = len(clip)
    total, weights = np.zeros((frames, 17, 3)), np.zeros((frames, 1, 1))
    starts = list(range(0, frames - window + 1, hop))
    for start in starts:
        place = np.arange(start, start + window)
        edge = np.minimum(place - start, start + window - 1 - place) + 0.5
        rise = np.clip(edge / min(window / 2, max(window - hop, 1)), 0, 1)
        weight = np.sin(np.pi / 2 * rise)[:, None, None] ** 2
        total[place] += weight * network(clip[place])
        weights[place] += weight
    length, new = min(window, frames), hop * len(starts)
    place = np.arange(frames - length, frames)
    rise = np.clip((place - new + 0.5) / max(window - hop, 1), 0, 1)[:, None, None]
    weight = np.where((place >= new)[:, None, None], np.sin(np.pi / 2 * rise) ** 2, 0)
    total[place] += weight * network(clip[place])
    weights[place] += weight
    return dict(enumerate(total / weights))
