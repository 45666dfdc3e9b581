"""Windows at the network's rate out of frames at another one, offline and with NumPy alone."""

from __future__ import annotations

import numpy as np
from policy_oracle import Array, Network, Settings

from posemamba.pose.preprocess import normalize_2d

#: Times are compared with the library's slack, in frames of the network.
SLACK = 1e-4


def resampled(values: Array, times: Array, network: Network, chosen: Settings) -> dict[int, Array]:
    """Frame to pose, policies ``last``, ``center`` and ``lag``.

    Args:
        values: (frames, 17, 2) pixels of Human3.6M joints, NaN where nothing was found; infinities,
            zeros and negative pairs count as that too.
        times: (frames,) seconds.
    """
    points = values.astype(np.float64)
    lost = ~np.isfinite(points).all(-1) | (points == 0).all(-1) | (points < 0).all(-1)
    places = (times - times[0]) * chosen.model_rate
    reach = (chosen.gap + 1.5) * max(chosen.model_rate / chosen.rate, 1.0)
    poses = {}
    for frame in range(0, len(points), chosen.hop):
        place = places[frame]
        ahead = places[-1] - place + SLACK
        before = int(min(place + SLACK, chosen.window - 1 - chosen.behind))
        after = int(min(ahead, chosen.behind))
        samples = place + np.arange(-before, after + 1)
        stop = int(np.searchsorted(places, samples[-1] - SLACK)) + 1
        start = int(np.searchsorted(places, samples[0] - reach - SLACK))
        clip = np.empty((len(samples), 17, 2))
        for joint in range(17):
            seen = np.flatnonzero(~lost[start:stop, joint]) + start
            if len(seen) == 0:
                break
            for axis in range(2):
                clip[:, joint, axis] = np.interp(samples, places[seen], points[seen, joint, axis])
        else:
            normalised = normalize_2d(clip, chosen.width, chosen.height).astype(np.float32)
            pose = network(normalised[None])[0, before].astype(np.float64)
            poses[frame] = pose - pose[0]
    return poses
