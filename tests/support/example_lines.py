"""The text that the example programs read and write."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
#: As the examples take it for granted.
SIZE = (1920, 1080)
JOINTS = 17


def coco_walk(frames: int, persons: int = 1, seed: int = 0) -> Floats:
    """Somebody who drifts over the picture: (frames, persons, 17, 3) pixels and confidence, no two
    points alike."""
    generator = np.random.default_rng(seed)
    body = generator.uniform(-150, 150, (persons, JOINTS, 2)) + np.array([700.0, 500.0])
    steps = generator.normal(0, 2, (frames, persons, JOINTS, 2)).cumsum(axis=0)
    confidence = generator.uniform(0.6, 1, (frames, persons, JOINTS, 1))
    return np.concatenate([body + steps, confidence], axis=-1).astype(np.float32)


def stream_text(keypoints: Floats) -> str:
    """(frames, 17, 3) for ``lift_stream``: a frame per line."""
    return "".join(" ".join(f"{v:.9g}" for v in frame.ravel()) + "\n" for frame in keypoints)


def file_text(keypoints: Floats) -> str:
    """(frames, persons, 17, 3) for ``lift_file``: a person in a frame per line."""
    lines = []
    for frame, everybody in enumerate(keypoints):
        for person, values in enumerate(everybody):
            numbers = " ".join(f"{value:.9g}" for value in values.ravel())
            lines.append(f"{frame} {frame / 30:.9g} {person} {numbers}\n")
    return "".join(lines)


def poses(text: str, heads: int) -> tuple[npt.NDArray[np.float64], Floats]:
    """What an example wrote: (lines, heads) of frame and person, and (lines, 17, 3)."""
    rows = np.array([line.split() for line in text.splitlines()], np.float64)
    return rows[:, :heads], rows[:, heads:].reshape(-1, JOINTS, 3).astype(np.float32)
