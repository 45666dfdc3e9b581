"""A stand-in for the wheel of the climbing clips: the same files, other people's bones."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from posemamba.data.synthetic import climbing

FRAMES = 600
#: Rows of the 53 that are used, metres, z up: a person who faces +y, so that right is +x.
FIGURE = {
    "Hips": (0, 0, 0.95), "RightUpLeg": (0.1, 0, 0.95), "RightLeg": (0.1, 0.02, 0.55),
    "RightFoot": (0.1, 0, 0.1), "LeftUpLeg": (-0.1, 0, 0.95), "LeftLeg": (-0.1, 0.02, 0.55),
    "LeftFoot": (-0.1, 0, 0.1), "Spine1": (0, 0, 1.25), "Neck": (0, 0, 1.5),
    "LeftArm": (-0.16, 0, 1.46), "LeftForeArm": (-0.46, 0, 1.46), "LeftHand": (-0.72, 0, 1.46),
    "RightArm": (0.16, 0, 1.46), "RightForeArm": (0.46, 0, 1.46), "RightHand": (0.72, 0, 1.46),
}  # fmt: skip
SKULL = (0, 0, 1.65)


def figure(frames: int = FRAMES) -> npt.NDArray[np.float32]:
    """(frames, 53, 3) of the figure, walking along +y at a centimetre a frame.

    Rows that nothing may read are far away.
    """
    still = np.full((53, 3), 1e6)
    for name, row in climbing.SOURCE_JOINTS.values():
        still[row] = FIGURE[name]
    still[4] = SKULL
    walk = np.zeros((frames, 1, 3))
    walk[:, 0, 1] = 0.01 * np.arange(frames)
    return (still + walk).astype(np.float32)


def write_wheel(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of five such walks at ``path``, whose hashes are those the reader expects."""
    stream = io.BytesIO()
    np.save(stream, figure())
    content = stream.getvalue()
    expected = tuple(
        dataclasses.replace(recording, sha256=hashlib.sha256(content).hexdigest())
        for recording in climbing.RECORDINGS
    )
    monkeypatch.setattr(climbing, "RECORDINGS", expected)
    with zipfile.ZipFile(path, "w") as wheel:
        for recording in expected:
            wheel.writestr(recording.path, content)
    return path
